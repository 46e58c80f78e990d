package rule

import (
	"hash/maphash"
	"sync"
)

// maxSeen is how many message ids a rule remembers. The far side sends again what
// was under way when the connection was lost: some hundreds at most.
const maxSeen = 10_000

// identities are the last message ids that a rule has let through: not their texts,
// which the far side may make as long as it likes, but 64 bits of a hash whose seed
// nobody knows. Safe for concurrent use.
type identities struct {
	seed maphash.Seed

	mu    sync.Mutex // guards the fields below
	known map[uint64]int
	ring  []uint64 // of maxSeen, the oldest at next
	next  int
}

func newIdentities() *identities {
	return &identities{seed: maphash.MakeSeed(), known: map[uint64]int{}}
}

// add remembers an id; false if it was there.
func (s *identities) add(text string) bool {
	id := maphash.String(s.seed, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.known[id]; there {
		return false
	}
	if len(s.ring) < maxSeen {
		s.known[id] = len(s.ring)
		s.ring = append(s.ring, id)
		return true
	}
	if oldest := s.ring[s.next]; s.known[oldest] == s.next { // else it was removed, and perhaps added again
		delete(s.known, oldest)
	}
	s.known[id], s.ring[s.next] = s.next, id
	s.next = (s.next + 1) % maxSeen
	return true
}

// remove forgets an id. Its place is used again in its turn.
func (s *identities) remove(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, maphash.String(s.seed, text))
}
