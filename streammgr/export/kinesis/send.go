package kinesis

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// maxTries is how many calls in a row may bring nothing before Send says so, with
// waits between them that are together less than a second.
const maxTries = 5

// Send puts a batch into Kinesis and blocks until all of it is there, an error comes
// that waiting doesn't mend, or ctx ends: nobody knows then whether Kinesis took the
// call that was under way. What it took behind the first message that it didn't take
// is remembered and not sent again.
func (t *Target) Send(ctx context.Context, batch []log.Message) (export.Sent, error) {
	s := t.plan(batch)
	err := s.run(ctx)
	s.finish()
	return export.Sent{Done: s.head, Bytes: s.bytes}, err
}

// run makes calls until nothing is left or it can't go on.
func (s *sending) run(ctx context.Context) error {
	for tries := 0; ; {
		call, wait := s.gather(time.Now())
		if len(s.lanes) == 0 {
			return s.unfit()
		}
		if len(call) > 0 {
			wait = s.pace.reserve(time.Now(), sizeOf(call))
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
		if len(call) == 0 {
			continue
		}
		progress, problem := s.put(ctx, call)
		switch {
		case progress:
			tries = 0
		case ctx.Err() != nil:
			return ctx.Err()
		case problem.kind == refused, problem.kind == expired && tries > 0:
			return problem
		default:
			if tries++; tries == maxTries {
				return problem
			}
		}
	}
}

// sending is one batch on its way.
type sending struct {
	*Target
	batch []log.Message
	taken []bool  // by place in the batch
	head  int     // messages before it are taken
	lanes []*lane // that have messages left, in the order of their first ones
	bytes int64   // that went out
}

// plan sorts a batch into lanes.
func (t *Target) plan(batch []log.Message) *sending {
	s := &sending{Target: t, batch: batch, taken: make([]bool, len(batch))}
	if len(batch) > 0 && (id{batch[0].Epoch, batch[0].Seq}).before(t.expected) {
		clear(t.ahead)
	}
	byKey := map[string]*lane{} // by what the template gives, and by what fits
	var key []byte
	var last *lane // of a random key
	size := 0
	for i := range batch {
		m := &batch[i]
		if _, ok := t.ahead[id{m.Epoch, m.Seq}]; ok {
			s.taken[i] = true
			continue
		}
		if t.keys.random {
			// A key of its own for each record; an aggregated one has its first message's.
			if size += len(m.Payload) + messageCost; last == nil || t.config.Format == FormatRaw || size > aggregateSize {
				last = &lane{key: number(m)}
				size = len(m.Payload) + messageCost
				s.lanes = append(s.lanes, last)
			}
			last.messages = append(last.messages, i)
			continue
		}
		key = t.keys.append(key[:0], m)
		l := byKey[string(key)]
		if l == nil {
			l = s.lane(byKey, string(key))
		}
		l.messages = append(l.messages, i)
	}
	s.advance()
	return s
}

// lane is that of a key which is met for the first time.
func (s *sending) lane(byKey map[string]*lane, key string) *lane {
	fitting := fit(key, maxKey)
	l := byKey[fitting]
	if l == nil {
		l = &lane{key: fitting}
		byKey[fitting] = l
		s.lanes = append(s.lanes, l)
	}
	byKey[key] = l
	return l
}

// gather makes a call: of each lane that isn't waiting one record, as many as go into
// it. Without any, wait is how long until a lane may go on.
func (s *sending) gather(now time.Time) (call []*lane, wait time.Duration) {
	size := 0
	left := s.lanes[:0]
	for _, l := range s.lanes {
		for l.next == nil && len(l.messages) > 0 {
			if full(len(call), size, s.pace.call) {
				break
			}
			if l.next = s.records.make(l, s.batch); l.next == nil {
				l.messages = l.messages[1:] // unfit, which is told when it is at the head
			}
		}
		if len(l.messages) == 0 {
			continue
		}
		left = append(left, l)
		if until := l.retry.at.Sub(now); until > 0 {
			if wait == 0 || until < wait {
				wait = until
			}
			continue
		}
		if l.next == nil || full(len(call), size, s.pace.call) || size+l.next.size() > maxCall {
			continue
		}
		call = append(call, l)
		size += l.next.size()
	}
	clear(s.lanes[len(left):])
	s.lanes = left
	return call, wait
}

// full reports whether a call has enough.
func full(records, size, most int) bool { return records == maxRecords || size >= most }

func sizeOf(call []*lane) int {
	size := 0
	for _, l := range call {
		size += l.next.size()
	}
	return size
}

// unfit is nil if all was taken: what is left then no record can hold.
func (s *sending) unfit() error {
	if s.head == len(s.batch) {
		return nil
	}
	m := &s.batch[s.head]
	return fmt.Errorf("kinesis: %s: message %d of %d bytes: %w: no record of at most %s can hold it", s.name, m.Seq, len(m.Payload), export.ErrUnfit, s.config.RecordSize)
}

// callHead is about what a call takes beside its records: HTTP's head with the
// signature and a session token, and the answer.
const callHead = 2 << 10

// put makes a call. progress says that Kinesis took something of it; without it, the
// error says why.
func (s *sending) put(ctx context.Context, call []*lane) (progress bool, problem *sendError) {
	in := s.input()
	size := 0
	for _, l := range call {
		in.Records = append(in.Records, l.next.entry)
		size += l.next.size()
	}
	ctx, cancel := context.WithTimeout(ctx, callTime(size))
	defer cancel()
	began := time.Now()
	s.stats.calls.Add(1)
	s.bytes += int64(size + callHead)
	out, err := s.client.PutRecords(ctx, in)
	now := time.Now()
	if err == nil && len(out.Records) != len(call) {
		err = errAnswer
	}
	if err != nil {
		return false, s.failed(now, now.Sub(began), call, size, err)
	}
	return s.sort(now, now.Sub(began), call, out)
}

// failed takes in that a whole call failed.
func (s *sending) failed(now time.Time, took time.Duration, call []*lane, size int, err error) *sendError {
	problem := s.classify(err)
	s.stats.failed.Add(uint64(len(call)))
	switch problem.kind {
	case throttled:
		s.stats.throttled.Add(uint64(len(call)))
		s.pace.result(now, took, 0, size)
	case transient:
		s.pace.cut()
	case expired:
		return problem // with other credentials it goes at once
	}
	for _, l := range call {
		l.retry.failed(now)
	}
	return problem
}

// sort takes in the answers to the records of a call.
func (s *sending) sort(now time.Time, took time.Duration, call []*lane, out *kinesis.PutRecordsOutput) (progress bool, problem *sendError) {
	taken, slowed := 0, 0
	for i, l := range call {
		size := l.next.size()
		code := out.Records[i].ErrorCode
		if code == nil || *code == "" {
			s.records.release(l.next)
			s.deliver(l, l.next.n)
			l.next, l.retry = nil, retry{}
			taken += size
			s.stats.records.Add(1)
			progress = true
			continue
		}
		l.retry.failed(now)
		s.stats.failed.Add(1)
		message := *code
		if text := out.Records[i].ErrorMessage; text != nil {
			message += ": " + *text
		}
		problem = s.problem(kindOf(*code, 0), message)
		if problem.kind == throttled {
			slowed += size
			s.stats.throttled.Add(1)
		}
	}
	s.stats.bytes.Add(uint64(taken))
	s.pace.result(now, took, taken, slowed)
	return progress, problem
}

// deliver notes that the lane's next messages are done with.
func (s *sending) deliver(l *lane, n int) {
	for _, at := range l.messages[:n] {
		s.taken[at] = true
	}
	l.messages = l.messages[n:]
	s.advance()
}

// advance moves head to the first message that isn't taken.
func (s *sending) advance() {
	for s.head < len(s.taken) && s.taken[s.head] {
		s.head++
	}
}

// finish keeps for the next batch what was taken out of turn.
func (s *sending) finish() {
	for i := range s.batch {
		m := id{s.batch[i].Epoch, s.batch[i].Seq}
		if i < s.head {
			delete(s.ahead, m)
			s.expected = id{m.epoch, m.seq + 1}
		} else if s.taken[i] {
			s.ahead[m] = struct{}{}
		}
	}
	for _, l := range s.lanes {
		if l.next != nil {
			s.records.release(l.next)
		}
	}
}
