package load

import "math/bits"

// ledger knows which messages of one publisher came.
type ledger struct {
	next    uint64 // all that came are below
	missing sequences
}

// What a message is to its ledger.
type arrival int

const (
	inOrder arrival = iota
	late            // a newer one came before it
	again           // it was there already
)

func (l *ledger) receive(sequence uint64) arrival {
	switch {
	case sequence == l.next:
		l.next++
		return inOrder
	case sequence > l.next:
		l.missing.add(l.next, sequence)
		l.next = sequence + 1
		return inOrder
	case l.missing.remove(sequence):
		return late
	}
	return again
}

// has reports whether a message came.
func (l *ledger) has(sequence uint64) bool {
	return sequence < l.next && !l.missing.has(sequence)
}

// lost counts the messages below sent that did not come.
func (l *ledger) lost(sent uint64) uint64 {
	return l.missing.count + sent - min(l.next, sent)
}

// sequences is a set of sequence numbers, a bit each: millions may be missing.
// The zero value is empty.
type sequences struct {
	words map[uint64]uint64 // by number / 64
	count uint64
}

// add adds the numbers from to until-1, none of which is in the set.
func (s *sequences) add(from, until uint64) {
	if s.words == nil {
		s.words = make(map[uint64]uint64)
	}
	s.count += until - from
	for from < until {
		end := min(until, from|63+1)
		s.words[from/64] |= (1<<(end-from) - 1) << (from % 64) // a shift by 64 gives 0
		from = end
	}
}

// remove reports whether the number was in the set.
func (s *sequences) remove(number uint64) bool {
	if !s.has(number) {
		return false
	}
	s.count--
	if rest := s.words[number/64] &^ (1 << (number % 64)); rest != 0 {
		s.words[number/64] = rest
	} else {
		delete(s.words, number/64)
	}
	return true
}

func (s *sequences) has(number uint64) bool {
	return s.words[number/64]>>(number%64)&1 == 1
}

// all yields every number, in no order.
func (s *sequences) all(yield func(uint64) bool) {
	for word, set := range s.words {
		for ; set != 0; set &= set - 1 {
			if !yield(word*64 + uint64(bits.TrailingZeros64(set))) {
				return
			}
		}
	}
}
