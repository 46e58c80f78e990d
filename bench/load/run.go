package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// run is one load of messages from opening to closing.
type run struct {
	o           Options
	t           Traffic
	number      byte // in every message
	publishers  []*publisher
	subscribers []*subscriber
	meter       *meter

	begun       bool
	interrupted bool
	checked     bool // everything that had to come had its time to come

	stop    chan struct{} // closed when publishers have to end
	once    sync.Once     // for stop
	failed  chan struct{} // closed when failure is set
	failing sync.Once
	failure error
	closing atomic.Bool    // connections end because the run does
	readers sync.WaitGroup // of connections, and the pinger
	done    chan struct{}  // ends the pinger

	start, until sample // of what is measured
	returned     sample // when the absent subscribers came back
	drained      sample // when all was delivered
}

func newRun(o Options, t Traffic) *run {
	r := &run{
		o: o, t: t,
		number:      byte(rand.Uint32()),
		publishers:  make([]*publisher, t.Publishers),
		subscribers: make([]*subscriber, t.Subscribers),
		stop:        make(chan struct{}),
		failed:      make(chan struct{}),
		done:        make(chan struct{}),
	}
	for i := range r.publishers {
		r.publishers[i] = r.newPublisher(i)
	}
	group := newBooks(t.Publishers)
	for i := range r.subscribers {
		books := group
		if t.Shape != Shared {
			books = newBooks(t.Publishers)
		}
		r.subscribers[i] = r.newSubscriber(i, books)
	}
	r.meter = newMeter(o, r.count)
	return r
}

// execute is the whole run. connected is called between connecting and
// publishing.
func (r *run) execute(ctx context.Context, connected func()) (*Result, error) {
	err := r.open(ctx)
	if err == nil {
		connected()
		err = r.measure(ctx)
	}
	err = errors.Join(err, r.close())
	if !r.begun {
		return nil, err
	}
	return r.result(), err
}

// measure publishes and waits for what was published.
func (r *run) measure(ctx context.Context) error {
	r.begin()
	r.publish(ctx)
	if r.t.Absent {
		r.checked = r.comeBack(ctx) && r.drain(ctx.Done())
	} else {
		r.checked = r.drain(nil)
	}
	r.drained = r.meter.sample()
	r.interrupted = ctx.Err() != nil
	r.meter.stop()
	if !r.ok() {
		return r.failure
	}
	return nil
}

// begin starts the readers of all connections.
func (r *run) begin() {
	r.begun = true
	from := clock() + int64(r.t.WarmUp)
	for i, p := range r.publishers {
		if r.t.QoS > 0 {
			p.window = newWindow(min(r.t.Window, p.receiveMaximum), from)
		}
		if r.t.Rate > 0 { // a step's publishers one after the other, not all at once
			step := float64(time.Second) / r.t.Rate
			p.pace = newPace(r.t.Rate, clock()+int64(step*float64(i)/float64(len(r.publishers))))
		}
		r.read(p.read)
	}
	for _, s := range r.subscribers {
		s.measureFrom = from
		if !r.t.Absent {
			r.read(s.read)
		}
	}
	r.ping(r.clients())
}

func (r *run) read(read func() error) {
	r.readers.Go(func() {
		if err := read(); err != nil && !r.closing.Load() {
			r.fail(err)
		}
	})
}

// publish lets the publishers go and waits until they have ended and what they
// sent is acknowledged.
func (r *run) publish(ctx context.Context) {
	var publishing sync.WaitGroup
	for _, p := range r.publishers {
		publishing.Go(func() {
			if err := p.publish(r.stop); err != nil {
				r.fail(err)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		publishing.Wait()
		close(ended)
	}()
	r.start = r.meter.sample()
	if r.t.WarmUp > 0 {
		r.meter.enter("warm up")
		r.wait(ctx, ended, r.t.WarmUp)
		r.start = r.meter.sample()
	}
	r.meter.enter("publish")
	if r.t.Count == 0 {
		r.wait(ctx, ended, r.t.Duration)
		r.until = r.meter.sample()
	} else {
		r.wait(ctx, ended, forever)
	}
	r.end()
	cut := time.AfterFunc(r.t.Drain, func() { // a broker that takes nothing any more
		for _, p := range r.publishers {
			_ = p.socket.SetWriteDeadline(time.Unix(1, 0))
		}
	})
	<-ended
	cut.Stop()
	r.settle(nil, r.answered, func() uint64 { return r.count().acknowledged })
	if r.t.Count > 0 {
		r.until = r.meter.sample()
	}
}

const forever = time.Duration(1<<63 - 1)

// wait waits until the time is over or publishing has ended, for whatever reason.
func (r *run) wait(ctx context.Context, ended <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ended:
	case <-r.failed:
	case <-ctx.Done():
	}
}

// drain waits for the messages that are still to come.
func (r *run) drain(cancel <-chan struct{}) bool {
	r.meter.enter("drain")
	return r.settle(cancel, r.complete, func() uint64 { return r.count().delivered })
}

// settle waits until all is done, or until nothing has moved on for the time that
// Drain gives. It reports false when it was cancelled or the run failed.
func (r *run) settle(cancel <-chan struct{}, done func() bool, progress func() uint64) bool {
	const look = 2 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	last, since := progress(), time.Now()
	for !done() {
		select {
		case <-ticker.C:
		case <-cancel:
			return false
		case <-r.failed:
			return false
		}
		if now := progress(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > r.t.Drain {
			break
		}
	}
	return r.ok()
}

// answered reports whether the broker has answered every message of QoS 1 and 2.
func (r *run) answered() bool {
	for _, p := range r.publishers {
		if p.window != nil && !p.window.idle() {
			return false
		}
	}
	return true
}

// complete reports whether all messages that were not refused were delivered.
func (r *run) complete() bool {
	var want uint64
	for _, p := range r.publishers {
		want += (p.sent.Load() - p.refused.Load()) * uint64(p.credit.receives)
	}
	return r.count().delivered >= want
}

// comeBack connects the absent subscribers.
func (r *run) comeBack(ctx context.Context) bool {
	if ctx.Err() != nil || !r.ok() {
		return false
	}
	r.meter.hold()
	r.returned = r.meter.sample()
	err := each(len(r.subscribers), func(i int) (err error) {
		s := r.subscribers[i]
		if s.client, err = r.o.connect(ctx, s.label, s.id, kept); err != nil {
			return err
		}
		if !s.present {
			return fmt.Errorf("%s: the broker did not keep its session", s.label)
		}
		r.read(s.read)
		return nil
	})
	if err != nil {
		r.fail(err)
		return false
	}
	back := make([]*client, len(r.subscribers))
	for i, s := range r.subscribers {
		back[i] = s.client
	}
	r.ping(back)
	return true
}

// fail ends the run for a reason, the first of which counts.
func (r *run) fail(err error) {
	r.failing.Do(func() {
		r.failure = err
		close(r.failed)
	})
	r.end()
}

func (r *run) ok() bool {
	select {
	case <-r.failed:
		return false
	default:
		return true
	}
}

// end makes the publishers end.
func (r *run) end() { r.once.Do(func() { close(r.stop) }) }

// count adds up what everyone has counted.
func (r *run) count() (n counts) {
	for _, p := range r.publishers {
		n.sent += p.sent.Load()
		n.acknowledged += p.acknowledged.Load()
	}
	for _, s := range r.subscribers {
		n.delivered += s.delivered.Load()
	}
	return n
}
