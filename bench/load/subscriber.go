package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/mochi-mqtt/server/v2/packets"
)

// subscriber receives messages, acknowledges them and keeps the books.
type subscriber struct {
	*client           // nil while absent
	id, label, filter string
	session           bool // one may be at the broker that outlives the connection
	publishers        []*publisher
	run               byte // number of the run, in every message
	credits           bool
	books             *books
	unreleased        packetIDs // QoS 2: between PUBREC and PUBREL

	measureFrom int64 // messages sent before are not counted in latency
	latency     Histogram

	delivered atomic.Uint64 // first deliveries
	lastCame  atomic.Int64  // when the last of them came

	// The reader's own until it has ended.
	late, again, foreign uint64
	answers              []byte
}

// books are what was received of each publisher, by one subscriber or by a
// group that shares a subscription.
type books struct {
	mu      sync.Mutex
	ledgers []ledger // by publisher
}

func newBooks(publishers int) *books { return &books{ledgers: make([]ledger, publishers)} }

// read takes messages until the connection ends.
func (s *subscriber) read() error {
	for {
		if err := s.in.fill(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := s.receive(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if len(s.answers) > 0 {
			if _, err := s.socket.Write(s.answers); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.answers = s.answers[:0]
		}
	}
}

// receive handles the packets that are there. They came together, so one look at
// the clock is enough.
func (s *subscriber) receive() error {
	s.books.mu.Lock()
	defer s.books.mu.Unlock()
	var (
		now    = clock()
		from   *publisher // of the last messages
		n      int        // how many of them
		before = s.delivered.Load()
		count  = before
	)
	for s.in.next() {
		switch s.in.first >> 4 {
		case packets.Publish:
			payload, once, err := s.accept()
			if err != nil {
				return err
			}
			p, first := s.enter(payload, once, now)
			if first {
				count++
			}
			if !s.credits || p == nil {
				continue
			}
			if p != from {
				if from != nil {
					from.returned(n)
				}
				from, n = p, 0
			}
			n++
		case packets.Pubrel:
			if len(s.in.body) < 2 {
				return errors.New("the broker sent PUBREL without a packet id")
			}
			s.unreleased.remove(binary.BigEndian.Uint16(s.in.body))
			s.answers = append(s.answers, pubcompByte, 2, s.in.body[0], s.in.body[1])
		case packets.Pingresp:
		default:
			return s.unexpected()
		}
	}
	if from != nil {
		from.returned(n)
	}
	if count != before {
		s.lastCame.Store(now)
		s.delivered.Store(count)
	}
	return nil
}

// accept acknowledges a PUBLISH and gives its payload. once is false for the
// repetition of a QoS 2 message, which is no second one.
func (s *subscriber) accept() (payload []byte, once bool, err error) {
	qos := s.in.first >> 1 & 3
	rest := s.in.body
	topic, err := prefixed(rest)
	if err != nil {
		return nil, false, err
	}
	rest = rest[2+topic:]
	once = true
	if qos > 0 {
		if len(rest) < 2 {
			return nil, false, errShort
		}
		id := binary.BigEndian.Uint16(rest)
		answer := byte(pubackByte)
		if qos == 2 {
			answer = pubrecByte
			once = s.unreleased.add(id)
		}
		s.answers = append(s.answers, answer, 2, rest[0], rest[1])
		rest = rest[2:]
	}
	if s.version == 5 {
		if rest, err = skipProperties(rest); err != nil {
			return nil, false, err
		}
	}
	return rest, once, nil
}

// enter enters a message in the books. It gives the publisher, nil for a message
// that is none of this run's, and whether it is there for the first time.
func (s *subscriber) enter(payload []byte, once bool, now int64) (from *publisher, first bool) {
	if len(payload) < headLength {
		s.foreign++
		return nil, false
	}
	stamp := int64(binary.BigEndian.Uint64(payload))
	word := binary.BigEndian.Uint64(payload[8:])
	number := int(word >> sequenceBits & 0xFFFF)
	sequence := word & (1<<sequenceBits - 1)
	if byte(word>>runShift) != s.run || number >= len(s.publishers) || sequence >= s.publishers[number].sent.Load() {
		s.foreign++
		return nil, false
	}
	if !once {
		return nil, false
	}
	from = s.publishers[number]
	switch s.books.ledgers[number].receive(sequence) {
	case late:
		s.late++
	case again:
		s.again++
		return nil, false
	}
	if stamp >= s.measureFrom {
		s.latency.add(now - stamp)
	}
	return from, true
}

// packetIDs is a set of packet ids, a bit each. The zero value is empty.
type packetIDs []uint64

// add reports whether the id is new.
func (ids *packetIDs) add(id uint16) bool {
	if *ids == nil {
		*ids = make([]uint64, 1<<16/64)
	}
	word, bit := &(*ids)[id/64], uint64(1)<<(id%64)
	isNew := *word&bit == 0
	*word |= bit
	return isNew
}

func (ids packetIDs) remove(id uint16) {
	if ids != nil {
		ids[id/64] &^= 1 << (id % 64)
	}
}

var errShort = errors.New("the broker sent a PUBLISH that ends too early")

// prefixed is the length of the string that p begins with.
func prefixed(p []byte) (int, error) {
	if len(p) < 2 || len(p) < 2+int(binary.BigEndian.Uint16(p)) {
		return 0, errShort
	}
	return int(binary.BigEndian.Uint16(p)), nil
}

// skipProperties is what follows the properties that p begins with.
func skipProperties(p []byte) ([]byte, error) {
	length := 0
	for i := range min(len(p), 4) {
		length |= int(p[i]&0x7F) << (7 * i)
		if p[i] < 0x80 {
			if len(p) < i+1+length {
				break
			}
			return p[i+1+length:], nil
		}
	}
	return nil, errShort
}
