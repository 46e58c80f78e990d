package log

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fascia-edge/fascia/clock"
)

const (
	// maxBlock is how many bytes are gathered into a block. From 64 KiB on more
	// gains nothing (docs/decisions/0014), and a reader takes whole blocks.
	maxBlock = 128 << 10
	// worthWhile is a block that goes before the one under way is acknowledged.
	// Smaller ones wait for that, and gather.
	worthWhile = 16 << 10
	// maxUnder is how many bytes of blocks are under way at a time.
	maxUnder = 1 << 20
	// acknowledgedWithin is how long a disk may stand still.
	acknowledgedWithin = 30 * time.Second
	// After a failure it is tried again in retryAfter, each time in twice that.
	retryAfter    = 200 * time.Millisecond
	maxRetryAfter = 30 * time.Second
)

// writer is what the goroutine that writes a stream has for itself.
type writer struct {
	session *session
	inbox   string
	sub     *nats.Subscription
	acks    chan *nats.Msg
	under   []*flight // under way, in order
	weight  int       // their bytes
	seq     uint64    // of the next message
	js      uint64    // of the last block under way, or lastJS
	buf     []byte
	header  nats.Header
	broken  error // why the server's state must be asked for
	tight   bool  // a log line told that the stream is full
}

// flight is a block under way.
type flight struct {
	js    uint64
	head  block
	size  int
	bytes int      // of payloads
	ends  []*batch // those whose last message it holds
	part  []*batch // those that it holds something of
	since time.Time
}

