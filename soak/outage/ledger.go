package outage

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Ledger knows what was published, acknowledged and received, by topic. A message
// takes some 20 bytes. Safe for concurrent use.
type Ledger struct {
	opened time.Time

	mu      sync.Mutex // guards what follows
	topics  map[string]*pages
	foreign int           // messages that nobody here has published
	moved   chan struct{} // nil while nobody waits
	counts  Counts
}

// Counts are messages so far.
type Counts struct {
	Sent         int // first sendings
	Acknowledged int // PUBACK below 0x80
	Refused      int // PUBACK from 0x80 on
	Arrived      int // first arrivals
	Again        int // second and further arrivals
}

// pages are what is known of one topic, by the message's number.
type pages struct {
	sent    []instant
	resent  map[int]bool // sent more than once: the broker may have taken it twice
	acked   []bool
	arrived []instant
	ids     map[int]string // message id of the first arrival, where it had one

	newest    int // highest number that has arrived
	reordered []int
	foreignID []int // came again with another message id
}

// instant is a moment in nanoseconds since the ledger was opened; 0 is never.
type instant int64

// NewLedger begins one.
func NewLedger() *Ledger {
	return &Ledger{opened: time.Now(), topics: make(map[string]*pages)}
}

func (l *Ledger) now() instant { return instant(time.Since(l.opened)) + 1 }

// page is the topic's; l.mu is held.
func (l *Ledger) page(topic string) *pages {
	p := l.topics[topic]
	if p == nil {
		p = &pages{newest: -1}
		l.topics[topic] = p
	}
	return p
}

// send notes a new message and returns its payload: the topic, its number, and
// filler up to size bytes.
func (l *Ledger) send(topic string, size int) (number int, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.page(topic)
	number = len(p.sent)
	p.sent = append(p.sent, l.now())
	p.acked = append(p.acked, false)
	p.arrived = append(p.arrived, 0)
	l.counts.Sent++
	return number, payloadOf(topic, number, size)
}

func payloadOf(topic string, number, size int) []byte {
	payload := make([]byte, 0, max(size, len(topic)+12))
	payload = append(append(payload, topic...), ' ')
	payload = append(strconv.AppendInt(payload, int64(number), 10), ' ')
	for len(payload) < size {
		payload = append(payload, '.')
	}
	return payload
}

// resend notes that a publisher sent a message again.
func (l *Ledger) resend(topic string, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.page(topic)
	if p.resent == nil {
		p.resent = make(map[int]bool)
	}
	p.resent[number] = true
}

// acknowledge notes the PUBACK of a message.
func (l *Ledger) acknowledge(topic string, number int, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if refused {
		l.counts.Refused++
	} else {
		l.page(topic).acked[number] = true
		l.counts.Acknowledged++
	}
	l.stir()
}

// arrive notes a message at the far side. id is its message id, "" without one.
func (l *Ledger) arrive(payload []byte, id string) {
	topic, number, ok := parse(payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.topics[topic]
	if !ok || p == nil || number >= len(p.sent) {
		l.foreign++
		return
	}
	defer l.stir()
	if p.arrived[number] != 0 {
		l.counts.Again++
		if p.ids[number] != id && !p.resent[number] {
			p.foreignID = append(p.foreignID, number)
		}
		return
	}
	p.arrived[number] = l.now()
	l.counts.Arrived++
	if id != "" {
		if p.ids == nil {
			p.ids = make(map[int]string)
		}
		p.ids[number] = id
	}
	if number < p.newest {
		p.reordered = append(p.reordered, number)
	}
	p.newest = max(p.newest, number)
}

func parse(payload []byte) (topic string, number int, ok bool) {
	words := strings.SplitN(string(payload), " ", 3)
	if len(words) != 3 {
		return "", 0, false
	}
	number, err := strconv.Atoi(words[1])
	return words[0], number, err == nil && number >= 0
}

// stir wakes who waits for the ledger to move; l.mu is held.
func (l *Ledger) stir() {
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
}

// Counts are the messages so far.
func (l *Ledger) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// look is the counts, and what is closed when they change.
func (l *Ledger) look() (Counts, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved == nil {
		l.moved = make(chan struct{})
	}
	return l.counts, l.moved
}

// AwaitAcknowledged returns when so many messages in all were acknowledged or refused.
// The error is that none more was for so long.
func (l *Ledger) AwaitAcknowledged(messages int, idle time.Duration) error {
	return l.await(func(c Counts) int { return c.Acknowledged + c.Refused }, func(got int) bool { return got >= messages }, idle)
}

// AwaitArrived returns when so many messages in all have arrived. The error is that none
// more did for so long.
func (l *Ledger) AwaitArrived(messages int, idle time.Duration) error {
	return l.await(func(c Counts) int { return c.Arrived }, func(got int) bool { return got >= messages }, idle)
}

// AwaitAll returns when everything that was acknowledged has arrived.
func (l *Ledger) AwaitAll(idle time.Duration) error {
	all := func(arrived int) bool { return arrived >= l.Counts().Acknowledged && l.Missing() == 0 }
	return l.await(func(c Counts) int { return c.Arrived }, all, idle)
}

func (l *Ledger) await(progress func(Counts) int, done func(int) bool, idle time.Duration) error {
	timer := time.NewTimer(idle)
	defer timer.Stop()
	last := -1
	for {
		counts, moved := l.look()
		now := progress(counts)
		if done(now) {
			return nil
		}
		if now != last {
			last = now
			timer.Reset(idle)
		}
		select {
		case <-moved:
		case <-timer.C:
			return fmt.Errorf("nothing has moved for %v: %+v, %d missing", idle, counts, l.Missing())
		}
	}
}

// has tells whether a message has arrived.
func (l *Ledger) has(topic string, number int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.page(topic).arrived[number] != 0
}

// Missing counts messages that were acknowledged and have not arrived.
func (l *Ledger) Missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.topics {
		for number, acked := range p.acked {
			if acked && p.arrived[number] == 0 {
				n++
			}
		}
	}
	return n
}
