package log

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// window is how many bytes are asked for at a time, and hints how many places
	// are remembered: each exporter and reader goes on where it was.
	window = 512 << 10
	hints  = 32
	// maxAsked is how many blocks are asked for at a time.
	maxAsked = 256
)

// stored is a block as the server has it.
type stored struct {
	js    uint64
	block block
	bad   error        // why it can't be used
	used  atomic.Int64 // when it was read last, in nanoseconds since 1970: readers share it
}

// hint says that the message seq is in block js, or in none before it.
type hint struct{ seq, js uint64 }

// Read calls fn for messages from a sequence on, in order: up to limit of them, and
// of maxBytes in all but for the first one, until fn returns false or there are no
// more. next is where to go on. A sequence below the oldest stands for the oldest.
// Blocks that the disk has damaged are left out, counted and logged. Read may block
// on the disk; fn may keep the payloads. Errors are ctx's or wrap ErrDeleted,
// ErrClosed or ErrUnavailable, after which what fn has had stays good.
func (s *Stream) Read(ctx context.Context, from uint64, limit, maxBytes int, fn func(Message) bool) (next uint64, err error) {
	s.mu.Lock()
	until := s.next
	s.mu.Unlock()
	return s.read(ctx, from, until, limit, maxBytes, fn)
}

// ReadSynced is like Read, and leaves out what a loss of power may take back:
// exporters read by it.
func (s *Stream) ReadSynced(ctx context.Context, from uint64, limit, maxBytes int, fn func(Message) bool) (next uint64, err error) {
	s.mu.Lock()
	until := s.synced
	s.mu.Unlock()
	return s.read(ctx, from, until, limit, maxBytes, fn)
}

func (s *Stream) read(ctx context.Context, from, until uint64, limit, maxBytes int, fn func(Message) bool) (uint64, error) {
	from = max(from, s.oldestSeq())
	if from >= until || limit <= 0 {
		return from, nil
	}
	js, err := s.locate(ctx, from)
	if err != nil {
		return from, s.readError(err)
	}
	begun := hint{from, js}
	r := reading{from: from, until: until, limit: limit, bytes: maxBytes, fn: fn}
	for !r.over && r.from < until {
		blocks, err := s.blocks(ctx, js, min(window, max(r.bytes, 1)))
		if err != nil {
			return r.from, s.readError(err)
		}
		if len(blocks) == 0 { // one that can't be read, or the end
			if js > s.newestJS() {
				s.lose(r.from, until)
				return until, nil
			}
			js++
			continue
		}
		for _, b := range blocks {
			js = b.js
			s.take(&r, b)
			if r.over {
				break
			}
			js++
		}
	}
	s.moveHint(begun, hint{r.from, js})
	return r.from, nil
}

// reading is a Read on its way.
type reading struct {
	from, until uint64
	limit       int
	bytes       int
	fn          func(Message) bool
	some        bool // fn was called
	over        bool
}

// take reads one block.
func (s *Stream) take(r *reading, b *stored) {
	bad := b.bad
	if bad == nil {
		if b.block.first > r.from {
			if b.block.first >= r.until {
				s.lose(r.from, r.until)
				r.from, r.over = r.until, true
				return
			}
			s.lose(r.from, b.block.first)
			r.from = b.block.first
		}
		bad = b.block.each(r.from, r.give)
	}
	if bad != nil {
		s.engine.log.Error("streams: a block is damaged and left out", "stream", s.name, "block", b.js, "error", bad)
	}
	if r.over {
		b.used.Store(time.Now().UnixNano())
		s.block.Store(b)
	}
}

// give passes on one message.
func (r *reading) give(m Message) bool {
	if m.Seq >= r.until || r.limit == 0 || r.some && len(m.Payload) > r.bytes {
		r.over = true
		return false
	}
	r.some = true
	r.limit--
	r.bytes -= len(m.Payload)
	r.from = m.Seq + 1
	if !r.fn(m) || r.limit == 0 || r.bytes <= 0 {
		r.over = true
	}
	return !r.over
}

