package soak

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
)

// largeEvery is how often a stream has a large message.
const largeEvery = 40

// stream is what one publisher publishes to one topic at one QoS: the messages
// that keep their order [MQTT-4.6.0]. They are numbered from 0. Safe for
// concurrent use.
type stream struct {
	ledger     *ledger
	publisher  string
	topic      string
	qos        byte
	retain     bool
	clears     bool // every other message is empty and so deletes the retained one
	properties bool // published with those of MQTT 5
	large      int  // bytes that some messages have at least

	mu       sync.Mutex // guards messages
	messages []message
}

// message is what the ledger knows of one message. An instant of 0 is not yet.
type message struct {
	sent      instant // first PUBLISH written; for a will, its CONNECT
	acked     instant // PUBACK or PUBREC read: it must not be lost
	completed instant // PUBACK or PUBCOMP read
	sends     uint16  // how often it was written
	forbidden bool    // a will that was cancelled in time
}

// name begins each payload: "p1 soak/p1/t1 2".
func (s *stream) name() string { return fmt.Sprintf("%s %s %d", s.publisher, s.topic, s.qos) }

// next is the number of a new message, which the caller sends at once.
func (s *stream) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, message{sent: s.ledger.now(), sends: 1})
	return len(s.messages) - 1
}

func (s *stream) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// message is a copy of what is known of a message.
func (s *stream) message(number int) message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[number]
}

func (s *stream) change(number int, fn func(*message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.messages[number])
}

func (s *stream) resent(number int) {
	s.change(number, func(m *message) { m.sends++ })
}

func (s *stream) acked(number int) {
	now := s.ledger.now()
	s.change(number, func(m *message) { m.acked = now })
}

func (s *stream) completed(number int) {
	now := s.ledger.now()
	s.change(number, func(m *message) { m.completed = now })
}

// lastKept is the number of the newest message that had to be kept when this is
// called, or -1. At QoS 2 a broker may route a message as late as at its
// release.
func (s *stream) lastKept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.messages) - 1; i >= 0; i-- {
		m := &s.messages[i]
		if m.acked != 0 && m.completed != 0 && !s.ledger.excuses(m.acked) {
			return i
		}
	}
	return -1
}

// empty tells whether that message has no payload.
func (s *stream) empty(number int) bool { return s.clears && number%2 == 1 }

// payload is the message's text: it names itself and has a length and filling
// of its own, so that what was torn or mixed shows.
func (s *stream) payload(number int) []byte {
	if s.empty(number) {
		return nil
	}
	text := fmt.Appendf(nil, "%s %d ", s.name(), number)
	filling := number * 37 % 200
	if number%largeEvery == largeEvery-1 {
		filling += s.large
	}
	for i := range filling {
		text = append(text, 'a'+byte((number+i)%26))
	}
	return text
}

// parse finds the message whose payload this is.
func (l *ledger) parse(payload []byte) (s *stream, number int, err error) {
	words := bytes.SplitN(payload, []byte(" "), 5)
	if len(words) != 5 {
		return nil, 0, fmt.Errorf("payload %.60q is none of ours", payload)
	}
	s = l.stream(string(bytes.Join(words[:3], []byte(" "))))
	number, err = strconv.Atoi(string(words[3]))
	if s == nil || err != nil || number < 0 || number >= s.len() {
		return nil, 0, fmt.Errorf("payload %.60q was never sent", payload)
	}
	if want := s.payload(number); !bytes.Equal(payload, want) {
		return nil, 0, fmt.Errorf("payload %.60q (%d bytes), want %.60q (%d bytes)", payload, len(payload), want, len(want))
	}
	return s, number, nil
}