// writeLoop gathers what was appended into blocks, and sends them.
func (s *Stream) writeLoop() {
	defer s.abandon()
	late := time.NewTicker(time.Second)
	defer late.Stop()
	failures := 0
	for {
		if s.doubted.Swap(false) {
			s.broken = errDoubtful
		}
		if s.broken != nil && !s.repair() {
			failures++
			select {
			case <-time.After(min(retryAfter<<min(failures, 5), maxRetryAfter)):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		failures = 0
		for s.broken == nil && s.maySend() {
			s.send()
		}
		if s.broken != nil {
			continue
		}
		select {
		case <-s.kick:
		case m := <-s.acks:
			s.acknowledged(m)
		case <-late.C:
			if s.isLate() {
				s.broken = errNoAnswer
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// isLate tells whether the oldest block will not be acknowledged any more. A server
// that could not write it does not answer, and says so in its log.
func (s *Stream) isLate() bool {
	within := acknowledgedWithin
	if s.session.complained.Load() {
		within = time.Second
	}
	return len(s.under) > 0 && time.Since(s.under[0].since) > within
}

// abandon tells all that wait why nothing comes any more.
func (s *Stream) abandon() {
	s.detach()
	s.loseFlights(context.Cause(s.ctx))
	s.mu.Lock()
	queue := s.queue
	s.queue, s.queued = nil, 0
	s.giveRoom()
	s.mu.Unlock()
	for _, b := range queue {
		s.finish(b, context.Cause(s.ctx))
	}
}

// giveRoom wakes those who wait to append. The caller holds mu.
func (s *Stream) giveRoom() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// loseFlights gives up what is under way.
func (s *Stream) loseFlights(why error) {
	for _, f := range s.under {
		for _, b := range f.part {
			s.finish(b, why)
			s.discard(b)
		}
	}
	s.under, s.weight = nil, 0
}

// discard removes an append that failed from the queue.
func (s *Stream) discard(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > 0 && s.queue[0] == b {
		s.queue = s.queue[1:]
		s.queued -= b.size
		s.giveRoom()
	}
}

// repair asks the server where the stream stands, after a start and a failure.
func (s *Stream) repair() bool {
	e := s.engine
	s.loseFlights(fmt.Errorf("streams: append to %q: %w: %w", s.name, ErrUnavailable, s.broken))
	e.log.Warn("streams: a stream could not be written", "stream", s.name, "error", s.broken)
	if !isConflict(s.broken) {
		if err := e.renewSession(s.session); err != nil {
			e.log.Error("streams: the embedded server can't be started again", "error", err)
			return false
		}
	}
	if err := s.attach(); err != nil {
		s.broken = err
		return false
	}
	s.remember()
	s.broken = nil
	return true
}

// attach takes the stream up where the server has it.
func (s *Stream) attach() error {
	if err := s.subscribe(s.engine.current()); err != nil {
		return err
	}
	if err := s.resume(s.ctx); err != nil {
		return err
	}
	if s.session.server == nil {
		s.session.complained.Store(false) // it answers again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq, s.js = s.next, s.lastJS
	return nil
}

// detach gives the inbox up.
func (s *Stream) detach() {
	if s.sub != nil {
		_ = s.sub.Unsubscribe() // an error means that its connection is closed
		s.sub = nil
	}
}

// subscribe makes a new inbox for acknowledgements: those of what was given up
// must not be taken for those of what follows.
func (s *Stream) subscribe(ss *session) error {
	s.detach()
	inbox, acks := nats.NewInbox(), make(chan *nats.Msg, maxUnder/worthWhile+2)
	sub, err := ss.writes.ChanSubscribe(inbox+".*", acks)
	if err != nil {
		return err
	}
	s.session, s.inbox, s.sub, s.acks = ss, inbox, sub, acks
	return nil
}

// isConflict tells that somebody else wrote to the stream, and nothing failed.
func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// maySend tells whether a block is due. One goes at once if none is under way:
// there is nothing to wait for.
func (s *Stream) maySend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0 && (len(s.under) == 0 || s.queued >= worthWhile && s.weight < maxUnder)
}

// send makes a block of what waits and gives it to the server.
func (s *Stream) send() {
	if s.session != s.engine.current() {
		s.broken = errRestarted
		return
	}
	f, data := s.gather()
	if data == nil {
		for _, b := range f.ends {
			s.finish(b, nil)
		}
		return
	}
	if err := s.makeRoom(f.size); err != nil {
		s.refuse(f, err)
		return
	}
	if s.header == nil {
		s.header = nats.Header{}
	}
	s.header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatUint(s.js, 10)}
	f.js = s.js + 1
	m := nats.Msg{Subject: s.subject, Reply: s.inbox + "." + strconv.FormatUint(f.js, 10), Header: s.header, Data: data}
	s.under = append(s.under, f)
	s.weight += f.size
	if err := s.session.writes.PublishMsg(&m); err != nil {
		s.broken = err
		return
	}
	s.js, s.seq = f.js, f.head.next()
}

// gather fills a block. It takes as many whole appends as fit; one that is larger
// than a block is divided.
func (s *Stream) gather() (*flight, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := min(maxBlock, int(max(s.def.MaxSize/4, 1)))
	f := &flight{since: time.Now(), head: block{epoch: s.epoch, first: s.seq, mark: s.engine.clock.Mark(clock.Now())}}
	s.buf = append(s.buf[:0], make([]byte, maxHead)...)
	var before int64
	taken := 0
	for _, b := range s.queue {
		if f.head.count > 0 && len(s.buf)+b.size > limit {
			break
		}
		if f.head.count == 0 {
			before, f.head.base = b.at, b.at
		}
		if b.given == 0 {
			b.first = s.seq + uint64(f.head.count)
		}
		for b.given < len(b.payloads) {
			p := b.payloads[b.given]
			if f.head.count > 0 && len(s.buf)+len(p)+maxFrame > limit {
				break
			}
			s.buf = appendMessage(s.buf, p, b.at, before)
			before = b.at
			b.given++
			f.head.count++
			f.bytes += len(p)
		}
		f.part = append(f.part, b)
		if b.given < len(b.payloads) {
			break
		}
		f.ends = append(f.ends, b)
		s.queued -= b.size
		taken++
	}
	clear(s.queue[:taken])
	s.queue = s.queue[taken:]
	s.giveRoom()
	if f.head.count == 0 { // appends of no messages
		return f, nil
	}
	head := appendHead(make([]byte, 0, maxHead), f.head)
	data := s.buf[maxHead-len(head):]
	copy(data, head)
	f.size = len(data) + len(s.subject) + recordOverhead
	if cap(s.buf) > 2*maxBlock {
		s.buf = nil // of one large message
	}
	return f, data
}

// recordOverhead is about what JetStream stores beside a block and its subject:
// its own head and hash, and the header that keeps order.
const recordOverhead = 22 + 8 + 4 + 56

// overhead is what a message that has a block to itself takes at most beside its
// payload.
func (s *Stream) overhead() int {
	return maxHead + maxFrame + len(s.subject) + recordOverhead
}

// refuse ends the appends of a block that has no room.
func (s *Stream) refuse(f *flight, why error) {
	s.mu.Lock()
	s.info.Refused += uint64(f.head.count)
	told := s.tight
	s.tight = true
	s.mu.Unlock()
	if !told {
		s.engine.log.Warn("streams: a stream refuses messages", "stream", s.name, "error", why)
	}
	for _, b := range f.part {
		s.finish(b, why)
		s.discard(b)
	}
}

// pubAck is JetStream's answer to a block.
type pubAck struct {
	Error    *jetstream.APIError `json:"error"`
	Sequence uint64              `json:"seq"`
}

// acknowledged takes one in.
func (s *Stream) acknowledged(m *nats.Msg) {
	if err := statusError(m); err != nil {
		s.broken = err
		return
	}
	var ack pubAck
	err := json.Unmarshal(m.Data, &ack)
	if err == nil && ack.Error != nil {
		err = ack.Error
	}
	of := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if err == nil && (len(s.under) == 0 || of != strconv.FormatUint(s.under[0].js, 10) || ack.Sequence != s.under[0].js) {
		err = fmt.Errorf("acknowledgement %d of block %s came out of turn", ack.Sequence, of)
	}
	if err != nil {
		s.broken = err
		return
	}
	f := s.under[0]
	s.under = s.under[1:]
	s.weight -= f.size
	s.settle(f)
}

// settle takes a block into the stream, and tells those who appended it unless
// they wait for the disk.
func (s *Stream) settle(f *flight) {
	s.mu.Lock()
	s.next, s.lastJS = f.head.next(), f.js
	s.bytes += int64(f.size)
	if s.firstJS == f.js || s.first == f.head.first {
		s.oldest = f.head.base
	}
	s.info.Appended += uint64(f.head.count)
	s.info.AppendedBytes += uint64(f.bytes)
	s.info.Written += uint64(f.size)
	s.tight = false
	flush := s.def.Flush && s.files != nil
	if flush {
		s.flushing = append(s.flushing, f.ends...)
	}
	if s.files == nil {
		s.synced = s.next
	}
	s.mu.Unlock()
	if s.files != nil {
		s.engine.stored.Add(int64(f.size))
	}
	s.tell()
	if flush {
		s.engine.flush()
		s.tell()
		return
	}
	for _, b := range f.ends {
		s.finish(b, nil)
	}
}
