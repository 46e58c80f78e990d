package streammgr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/streammgr/log"
)

const (
	// queuePrefix begins the names of the streams' queues at the broker; the stream's
	// name follows.
	queuePrefix = "streams/"
	// mostQueued is how many messages may wait in a queue, however small they are.
	mostQueued = 1 << 20
	// A batch ends with whichever comes first. It fits into one block of the log, so
	// that it is stored whole or not at all, and a full stream takes nothing twice.
	batchMessages = 1000
	batchBytes    = 96 << 10
	// messageOverhead is more than a message takes in a block beside its payload.
	messageOverhead = 16
	// mostUnsynced is how many batches may be in the stream and not synced.
	mostUnsynced = 1024
	// A stream that takes nothing is tried again after a pause that doubles.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
)

// published leads published messages into a stream, by way of a durable queue: what
// the broker has acknowledged is in the queue, and leaves it when it is synced in the
// stream. After a crash the last messages may be in the stream twice.
type published struct {
	stream *stream
	queue  Queue
	feeds  []*filterFeed // guarded by Manager.life

	tooLarge, expired, unreadable atomic.Uint64
	problem                       atomic.Pointer[string] // why nothing is taken now, nil if it is

	unsynced chan batchEnd
	stop     context.CancelFunc // ends the pump
	giveUp   context.CancelFunc // ends the wait for what is not synced
	running  sync.WaitGroup
}

// filterFeed is the feed of one filter.
type filterFeed struct {
	config FeedConfig
	cancel func()
}

// batchEnd is the end of a batch that is in the stream.
type batchEnd struct {
	pos uint64 // behind its last message in the queue
	seq uint64 // of its last message in the stream
}

// openPublished opens the queue of a stream and begins to fill the stream from it.
func openPublished(s *stream) (*published, error) {
	q, err := s.manager.options.Broker.OpenQueue(queuePrefix+s.name, s.config.queueLimits())
	if err != nil {
		return nil, fmt.Errorf("stream %q: feeds: %w", s.name, err)
	}
	p := &published{stream: s, queue: q, unsynced: make(chan batchEnd, mostUnsynced)}
	var pumping, settling context.Context
	pumping, p.stop = context.WithCancel(s.manager.ctx)
	settling, p.giveUp = context.WithCancel(context.WithoutCancel(s.manager.ctx))
	p.running.Go(func() { p.pump(pumping) })
	p.running.Go(func() { p.settle(settling) })
	return p, nil
}

func (c *StreamConfig) queueLimits() QueueLimits {
	return QueueLimits{Bytes: int(c.FeedQueue), Messages: mostQueued, Reject: c.WhenFull == log.Reject}
}

// use leads what the filters of a configuration match into the queue, in place of
// those before. For a moment both do: rather twice than not at all.
func (p *published) use(c *StreamConfig) error {
	p.queue.SetLimits(c.queueLimits())
	var next []*filterFeed
	var failed error
	for _, f := range c.Feeds {
		if f.Filter == "" {
			continue
		}
		i := slices.IndexFunc(p.feeds, func(old *filterFeed) bool {
			return old.config.Filter == f.Filter && old.config.Form == f.Form && !slices.Contains(next, old)
		})
		if i >= 0 {
			next = append(next, p.feeds[i])
			continue
		}
		cancel, err := p.queue.Feed(f.Filter, f.Retained, f.take())
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("stream %q: feed %q: %w", p.stream.name, f.Filter, err))
			continue
		}
		next = append(next, &filterFeed{f, cancel})
	}
	for _, old := range p.feeds {
		if !slices.Contains(next, old) {
			old.cancel()
		}
	}
	p.feeds = next
	return failed
}

// take says what is written beside a message of the feed: what its form needs.
func (c *FeedConfig) take() func(*message.Publication) ([]byte, bool) {
	if c.Form == formEnvelope {
		return func(*message.Publication) ([]byte, bool) { return appendStamp(nil, time.Now()), true }
	}
	return func(*message.Publication) ([]byte, bool) { return nil, true }
}

// pump fills the stream from the queue until ctx ends.
func (p *published) pump(ctx context.Context) {
	defer close(p.unsynced)
	l, err := p.stream.await(ctx)
	if err != nil {
		return
	}
	for from := p.queue.Head(); ctx.Err() == nil; {
		payloads, next, err := p.read(from)
		switch {
		case err != nil:
			p.hold(err)
			pause(ctx, lastPause)
		case len(payloads) > 0:
			last, some, err := p.append(ctx, l, payloads)
			if err != nil {
				return
			}
			if !some {
				p.end(from, next)
			} else {
				p.unsynced <- batchEnd{next, last}
			}
			from = next
		case next > from: // nothing of it is of use
			from = next
		default:
			select {
			case <-p.queue.Wake():
			case <-ctx.Done():
			}
		}
	}
}

