package link

import (
	"sync"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// inbox is what the far side has sent and the handler has not taken yet. The
// connection's reader never waits for the handler: PUBACKs and pings go on.
//
// What the far side may send at QoS 1 is bounded by the Receive Maximum that it was
// told. 3.1.1 has none, not every far side keeps to it, and all of it may be large: when
// the inbox is full the reader rests after all, and TCP holds the far side back. At
// QoS 0 nobody waits for anything: what finds no room is dropped and counted.
type inbox struct {
	limit int // messages at QoS 1 that may be unacknowledged
	bytes int // memory of the messages that may wait, at QoS 0 and as much at QoS 1

	mu      sync.Mutex // guards what follows
	changed sync.Cond  // something came, something left, or the end
	queue   []received
	loose   int          // memory of those at QoS 0, in bytes
	firm    int          // memory of those at QoS 1
	owed    []*receipt   // PUBACKs, in the order in which they must leave [MQTT-4.6.0-2]
	puback  func([]byte) // writes them
	over    bool
	dropped uint64
}

type received struct {
	message message.Message
	receipt *receipt // nil at QoS 0
}

type receipt struct {
	id   uint16
	done bool
}

func newInbox(limit, bytes int, puback func([]byte)) *inbox {
	in := &inbox{limit: limit, bytes: bytes, puback: puback}
	in.changed.L = &in.mu
	return in
}

// memory is what a message takes here, in bytes: a packet may have a hundred thousand
// empty user properties.
func memory(m *message.Message) int { return m.Size() + 256 + 64*len(m.UserProperties) }

// full reports whether one more at QoS 1 must wait.
func (in *inbox) full() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.filled()
}

// filled is full, for who holds mu.
func (in *inbox) filled() bool { return len(in.owed) >= in.limit || in.firm >= in.bytes }

// waitForRoom blocks until one more at QoS 1 may come, or the connection is over.
func (in *inbox) waitForRoom() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.over && in.filled() {
		in.changed.Wait()
	}
}

// put adds a message; id is 0 at QoS 0.
func (in *inbox) put(m message.Message, id uint16) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r := received{message: m}
	if id == 0 {
		if in.loose+memory(&m) > in.bytes {
			in.dropped++
			return
		}
		in.loose += memory(&m)
	} else {
		in.firm += memory(&m)
		r.receipt = &receipt{id: id}
		in.owed = append(in.owed, r.receipt)
	}
	in.queue = append(in.queue, r)
	in.changed.Broadcast()
}

// run hands the messages to take, one after the other, until the end. What then
// remains at QoS 1 comes again; at QoS 0 it is handed on.
func (in *inbox) run(take func(m message.Message, done func())) {
	for {
		in.mu.Lock()
		for len(in.queue) == 0 && !in.over {
			in.changed.Wait()
		}
		if len(in.queue) == 0 {
			in.mu.Unlock()
			return
		}
		r, over := in.queue[0], in.over
		in.queue[0] = received{}
		in.queue = in.queue[1:]
		if r.receipt == nil {
			in.loose -= memory(&r.message)
		} else {
			in.firm -= memory(&r.message)
			in.changed.Broadcast()
		}
		in.mu.Unlock()
		switch {
		case r.receipt == nil:
			take(r.message, func() {})
		case !over:
			take(r.message, func() { in.done(r.receipt) })
		}
	}
}

// done acknowledges what may be acknowledged now.
func (in *inbox) done(r *receipt) {
	in.mu.Lock()
	defer in.mu.Unlock()
	r.done = true
	var acks []byte
	for len(in.owed) > 0 && in.owed[0].done {
		acks = wire.AppendAck(acks, wire.Puback, in.owed[0].id, wire.Success, 5) // as in 3.1.1
		in.owed = in.owed[1:]
	}
	if len(acks) > 0 && !in.over {
		in.puback(acks)
		in.changed.Broadcast()
	}
}

// end lets run and waitForRoom return, and no more PUBACKs leave.
func (in *inbox) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.over = true
	in.changed.Broadcast()
}

// lost is how many messages were dropped.
func (in *inbox) lost() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.dropped
}
