package transmit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/vehicle"
)

// lookEvery is how often the vehicle's state is held against the answers that
// are awaited. A signal on the bus wakes the sender by itself.
const lookEvery = 5 * time.Millisecond

// sender owns sending on one bus: it decides in the order in which requests
// come, so that the condition holds when the frame leaves, and not when the
// request came.
type sender struct {
	gate  *Gate
	bus   string
	queue chan queued
	wake  chan struct{} // a proof was found
	log   *slog.Logger

	sink    source.Sink // nil until the first frame
	flights []*flight
}

// flight is a request that was let through.
type flight struct {
	queued
	demand demand
	of     uint64 // its audit entry
	left   int    // frames still to send
	next   int64  // boot time of the next one
	sent   int64  // boot time of the first
	until  int64  // boot time until which the answer is awaited
	proof  *proof // nil unless a signal proves it
	proved bool
}

// run serves requests until ctx ends.
func (s *sender) run(ctx context.Context) {
	defer s.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(s.pause(vehicle.BootNow()))
		select {
		case <-ctx.Done():
			s.giveUp()
			return
		case q := <-s.queue:
			s.take(q)
		case <-s.wake:
		case <-timer.C:
		}
		s.advance()
	}
}

// take decides on a request and sends its first frame.
func (s *sender) take(q queued) {
	now := vehicle.BootNow()
	d, reason := s.decide(&q, now)
	if q.job.dry {
		s.gate.ended <- s.rehearse(&q, d, reason)
		return
	}
	if reason != "" {
		s.refuse(q, reason, 0)
		return
	}
	// Before the frame leaves: no frame is sent that the audit does not know of.
	entry, err := s.gate.options.Record(q.job.entry(q.rule, "sending", ""))
	if err != nil {
		s.refuse(q, fmt.Sprintf("it can't be recorded: %v", err), 0)
		return
	}
	q.rule.bucket.take()
	f := &flight{queued: q, demand: d, of: entry.Seq, left: q.rule.config.Repeat}
	if err := s.launch(f); err != nil {
		s.refuse(q, err.Error(), entry.Seq)
		return
	}
	s.flights = append(s.flights, f)
}

// decide holds a request against its rule. It changes nothing.
func (s *sender) decide(q *queued, now int64) (demand, string) {
	r := q.rule
	if q.job.invalid != nil {
		return demand{}, q.job.invalid.Error()
	}
	d, err := r.demand(q.job.value)
	if err != nil {
		return d, err.Error()
	}
	if r.secOC != "" {
		return d, r.secOC
	}
	life := time.Duration(r.config.TTL)
	if expiry := time.Duration(q.job.Expiry) * time.Second; expiry > 0 {
		life = min(life, expiry)
	}
	if age := time.Duration(now - q.job.at); age > life {
		return d, fmt.Sprintf("it is %s old: want at most %s", age.Round(time.Millisecond), life)
	}
	if slices.ContainsFunc(s.flights, func(f *flight) bool { return f.rule.signal == r.signal }) {
		return d, "busy: a request for the same signal is under way"
	}
	if err := r.condition(now); err != nil {
		return d, err.Error()
	}
	if !r.bucket.ready(now) {
		return d, fmt.Sprintf("more than %s", r.bucket.rate)
	}
	return d, ""
}

// rehearse is the outcome of a dry run.
func (s *sender) rehearse(q *queued, d demand, reason string) ended {
	a := Answer{Status: Allowed, Reason: reason}
	if reason != "" {
		a.Status = Refused
	}
	if q.job.invalid == nil && d.asked.IsValid() && q.rule.secOC == "" {
		a.Frame = q.rule.message.build(q.rule.signal, d.physical).String()
	}
	return ended{job: q.job, rule: q.rule, answer: a}
}