// read gives a batch of what waits in the queue, and ends what can't go in.
func (p *published) read(from uint64) (payloads [][]byte, next uint64, err error) {
	bytes, at := 0, from
	next, err = p.queue.Read(from, batchMessages, func(it Item) bool {
		payload, ok := p.payload(it)
		if !ok {
			p.queue.Done(it.Pos)
			at = it.Pos + 1
			return true
		}
		size := len(payload) + messageOverhead
		if len(payloads) > 0 && bytes+size > p.stream.batchBytes() {
			return false
		}
		payloads, bytes, at = append(payloads, payload), bytes+size, it.Pos+1
		return bytes < p.stream.batchBytes()
	})
	if at > from {
		next = at
	}
	return payloads, next, err
}

// payload is what goes into the stream for a message; false if nothing can.
func (p *published) payload(it Item) ([]byte, bool) {
	switch {
	case it.Err != nil:
		p.unreadable.Add(1)
		p.stream.logger.Error("a stored message can't be read, and does not come into the stream", "error", it.Err)
		return nil, false
	case it.Expires != 0 && clock.Now() >= it.Expires:
		p.expired.Add(1)
		return nil, false
	}
	payload := it.Message.Payload
	if len(it.Meta) > 0 {
		payload = envelope(&it.Message, readStamp(it.Meta))
	}
	return payload, true
}

// append puts a batch into the stream, however long that takes. some is false if there
// was nothing in it that fits. The error says that the stream or ctx has ended.
func (p *published) append(ctx context.Context, l *log.Stream, payloads [][]byte) (last uint64, some bool, err error) {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		first, err := l.Append(ctx, payloads...)
		switch {
		case err == nil:
			p.problem.Store(nil)
			return first + uint64(len(payloads)) - 1, true, nil
		case errors.Is(err, log.ErrTooLarge) && len(payloads) > 1:
			return p.appendEach(ctx, l, payloads)
		case errors.Is(err, log.ErrTooLarge):
			if p.tooLarge.Add(1) == 1 {
				p.stream.logger.Warn("a published message is too large for the stream; so are further ones, which are counted", "error", err)
			}
			return 0, false, nil
		case ctx.Err() != nil || errors.Is(err, log.ErrDeleted) || errors.Is(err, log.ErrClosed):
			return 0, false, err
		}
		p.hold(err)
		pause(ctx, wait)
	}
}

// appendEach is append for a batch of which some message is too large.
func (p *published) appendEach(ctx context.Context, l *log.Stream, payloads [][]byte) (last uint64, some bool, err error) {
	for i := range payloads {
		at, taken, err := p.append(ctx, l, payloads[i:i+1])
		if err != nil {
			return 0, false, err
		}
		if taken {
			last, some = at, true
		}
	}
	return last, some, nil
}

// hold notes why nothing is taken.
func (p *published) hold(err error) {
	text := err.Error()
	if p.problem.Swap(&text) == nil {
		p.stream.logger.Warn("published messages wait for the stream", "error", err)
	}
}

// settle ends in the queue what is synced in the stream, until the pump has ended and
// nothing is left.
func (p *published) settle(ctx context.Context) {
	from := p.queue.Head()
	for b := range p.unsynced {
		l, err := p.stream.await(ctx) // it is there
		if err == nil {
			err = l.WaitSynced(ctx, b.seq)
		}
		if err != nil {
			continue // it comes again, and is in the stream twice then
		}
		p.end(from, b.pos)
		from = b.pos
	}
}

// end ends what is in the queue from one position to before another.
func (p *published) end(from, to uint64) {
	for pos := max(from, p.queue.Head()); pos < to; pos++ {
		p.queue.Done(pos)
	}
}

// close ends the feeds, and waits until ctx ends for what is being synced. What is in
// the queue stays.
func (p *published) close(ctx context.Context) {
	for _, f := range p.feeds {
		f.cancel()
	}
	p.feeds = nil
	p.stop()
	stop := context.AfterFunc(ctx, p.giveUp)
	p.running.Wait()
	stop()
	p.giveUp()
	p.queue.Close()
}

// pause waits, but not longer than ctx lives.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