// lose counts messages that can't be read, unless they were removed, or counted
// before.
func (s *Stream) lose(from, to uint64) {
	s.mu.Lock()
	from = max(from, s.first, s.lostTo)
	if from < to {
		s.info.Lost += to - from
		s.lostTo = to
	}
	s.mu.Unlock()
	if from < to {
		s.engine.log.Error("streams: messages are lost", "stream", s.name, "from", from, "to", to-1)
	}
}

// readError wraps an error of a server, and puts the end of the stream first.
func (s *Stream) readError(err error) error {
	if why := context.Cause(s.ctx); why != nil {
		return why
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return unavailable("read", s.name, err)
}

func (s *Stream) oldestSeq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

func (s *Stream) newestJS() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastJS
}

// moveHint remembers where a reader has got to, in place of where it came from.
func (s *Stream) moveHint(from, to hint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range s.hints {
		if h == from {
			s.hints[i] = to
			return
		}
	}
	s.hints[s.hintAt] = to
	s.hintAt = (s.hintAt + 1) % hints
}

// clearHints forgets all places. The caller holds mu.
func (s *Stream) clearHints() { s.hints = [hints]hint{} }

// locate finds the block that a message is in, or the first one behind it: by what
// is remembered, else by halving, and by guessing from how many messages a block
// holds.
func (s *Stream) locate(ctx context.Context, seq uint64) (uint64, error) {
	s.mu.Lock()
	lo, hi := hint{s.first, s.firstJS}, hint{s.next, s.lastJS + 1}
	for _, h := range s.hints {
		switch {
		case h.js < lo.js || h.js > hi.js:
		case h.seq == seq:
			s.mu.Unlock()
			return h.js, nil
		case h.seq < seq && h.js > lo.js:
			lo = h
		case h.seq > seq && h.js < hi.js:
			hi = h
		}
	}
	s.mu.Unlock()
	if seq < lo.seq {
		return lo.js, nil
	}
	for halve := false; hi.js > lo.js+1; halve = !halve {
		guess := lo.js + (hi.js-lo.js)/2
		if !halve && hi.seq > lo.seq {
			guess = lo.js + uint64(float64(hi.js-lo.js)*float64(seq-lo.seq)/float64(hi.seq-lo.seq))
			guess = min(max(guess, lo.js+1), hi.js-1)
		}
		b, err := s.good(ctx, guess, hi.js)
		switch {
		case err != nil:
			return 0, err
		case b == nil || b.block.first > seq:
			hi.js = guess
			if b != nil {
				hi.seq = b.block.first
			}
		case b.block.next() > seq:
			return b.js, nil
		default:
			lo = hint{b.block.next(), b.js + 1}
		}
	}
	return lo.js, nil
}

// good is the first block from js on, and before end, that can be read; nil if
// there is none.
func (s *Stream) good(ctx context.Context, js, end uint64) (*stored, error) {
	for js < end {
		blocks, err := s.blocks(ctx, js, 1)
		if err != nil {
			return nil, err
		}
		if len(blocks) == 0 {
			js++
			continue
		}
		if b := blocks[0]; b.js >= end {
			return nil, nil
		} else if b.bad == nil {
			return b, nil
		} else {
			js = b.js + 1
		}
	}
	return nil, nil
}

// SeqAt is the sequence of the first message appended at t or later, the next one
// if there is none. Where the clock was set back it is one of those that fit. Errors
// are as for Read.
func (s *Stream) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	first, next := s.bounds()
	if first == next {
		return next, nil
	}
	ss := s.engine.current()
	// A block is stored after its messages were appended.
	blocks, err := s.ask(ctx, ss, getRequest{StartTime: t.UTC().Format(time.RFC3339Nano), Batch: 1})
	if err != nil {
		return 0, s.readError(err)
	}
	for len(blocks) > 0 {
		b := blocks[0]
		found, at := false, uint64(0)
		if b.bad == nil {
			_ = b.block.each(b.block.first, func(m Message) bool {
				if !m.Time.Before(t.Truncate(time.Millisecond)) {
					found, at = true, m.Seq
				}
				return !found
			})
		}
		if found {
			return max(at, first), nil
		}
		if blocks, err = s.blocks(ctx, b.js+1, 1); err != nil {
			return 0, s.readError(err)
		}
	}
	return next, nil
}

