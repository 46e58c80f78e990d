package kpl

import (
	"crypto/md5"
	"encoding/binary"
	"math/bits"
)

// Builder gathers records for an aggregated one. Its buffers stay for the next one.
// The zero value is ready; it is for one goroutine.
type Builder struct {
	keys, hashes table
	records      []byte
	n            int
	head, tags   []byte // of one record, while it is added
}

// table is one of strings that records name by their place in it.
type table struct {
	encoded []byte
	at      map[string]uint64
}

// index is the place of text, which is added if it is new.
func (t *table) index(field byte, text string) uint64 {
	if at, ok := t.at[text]; ok {
		return at
	}
	if t.at == nil {
		t.at = map[string]uint64{}
	}
	at := uint64(len(t.at))
	t.at[text] = at
	t.encoded = appendBytes(t.encoded, field, text)
	return at
}

func (t *table) reset() {
	t.encoded = t.encoded[:0]
	clear(t.at)
}

// Len is how many records the next aggregated one has so far.
func (b *Builder) Len() int { return b.n }

// Size is how many bytes the next aggregated record has so far.
func (b *Builder) Size() int {
	return Overhead + len(b.keys.encoded) + len(b.hashes.encoded) + len(b.records)
}

// Cost is at most by how many bytes Add makes it larger.
func (b *Builder) Cost(r *Record) int {
	const index, head = binary.MaxVarintLen32 + 1, binary.MaxVarintLen32 + 1
	size := 2*head + 2*index + len(r.Data) + 2*head + len(r.Key) + len(r.Hash)
	for _, tag := range r.Tags {
		size += 3*head + len(tag.Key) + len(tag.Value)
	}
	return size
}

// Add adds a record; its data is copied.
func (b *Builder) Add(r *Record) {
	p := append(b.head[:0], fieldKeyIndex)
	p = binary.AppendUvarint(p, b.keys.index(fieldKeyTable, r.Key))
	if r.Hash != "" {
		p = append(p, fieldHashIndex)
		p = binary.AppendUvarint(p, b.hashes.index(fieldHashTable, r.Hash))
	}
	p = append(p, fieldData)
	p = binary.AppendUvarint(p, uint64(len(r.Data)))
	b.head = p

	t := b.tags[:0]
	for _, tag := range r.Tags {
		t = append(t, fieldTag)
		t = binary.AppendUvarint(t, uint64(sizeBytes(tag.Key)+sizeBytes(tag.Value)))
		t = appendBytes(t, fieldTagKey, tag.Key)
		t = appendBytes(t, fieldTagValue, tag.Value)
	}
	b.tags = t

	b.records = append(b.records, fieldRecord)
	b.records = binary.AppendUvarint(b.records, uint64(len(p)+len(r.Data)+len(t)))
	b.records = append(b.records, p...)
	b.records = append(b.records, r.Data...)
	b.records = append(b.records, t...)
	b.n++
}

// Append appends the aggregated record to dst, and begins the next one.
func (b *Builder) Append(dst []byte) []byte {
	dst = append(dst, magic...)
	body := len(dst)
	dst = append(dst, b.keys.encoded...)
	dst = append(dst, b.hashes.encoded...)
	dst = append(dst, b.records...)
	sum := md5.Sum(dst[body:])
	b.Reset()
	return append(dst, sum[:]...)
}

// Reset forgets the records.
func (b *Builder) Reset() {
	b.keys.reset()
	b.hashes.reset()
	b.records, b.n = b.records[:0], 0
}

// appendBytes appends a field of bytes.
func appendBytes(dst []byte, field byte, text string) []byte {
	dst = append(dst, field)
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// sizeBytes is what appendBytes appends.
func sizeBytes(text string) int {
	return 1 + (bits.Len(uint(len(text))|1)+6)/7 + len(text)
}
