package rule

import (
	"container/list"
	"crypto/rand"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Bounds of the response topics that are remembered.
const (
	maxResponses = 4096    // in each direction; the oldest is forgotten, and counted
	maxAsked     = 1 << 20 // bytes of their topics, likewise
	// A longer topic is left out: it is stored beside each answer that waits.
	longestAsked = 4096
	responsesFor = 600 * clock.Second // after the last request that named it
	tokenLength  = 16                 // letters and digits of base 32: 80 bits that nobody guesses
)

// ResponsePrefix begins the topics in the vehicle on which requests of far sides are
// answered; the link's name and a token follow.
const ResponsePrefix = "response/"

// responses remembers which response topic on the one side stands for which on the
// other. It is memory only: what was asked before a restart of the gateway gets no
// answer across the link, and the asker's time-out tells. Safe for concurrent use.
type responses struct {
	mu      sync.Mutex // guards the fields below
	byToken map[string]*list.Element
	byAsked map[asked]*list.Element
	order   list.List // of *response, the one used longest ago first
	bytes   int       // of their topics

	forgotten atomic.Uint64 // for want of room
}

// asked is a response topic and who named it: what one may not publish, the answer to
// another's request does not bring there either. A far side is not told apart.
type asked struct {
	topic string
	by    message.Origin
}

type response struct {
	asked
	token string
	ends  clock.Time
}

func newResponses() *responses {
	return &responses{byToken: map[string]*list.Element{}, byAsked: map[asked]*list.Element{}}
}

// token gives the token that stands for a response topic, the same one while it is
// remembered.
func (r *responses) token(of asked, now clock.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	if e := r.byAsked[of]; e != nil {
		e.Value.(*response).ends = now + responsesFor
		r.order.MoveToBack(e)
		return e.Value.(*response).token
	}
	r.bytes += len(of.topic)
	for r.order.Len() > 0 && (r.order.Len() >= maxResponses || r.bytes > maxAsked) {
		r.remove(r.order.Front())
		r.forgotten.Add(1)
	}
	entry := &response{of, rand.Text()[:tokenLength], now + responsesFor}
	e := r.order.PushBack(entry)
	r.byToken[entry.token], r.byAsked[of] = e, e
	return entry.token
}

// asked gives the response topic that a token stands for, and who named it.
func (r *responses) asked(token string, now clock.Time) (of asked, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	e := r.byToken[token]
	if e == nil {
		return asked{}, false
	}
	return e.Value.(*response).asked, true
}

// Forgotten counts requests that were forgotten before their time, for want of room.
func (s *Set) Forgotten() uint64 { return s.far.forgotten.Load() + s.vehicle.forgotten.Load() }

func (r *responses) expire(now clock.Time) {
	for e := r.order.Front(); e != nil && now >= e.Value.(*response).ends; e = r.order.Front() {
		r.remove(e)
	}
}

func (r *responses) remove(e *list.Element) {
	entry := r.order.Remove(e).(*response)
	delete(r.byToken, entry.token)
	delete(r.byAsked, entry.asked)
	r.bytes -= len(entry.topic)
}
