package soak

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fascia-edge/fascia/topic"
)

// receiver is what a message has to reach once: the session of a subscriber, or
// a shared group, whose members are one receiver together. Safe for concurrent
// use.
type receiver struct {
	ledger *ledger
	name   string
	shared bool

	mu      sync.Mutex // guards what follows, and the windows
	windows []*window
	books   map[*stream]*book
}

// window is the time a subscription stood. Between granted and leaving what is
// published has to arrive; after ended it must not.
type window struct {
	filter     string // as in SUBSCRIBE, with $share
	qos        byte
	identifier int // of MQTT 5, or 0
	granted    instant
	leaving    instant // first UNSUBSCRIBE written
	ended      instant // UNSUBACK read
}

func (w *window) matches(name string) bool {
	filter := w.filter
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		_, filter, _ = strings.Cut(rest, "/")
	}
	return topic.Match(filter, name)
}

// stood tells whether the subscription stood all the time from the first
// sending of a message to its completion.
func (w *window) stood(m message) bool {
	return m.sent > w.granted && (w.leaving == 0 || m.completed != 0 && m.completed < w.leaving)
}

// book is what a receiver has of one stream.
type book struct {
	receipts []receipt // by number
	newest   int       // highest number received
	checked  int       // all below has arrived
}

type receipt struct {
	first instant
	count uint8
}

// delivery is one message as a client received it.
type delivery struct {
	stream      *stream
	number      int
	qos         byte
	identifiers []int
}

func newReceiver(l *ledger, name string, shared bool) *receiver {
	return &receiver{ledger: l, name: name, shared: shared, books: make(map[*stream]*book)}
}

// subscribe adds a window that SUBACK opens.
func (r *receiver) subscribe(w window) *window {
	r.mu.Lock()
	defer r.mu.Unlock()
	added := &w
	r.windows = append(r.windows, added)
	return added
}

// set changes an instant of a window to now, unless it is set already.
func (r *receiver) set(at *instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *at == 0 {
		*at = r.ledger.now()
	}
}

// granted tells whether all its subscriptions were.
func (r *receiver) granted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(r.windows, func(w *window) bool { return w.granted == 0 })
}

func (r *receiver) of(s *stream) string { return fmt.Sprintf("%s of %q", r.name, s.name()) }

// receive notes a delivery and blames what is wrong with it.
func (r *receiver) receive(d delivery) {
	l, s := r.ledger, d.stream
	m := s.message(d.number)
	r.mu.Lock()
	defer r.mu.Unlock()
	l.progress.Add(1)
	r.checkWindows(d, m)

	b := r.book(s)
	for len(b.receipts) <= d.number {
		b.receipts = append(b.receipts, receipt{})
	}
	was := b.receipts[d.number]
	now := &b.receipts[d.number]
	now.count = min(was.count+1, 254)
	if was.count > 0 {
		if d.qos == 2 && !l.excuses(was.first) {
			l.blame(duplicated, r.of(s), d.number, "message %d, first received at %v, sent %d times, %v", d.number, was.first, m.sends, times(m))
		}
		return
	}
	now.first = l.now()
	if d.number < b.newest && !r.shared {
		l.blame(reordered, r.of(s), d.number, "message %d after %d", d.number, b.newest)
	}
	b.newest = max(b.newest, d.number)
}

// checkWindows blames a delivery that no subscription stands for, or that
// doesn't have what the subscription asked for. mu is held.
func (r *receiver) checkWindows(d delivery, m message) {
	var qos byte
	var identifiers []int
	found := false
	for _, w := range r.windows {
		if !w.matches(d.stream.topic) || w.ended != 0 && m.sent > w.ended {
			continue
		}
		found = true
		qos = max(qos, min(w.qos, d.stream.qos))
		if w.identifier > 0 {
			identifiers = append(identifiers, w.identifier)
		}
	}
	if !found {
		r.ledger.blame(stray, r.of(d.stream), d.number, "message %d, sent at %v: no subscription", d.number, m.sent)
		return
	}
	slices.Sort(d.identifiers)
	if d.qos != qos || !slices.Equal(d.identifiers, identifiers) {
		r.ledger.blame(illegal, r.of(d.stream), d.number, "message %d came with QoS %d and subscription identifiers %v, want %d and %v",
			d.number, d.qos, d.identifiers, qos, identifiers)
	}
}

// book is the receiver's of that stream. mu is held.
func (r *receiver) book(s *stream) *book {
	b := r.books[s]
	if b == nil {
		b = &book{newest: -1}
		r.books[s] = b
	}
	return b
}

// has tells whether a message has arrived.
func (r *receiver) has(s *stream, number int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.book(s)
	return number < len(b.receipts) && b.receipts[number].count > 0
}

// missing is how many messages still have to arrive.
func (r *receiver) missing() int {
	count := 0
	r.eachMissing(func(_ *stream, _ int, m message) {
		if !r.ledger.excuses(m.acked) {
			count++
		}
	})
	return count
}

// verdict blames what has not arrived, and cancelled wills that have.
func (r *receiver) verdict() {
	l := r.ledger
	r.eachMissing(func(s *stream, number int, m message) {
		if l.excuses(m.acked) {
			l.undo(m.acked)
			return
		}
		l.blame(lost, r.of(s), number, "message %d, %v", number, times(m))
	})
	for _, s := range l.all() {
		for number := range s.len() {
			if s.message(number).forbidden && r.has(s, number) {
				l.blame(cancelled, r.of(s), number, "will %d", number)
			}
		}
	}
}

// eachMissing calls fn for each message that was acknowledged while a
// subscription stood, and has not arrived.
func (r *receiver) eachMissing(fn func(*stream, int, message)) {
	for _, s := range r.ledger.all() {
		r.missingOf(s, fn)
	}
}

func (r *receiver) missingOf(s *stream, fn func(*stream, int, message)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var windows []*window
	for _, w := range r.windows {
		if w.granted != 0 && w.matches(s.topic) {
			windows = append(windows, w)
		}
	}
	if len(windows) == 0 {
		return
	}
	b := r.book(s)
	whole := true
	for number := b.checked; number < s.len(); number++ {
		if number < len(b.receipts) && b.receipts[number].count > 0 {
			if whole {
				b.checked = number + 1
			}
			continue
		}
		whole = false
		m := s.message(number)
		stood := func(w *window) bool { return w.stood(m) }
		if m.acked != 0 && slices.ContainsFunc(windows, stood) {
			fn(s, number, m)
		}
	}
}

func times(m message) string {
	return fmt.Sprintf("sent at %v, acknowledged at %v, completed at %v", m.sent, m.acked, m.completed)
}
