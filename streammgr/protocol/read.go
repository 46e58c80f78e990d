package protocol

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fascia-edge/fascia/streammgr/log"
)

const (
	// maxWait is how long a read waits at most, whatever it asks for.
	maxWait = 10 * time.Minute
	// besideMessage is what a message takes in an answer besides payload and stream's name.
	besideMessage = 80
)

// wanted is what a read asks for.
type wanted struct {
	id       string
	stream   *log.Stream
	from     uint64
	min, max int
	within   time.Duration
}

// errShort says that there are not as many messages as a read asked for.
var errShort error = &failure{statusNotEnoughMessages, "there are not enough messages to return"}

// read answers a ReadMessages, at once if it can be.
func (c *conn) read(payload []byte) {
	var q readRequest
	ok := c.receive(opReadMessages, payload, &q, func(f *findings) string {
		f.name("streamName", q.StreamName)
		f.options(q.Options)
		return q.RequestID
	})
	if !ok {
		return
	}
	s, err := c.stream(q.StreamName)
	if err != nil {
		c.reply(opReadMessagesResponse, outcomeOf(q.RequestID, err))
		return
	}
	w := &wanted{id: q.RequestID, stream: s, min: 1, max: 1}
	if o := q.Options; o != nil {
		w.from = uint64(o.DesiredStartSequenceNumber.Or(0))
		w.min = int(o.MinMessageCount.Or(1))
		w.max = int(o.MaxMessageCount.Or(int64(w.min)))
		w.within = time.Duration(min(o.ReadTimeoutMillis.Or(0), maxWait.Milliseconds())) * time.Millisecond
	}
	c.reading <- struct{}{}
	messages, _, err := c.collect(c.ctx, w)
	if errors.Is(err, errShort) && w.within > 0 {
		<-c.reading
		c.park(w)
		return
	}
	c.replyRead(w, messages, err)
}

// options checks what a read asks for.
func (f *findings) options(o *readOptions) {
	if o == nil {
		return
	}
	path := "readMessagesOptions."
	f.within(path+"desiredStartSequenceNumber", o.DesiredStartSequenceNumber, 0, math.MaxInt64)
	f.within(path+"minMessageCount", o.MinMessageCount, 1, math.MaxInt32)
	f.within(path+"maxMessageCount", o.MaxMessageCount, 1, math.MaxInt32)
	f.within(path+"readTimeoutMillis", o.ReadTimeoutMillis, 0, maxMillis)
	if o.MinMessageCount != nil && o.MaxMessageCount != nil && *o.MinMessageCount > *o.MaxMessageCount {
		*f = append(*f, "minMessageCount must be less than or equal to maxMessageCount.")
	}
}

// replyRead sends a read's answer. Its memory is free for another read's once it is
// written.
func (c *conn) replyRead(w *wanted, messages []message, err error) {
	a := &answer{op: opReadMessagesResponse, after: func() { <-c.reading }}
	if err == nil {
		a.body = readAnswer{outcome{RequestID: w.id}, messages}
	} else {
		a.body = outcomeOf(w.id, err)
	}
	c.answers <- a
}

// collect reads messages. With errShort comes the sequence with which there might be
// enough.
func (c *conn) collect(ctx context.Context, w *wanted) (messages []message, enough uint64, err error) {
	name, size, full := w.stream.Name(), 0, false
	most := c.server.options.MaxAnswer
	next, err := w.stream.Read(ctx, w.from, w.max, math.MaxInt, func(m log.Message) bool {
		size += len(m.Payload) + len(name) + besideMessage
		if size > most && len(messages) > 0 {
			full = true
			return false
		}
		messages = append(messages, message{name, Integer(m.Seq), Integer(m.Time.UnixMilli()), m.Payload})
		return true
	})
	missing := w.min - len(messages)
	switch {
	case errors.Is(err, log.ErrDeleted), errors.Is(err, log.ErrClosed), err != nil && ctx.Err() != nil:
		return nil, 0, err
	case err != nil:
		return nil, 0, &failure{statusMessageStoreReadError, err.Error()}
	case missing <= 0:
		return messages, 0, nil
	case full:
		return nil, 0, &failure{statusResponsePayloadTooLarge,
			fmt.Sprintf("%d messages: want as many as fit into %d bytes", w.min, most)}
	}
	return nil, next + uint64(missing) - 1, errShort
}

// park lets a read wait for messages while the connection goes on.
func (c *conn) park(w *wanted) {
	c.places <- struct{}{}
	answered := make(chan struct{})
	c.mu.Lock()
	c.held[w.id] = answered
	c.mu.Unlock()
	c.parked.Go(func() {
		c.wait(w)
		c.mu.Lock()
		delete(c.held, w.id)
		c.mu.Unlock()
		close(answered)
		<-c.places
	})
}

// wait answers a read once there are enough messages, or its time is over.
func (c *conn) wait(w *wanted) {
	timed, cancel := context.WithTimeout(c.ctx, w.within)
	defer cancel()
	for {
		c.reading <- struct{}{}
		messages, enough, err := c.collect(c.ctx, w)
		if !errors.Is(err, errShort) || timed.Err() != nil {
			if err != nil && c.ctx.Err() != nil {
				err = c.ctx.Err()
			}
			c.replyRead(w, messages, err)
			return
		}
		<-c.reading
		if err := w.stream.Wait(timed, enough); err != nil && timed.Err() == nil {
			c.reply(opReadMessagesResponse, outcomeOf(w.id, err)) // the stream is gone
			return
		}
	}
}

// turn waits while a read with that request id does: clients that have one id for
// all tell answers apart by their order.
func (c *conn) turn(id string) {
	c.mu.Lock()
	answered := c.held[id]
	c.mu.Unlock()
	if answered != nil {
		<-answered
	}
}