// launch sends the first frame and begins to look for the answer.
func (s *sender) launch(f *flight) error {
	if s.sink == nil {
		sink, err := s.gate.options.OpenSink(s.bus)
		if err != nil {
			return fmt.Errorf("bus %s: %w", s.bus, err)
		}
		s.sink = sink
	}
	if a := f.rule.answer; a != nil && a.signal != nil {
		f.proof = &proof{signal: a.signal, raw: rawOf(a.signal, f.demand.physical), after: vehicle.BootNow()}
		a.message.await(f.proof)
	}
	f.sent = vehicle.BootNow()
	if err := s.send(f); err != nil {
		s.land(f)
		return err
	}
	f.until = f.sent
	if f.rule.answer != nil {
		f.until += int64(f.rule.answer.within)
	}
	return nil
}

// send sends the next frame of a flight.
func (s *sender) send(f *flight) error {
	now := vehicle.BootNow()
	if err := f.rule.message.send(f.rule.signal, f.demand.physical, s.sink.Send); err != nil {
		s.close() // the next request opens it anew
		return fmt.Errorf("bus %s: %w", s.bus, err)
	}
	f.left--
	f.next = now + int64(f.rule.config.Every)
	return nil
}

// advance sends what is due and ends what is proved or over.
func (s *sender) advance() {
	s.flights = slices.DeleteFunc(s.flights, func(f *flight) bool {
		now := vehicle.BootNow()
		if f.left > 0 && now >= f.next {
			if err := s.repeat(f); err != nil {
				s.end(f, TimedOut, fmt.Sprintf("%d of %d frames were sent: %v", f.rule.config.Repeat-f.left, f.rule.config.Repeat, err))
				return true
			}
		}
		f.proved = f.proved || s.isProved(f, now)
		switch {
		case f.left > 0:
			return false
		case f.rule.answer == nil:
			s.end(f, Done, "")
		case f.proved:
			s.end(f, Done, "")
		case now >= f.until:
			s.end(f, TimedOut, fmt.Sprintf("no proof within %s of %s", f.rule.answer.within, f.rule.status().Answer))
		default:
			return false
		}
		return true
	})
}

// repeat sends a further frame, if the vehicle's state still allows it.
func (s *sender) repeat(f *flight) error {
	if s.sink == nil {
		return errors.New("the bus has failed")
	}
	if err := f.rule.condition(vehicle.BootNow()); err != nil {
		return err
	}
	return s.send(f)
}

func (s *sender) isProved(f *flight, now int64) bool {
	switch a := f.rule.answer; {
	case a == nil:
		return false
	case f.proof != nil:
		return a.message.proved(f.proof)
	default:
		return a.proves(f.rule, f.demand, f.sent, now)
	}
}

// pause is how long nothing is to be done.
func (s *sender) pause(now int64) time.Duration {
	wait := time.Hour
	for _, f := range s.flights {
		if f.left > 0 {
			wait = min(wait, time.Duration(f.next-now))
		} else {
			wait = min(wait, time.Duration(f.until-now))
		}
		if f.rule.answer != nil && f.proof == nil {
			wait = min(wait, lookEvery)
		}
	}
	return max(wait, 0)
}

// giveUp ends everything when the gateway stops or takes other rules.
func (s *sender) giveUp() {
	for _, f := range s.flights {
		s.end(f, TimedOut, "it was sent; the gateway stops or takes other rules, and does not wait for the answer")
	}
	s.flights = nil
	s.gate.refuseAll(s.queue)
}

func (s *sender) refuse(q queued, reason string, of uint64) {
	s.gate.ended <- ended{job: q.job, rule: q.rule, answer: Answer{Status: Refused, Reason: reason}, of: of}
}

func (s *sender) end(f *flight, status Status, reason string) {
	s.land(f)
	s.gate.ended <- ended{job: f.job, rule: f.rule, answer: Answer{Status: status, Reason: reason}, of: f.of}
}

// land stops looking for a proof.
func (s *sender) land(f *flight) {
	if f.proof != nil {
		f.rule.answer.message.forget(f.proof)
	}
}

func (s *sender) close() {
	if s.sink != nil {
		if err := s.sink.Close(); err != nil {
			s.log.Warn("a bus was not closed in order", "error", err)
		}
		s.sink = nil
	}
}
