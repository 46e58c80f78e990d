package link

import (
	"errors"
	"net"
	"sync"
)

// pendingLimit is how many bytes wait to be written before Publish blocks: enough
// for one system call to be worth its price, and little enough that what is urgent
// is not behind a minute of a slow link.
const pendingLimit = 32 << 10

// errOver is what is told to whoever writes to a connection that has ended.
var errOver = errors.New("the connection is over")

// socket gathers what is written by many, and writes it in as few calls as the
// network allows: while one write goes on, the next gathers.
type socket struct {
	conn net.Conn

	mu      sync.Mutex // guards what follows
	more    sync.Cond  // something to write, or the end
	room    sync.Cond  // Publish may go on, or the end
	pending []byte
	last    bool  // nothing comes after pending
	over    error // why nothing is taken any more
}

func newSocket(conn net.Conn) *socket {
	s := &socket{conn: conn}
	s.more.L, s.room.L = &s.mu, &s.mu
	return s
}

// lock begins an addition to pending, which unlock ends. With wait set it blocks
// until there is room. With an error nothing is locked.
func (s *socket) lock(wait bool) error {
	s.mu.Lock()
	for wait && s.over == nil && len(s.pending) >= pendingLimit {
		s.room.Wait()
	}
	if s.over != nil {
		s.mu.Unlock()
		return s.over
	}
	return nil
}

func (s *socket) unlock() {
	s.more.Signal()
	s.mu.Unlock()
}

// write adds a packet, without waiting for room: for what is seldom and small.
func (s *socket) write(packet []byte) error {
	if err := s.lock(false); err != nil {
		return err
	}
	s.pending = append(s.pending, packet...)
	s.unlock()
	return nil
}

// finish adds the last packet; run ends when it is written.
func (s *socket) finish(packet []byte) {
	if s.lock(false) != nil {
		return
	}
	s.pending, s.last, s.over = append(s.pending, packet...), true, errOver
	s.room.Broadcast()
	s.unlock()
}

// end makes run return, and everybody who waits.
func (s *socket) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.last = nil, true
	if s.over == nil {
		s.over = errOver
	}
	s.more.Broadcast()
	s.room.Broadcast()
}

// run writes until the end. wrote is told of each write.
func (s *socket) run(wrote func(n int)) error {
	var out []byte
	for {
		s.mu.Lock()
		for len(s.pending) == 0 && !s.last {
			s.more.Wait()
		}
		if len(s.pending) == 0 {
			s.mu.Unlock()
			return nil
		}
		out, s.pending = s.pending, out[:0]
		s.room.Broadcast()
		s.mu.Unlock()
		wrote(len(out))
		if _, err := s.conn.Write(out); err != nil {
			return err
		}
		if cap(out) > 4*pendingLimit {
			out = nil // of one large packet: not for the years to come
		}
	}
}