func (s *Stream) bounds() (first, next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.next
}

// blocks are the next blocks from js on, as many as come to some bytes, at least
// one; none where one can't be read, and behind the last one.
func (s *Stream) blocks(ctx context.Context, js uint64, bytes int) ([]*stored, error) {
	if b := s.block.Load(); b != nil && b.js == js {
		return []*stored{b}, nil
	}
	return s.ask(ctx, s.engine.current(), getRequest{Seq: js, Batch: maxAsked, MaxBytes: bytes})
}

// rest lets go of the block that was read last, once nobody reads.
func (s *Stream) rest() {
	if b := s.block.Load(); b != nil && time.Since(time.Unix(0, b.used.Load())) > 10*time.Second {
		s.block.CompareAndSwap(b, nil)
	}
}

// getRequest is JetStream's, for messages without a consumer.
type getRequest struct {
	Seq       uint64 `json:"seq,omitempty"`
	LastFor   string `json:"last_by_subj,omitempty"`
	StartTime string `json:"start_time,omitempty"`
	Batch     int    `json:"batch,omitempty"`
	MaxBytes  int    `json:"max_bytes,omitempty"`
}

// ask gets blocks.
func (s *Stream) ask(ctx context.Context, ss *session, request getRequest) ([]*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	answers := make(chan *nats.Msg, maxAsked+1)
	inbox := nats.NewInbox()
	sub, err := ss.reads.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // an error means that the connection is closed
	if err := ss.reads.PublishRequest("$JS.API.DIRECT.GET."+s.server, inbox, body); err != nil {
		return nil, err
	}
	var blocks []*stored
	for {
		select {
		case m := <-answers:
			switch status := m.Header.Get("Status"); {
			case status == "404", status == "204":
				return blocks, nil
			case status != "":
				return nil, statusError(m)
			}
			blocks = append(blocks, decode(m))
			if request.Batch == 0 {
				return blocks, nil
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errNoAnswer, ctx.Err())
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		}
	}
}

func decode(m *nats.Msg) *stored {
	js, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	b := &stored{js: js, bad: err}
	if err == nil {
		b.block, b.bad = decodeBlock(m.Data)
	}
	return b
}

var (
	errNoAnswer  = errors.New("no answer")
	errRestarted = errors.New("the server was started again")
)

func statusError(m *nats.Msg) error {
	if status := m.Header.Get("Status"); status != "" {
		return fmt.Errorf("%s %s", status, m.Header.Get("Description"))
	}
	return nil
}

// serverState is what the server has of the stream. One in memory, which the server
// has forgotten, is made again.
func (s *Stream) serverState(ctx context.Context) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	js := s.engine.current().js
	stream, err := js.Stream(ctx, s.server)
	if d := s.Definition(); d.Memory && errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, s.engine.config(d))
	}
	if err != nil {
		return jetstream.StreamState{}, err
	}
	return stream.CachedInfo().State, nil
}

// ends are the oldest and the newest block that can be read; nil if none can.
func (s *Stream) ends(ctx context.Context, firstJS, lastJS uint64) (oldest, newest *stored, err error) {
	if oldest, err = s.good(ctx, firstJS, lastJS+1); oldest == nil {
		return nil, nil, err
	}
	// The newest stands behind the last place that is known to be good.
	for step := uint64(0); newest == nil; step = 2*step + 1 {
		from := oldest.js
		if lastJS > oldest.js+step {
			from = lastJS - step
		}
		for js := from; js <= lastJS; {
			b, err := s.good(ctx, js, lastJS+1)
			if err != nil {
				return nil, nil, err
			}
			if b == nil {
				break
			}
			newest, js = b, b.js+1
		}
	}
	return oldest, newest, nil
}
