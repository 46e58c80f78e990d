package store

import (
	"slices"
	"sort"
)

// leafSize is how many keys a leaf holds at most. Inserting moves half of one
// on average, splitting moves the list of leaves: both stay short for a million
// keys.
const leafSize = 256

// keys is the small state in memory: a sorted list of keys in leaves of sorted
// pairs. It is for one writer; who reads beside it holds the store's lock.
type keys struct {
	leaves [][]pair
	n      int
	bytes  int64 // of keys and values
}

type pair struct {
	key   string
	value []byte
}

// find is the leaf that holds key or would, and the place in it.
func find[K string | []byte](k *keys, key K) (leaf, at int, found bool) {
	// The conversions in comparisons do not allocate.
	leaf = sort.Search(len(k.leaves), func(i int) bool { return k.leaves[i][0].key > string(key) })
	if leaf == 0 {
		return 0, 0, false
	}
	leaf--
	l := k.leaves[leaf]
	at = sort.Search(len(l), func(i int) bool { return l[i].key >= string(key) })
	return leaf, at, at < len(l) && l[at].key == string(key)
}

func (k *keys) get(key string) []byte {
	if leaf, at, ok := find(k, key); ok {
		return k.leaves[leaf][at].value
	}
	return nil
}

// put keeps copies of key and value. The old value stays whole for who has it.
func (k *keys) put(key, value []byte) {
	leaf, at, ok := find(k, key)
	if ok {
		p := &k.leaves[leaf][at]
		k.bytes += int64(len(value) - len(p.value))
		p.value = append(make([]byte, 0, len(value)), value...)
		return
	}
	k.n++
	k.bytes += int64(len(key) + len(value))
	p := pair{string(key), append(make([]byte, 0, len(value)), value...)}
	if leaf == len(k.leaves) {
		k.leaves = append(k.leaves, []pair{p})
		return
	}
	l := slices.Insert(k.leaves[leaf], at, p)
	k.leaves[leaf] = l
	if len(l) > leafSize {
		half := slices.Clone(l[len(l)/2:])
		clear(l[len(l)/2:])
		k.leaves[leaf] = l[:len(l)/2]
		k.leaves = slices.Insert(k.leaves, leaf+1, half)
	}
}

func (k *keys) delete(key []byte) {
	leaf, at, ok := find(k, key)
	if !ok {
		return
	}
	p := k.leaves[leaf][at]
	k.n--
	k.bytes -= int64(len(p.key) + len(p.value))
	k.leaves[leaf] = slices.Delete(k.leaves[leaf], at, at+1)
	if len(k.leaves[leaf]) == 0 {
		k.leaves = slices.Delete(k.leaves, leaf, leaf+1)
	}
}

// after appends up to a leaf of pairs whose keys are at least from to buf.
func (k *keys) after(from string, buf []pair) []pair {
	leaf, at, _ := find(k, from)
	for ; leaf < len(k.leaves); leaf, at = leaf+1, 0 {
		if rest := k.leaves[leaf][at:]; len(rest) > 0 {
			return append(buf, rest...)
		}
	}
	return buf
}
