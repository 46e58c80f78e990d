package rule

import (
	"container/list"
	"crypto/rand"
	"sync"
	"sync/atomic"

	"github.com/fascia-edge/fascia/clock"
)

// Bounds of the response topics that are remembered.
const (
	maxResponses = 4096               // in each direction; the oldest is forgotten, and counted
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
	byTopic map[string]*list.Element
	order   list.List // of *response, the one used longest ago first

	forgotten atomic.Uint64 // for want of room
}

type response struct {
	token, topic string
	ends         clock.Time
}

func newResponses() *responses {
	return &responses{byToken: map[string]*list.Element{}, byTopic: map[string]*list.Element{}}
}

// token gives the token that stands for a response topic, the same one while it is
// remembered.
func (r *responses) token(topic string, now clock.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	if e := r.byTopic[topic]; e != nil {
		e.Value.(*response).ends = now + responsesFor
		r.order.MoveToBack(e)
		return e.Value.(*response).token
	}
	if r.order.Len() >= maxResponses {
		r.remove(r.order.Front())
		r.forgotten.Add(1)
	}
	entry := &response{rand.Text()[:tokenLength], topic, now + responsesFor}
	e := r.order.PushBack(entry)
	r.byToken[entry.token], r.byTopic[topic] = e, e
	return entry.token
}

// topic gives the response topic that a token stands for.
func (r *responses) topic(token string, now clock.Time) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire(now)
	e := r.byToken[token]
	if e == nil {
		return "", false
	}
	return e.Value.(*response).topic, true
}

func (r *responses) expire(now clock.Time) {
	for e := r.order.Front(); e != nil && now >= e.Value.(*response).ends; e = r.order.Front() {
		r.remove(e)
	}
}

func (r *responses) remove(e *list.Element) {
	entry := r.order.Remove(e).(*response)
	delete(r.byToken, entry.token)
	delete(r.byTopic, entry.topic)
}
