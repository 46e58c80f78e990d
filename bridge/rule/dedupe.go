package rule

import "sync"

// maxSeen is how many message ids a rule remembers. The far side sends again what
// was under way when the connection was lost: some hundreds at most.
const maxSeen = 10_000

// identities are the last message ids that a rule has let through. Safe for
// concurrent use.
type identities struct {
	mu    sync.Mutex // guards the fields below
	known map[string]int
	ring  []string // of maxSeen, the oldest at next
	next  int
}

func newIdentities() *identities { return &identities{known: map[string]int{}} }

// add remembers an id; false if it was there.
func (s *identities) add(id string) bool {
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
	delete(s.known, s.ring[s.next])
	s.known[id], s.ring[s.next] = s.next, id
	s.next = (s.next + 1) % maxSeen
	return true
}

// remove forgets an id.
func (s *identities) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, there := s.known[id]; there {
		delete(s.known, id)
		s.ring[at] = "" // no message has this one: its place is used again in its turn
	}
}
