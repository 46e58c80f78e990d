package load

import (
	"context"
	"fmt"
)

// open connects everyone: subscribers first, so that they miss nothing.
func (r *run) open(ctx context.Context) error {
	err := each(len(r.subscribers), func(i int) error { return r.subscribers[i].join(ctx, r) })
	if err != nil {
		return err
	}
	return each(len(r.publishers), func(i int) (err error) {
		p := r.publishers[i]
		p.client, err = r.o.connect(ctx, fmt.Sprintf("publisher %d", i), fmt.Sprintf("%s-pub%d", r.o.ClientID, i), passing)
		if err != nil {
			return err
		}
		r.meter.connections.Add(1)
		p.prepare(r.t.Size, r.t.Retain)
		return nil
	})
}

func (r *run) newPublisher(i int) *publisher {
	p := &publisher{
		topic: r.t.topic(r.o.Prefix, i),
		qos:   r.t.QoS,
		word:  uint64(r.number)<<runShift | uint64(i)<<sequenceBits,
		wake:  make(chan struct{}, 1),
	}
	p.credit.limit, p.credit.receives = int64(r.t.Credits), int64(r.t.receivers(i))
	if r.t.Count > 0 { // the first ones send what does not divide
		p.count = (r.t.Count + uint64(r.t.Publishers-1-i)) / uint64(r.t.Publishers)
	}
	return p
}

func (r *run) newSubscriber(i int, books *books) *subscriber {
	return &subscriber{
		id:         fmt.Sprintf("%s-sub%d", r.o.ClientID, i),
		label:      fmt.Sprintf("subscriber %d", i),
		filter:     r.t.filter(r.o.Prefix, i),
		publishers: r.publishers,
		run:        r.number,
		credits:    r.t.Credits > 0,
		books:      books,
	}
}

// join connects and subscribes. An absent subscriber leaves again.
func (s *subscriber) join(ctx context.Context, r *run) error {
	use := passing
	if r.t.Persistent {
		use = kept
	}
	c, err := r.o.connect(ctx, s.label, s.id, use)
	if err != nil {
		return err
	}
	s.session = r.t.Persistent
	if err := c.subscribe(s.filter, r.t.QoS); err != nil {
		_ = c.socket.Close() // of no use
		return err
	}
	r.meter.connections.Add(1)
	if r.t.Absent {
		c.goodbye()
		return nil
	}
	s.client = c
	return nil
}
