package transmit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/vehicle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const flagMessage = `BO_ 256 Flags: 2 GTW
 SG_ A : 0|1@1+ (1,0) [0|1] "" GTW
 SG_ B : 1|1@1+ (1,0) [0|1] "" GTW
 SG_ C : 2|1@1+ (1,0) [0|1] "" GTW
`

// bench is a gate with a bus and an audit of the test's own making.
type bench struct {
	*Gate
	mu      sync.Mutex // guards the fields below
	entries []audit.Entry
	opened  int
	send    func(can.Frame) error
	open    error
	record  func(audit.Entry)
}

func newBench(t *testing.T, section string) *bench {
	t.Helper()
	b := &bench{send: func(can.Frame) error { return nil }, record: func(audit.Entry) {}}
	b.Gate = New(mustCompile(t, flagMessage, section), Options{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Record: func(e audit.Entry) (audit.Entry, error) {
			b.mu.Lock()
			record := b.record
			b.mu.Unlock()
			record(e)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.entries = append(b.entries, e)
			e.Seq = uint64(len(b.entries))
			return e, nil
		},
		OpenSink: func(string) (source.Sink, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.open != nil {
				return nil, b.open
			}
			b.opened++
			return b, nil
		},
	})
	b.Start(context.Background())
	t.Cleanup(b.Stop)
	return b
}

func (b *bench) Send(fr can.Frame) error {
	b.mu.Lock()
	send := b.send
	b.mu.Unlock()
	return send(fr)
}

func (b *bench) Close() error { return nil }

func (b *bench) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// ask asks as role driver; the answer comes on the channel.
func (b *bench) ask(signal string, expiry uint32) chan Answer {
	answers := make(chan Answer, 1)
	b.Request(Request{Target: "can0/Flags/" + signal, Payload: []byte("true"), Expiry: expiry, Origin: audit.Origin{Client: "c", Role: "driver"}},
		func(a Answer) { answers <- a })
	return answers
}

const flagRules = `rules:
  - {signal: A, roles: [driver], rate: 1000/s}
  - {signal: B, roles: [driver], rate: 1000/s, ttl: 20ms}
  - {signal: C, roles: [driver, "link:cloud"], rate: 1000/s, repeat: 3, every: 1ms}`

// What waited too long behind a bus that is stuck is not carried out any more.
func TestStaleRequestsAreRefused(t *testing.T) {
	b := newBench(t, flagRules)
	stuck, entered := make(chan struct{}), make(chan struct{})
	b.set(func() { b.send = func(can.Frame) error { close(entered); <-stuck; return nil } })
	first := b.ask("A", 0)
	<-entered
	second := b.ask("B", 0)
	time.Sleep(30 * time.Millisecond) // the time to live itself
	b.set(func() { b.send = func(can.Frame) error { return nil } })
	close(stuck)
	if a := <-first; a.Status != Done {
		t.Errorf("got %+v", a)
	}
	if a := <-second; a.Status != Refused || a.Rule != "can0.Flags.B" || !strings.Contains(a.Reason, "old: want at most 20ms") {
		t.Errorf("got %+v", a)
	}
}

func TestMessageExpiryBoundsTheTimeToLive(t *testing.T) {
	s := &sender{}
	r := mustCompile(t, flagMessage, flagRules).rules[0]
	now := vehicle.BootNow()
	for _, c := range []struct {
		expiry uint32
		age    time.Duration
		stale  bool
	}{{0, 1500 * time.Millisecond, false}, {0, 2500 * time.Millisecond, true}, {1, 1500 * time.Millisecond, true}, {1, 500 * time.Millisecond, false}, {60, 2500 * time.Millisecond, true}} {
		j := job{Request: Request{Expiry: c.expiry}, value: vehicle.Bool(true), at: now - int64(c.age)}
		if _, reason := s.decide(&queued{j, r}, now); (reason != "") != c.stale {
			t.Errorf("expiry %d s, %s old: %q", c.expiry, c.age, reason)
		}
	}
}

// A bus that can't be opened or fails refuses, and is tried again.
func TestBusThatFailsIsToldAndTriedAgain(t *testing.T) {
	b := newBench(t, flagRules)
	b.set(func() { b.open = errors.New("no such device") })
	if a := <-b.ask("A", 0); a.Status != Refused || a.Reason != "bus can0: no such device" {
		t.Errorf("got %+v", a)
	}
	b.set(func() { b.open, b.send = nil, func(can.Frame) error { return errors.New("network is down") } })
	if a := <-b.ask("A", 0); a.Status != Refused || a.Reason != "bus can0: network is down" {
		t.Errorf("got %+v", a)
	}
	frames := 0
	b.set(func() {
		b.send = func(can.Frame) error {
			if frames++; frames == 2 {
				return errors.New("bus off")
			}
			return nil
		}
	})
	if a := <-b.ask("C", 0); a.Status != TimedOut || a.Reason != "1 of 3 frames were sent: bus can0: bus off" {
		t.Errorf("got %+v", a)
	}
	if a := <-b.ask("C", 0); a.Status != Done || frames != 5 || b.opened != 3 {
		t.Errorf("got %+v after %d frames and %d times opened", a, frames, b.opened)
	}
	var outcomes []string
	for _, e := range b.entries {
		outcomes = append(outcomes, e.Outcome)
	}
	if got := strings.Join(outcomes, " "); got != "sending refused sending refused sending timeout sending done" {
		t.Errorf("the audit has %s", got)
	}
}

// Queues are bounded: what doesn't fit is refused, and where even that can't be
// recorded, counted and summed up. Nobody who asks is held up.
func TestFloodIsRefusedWithoutWaiting(t *testing.T) {
	b := newBench(t, flagRules)
	stuck := make(chan struct{})
	b.set(func() { b.record = func(audit.Entry) { <-stuck } }) // the disk
	const flood = 1000
	answers := make(chan Answer, flood)
	for range flood {
		b.Request(Request{Target: "can0/Flags/A", Payload: []byte("true"), Origin: audit.Origin{Role: "driver"}}, func(a Answer) { answers <- a })
	}
	lost := int(b.Lost())
	if lost < flood-mostWaiting-mostEnded-2 {
		t.Errorf("%d of %d are lost, though %d fit", lost, flood, mostWaiting+mostEnded)
	}
	close(stuck)
	for range flood - lost {
		if a := <-answers; a.Status == Refused && !strings.Contains(a.Reason, "busy: 64 requests wait for bus can0") {
			t.Fatalf("got %+v", a)
		}
	}
	b.Stop()
	summed := false
	for _, e := range b.entries {
		summed = summed || strings.Contains(e.Reason, "of them without an answer")
	}
	if !summed {
		t.Error("the audit does not tell of what was lost")
	}
	refused := make(chan Answer, 1)
	b.Request(Request{Target: "can0/Flags/A"}, func(a Answer) { refused <- a })
	if a := <-refused; a.Reason != "the gateway stops" {
		t.Errorf("after the stop: %+v", a)
	}
}

// The origin decides: a message of a link has the link's role, whatever role it
// was given; one of nobody has none.
func TestOriginDecides(t *testing.T) {
	b := newBench(t, flagRules)
	for _, c := range []struct {
		origin audit.Origin
		signal string
		reason string
	}{
		{audit.Origin{Role: "driver"}, "A", ""},
		{audit.Origin{}, "A", "it comes from nobody"},
		{audit.Origin{Role: "driver", Link: "cloud"}, "A", "role link:cloud may not: want driver"},
		{audit.Origin{Role: "link:cloud", Link: "cloud"}, "C", ""},
		{audit.Origin{Role: "rear_passenger"}, "C", "role rear_passenger may not: want driver, link:cloud"},
	} {
		answers := make(chan Answer, 1)
		b.Request(Request{Target: "can0/Flags/" + c.signal, Payload: []byte("true"), Origin: c.origin}, func(a Answer) { answers <- a })
		if a := <-answers; (c.reason == "") != (a.Status == Done) || !strings.Contains(a.Reason, c.reason) {
			t.Errorf("%+v: %+v, want %q", c.origin, a, c.reason)
		}
	}
}

// A dry run sends nothing and changes nothing, not even what a later one shows.
func TestDryRunChangesNothing(t *testing.T) {
	b := newBench(t, flagRules+"\nmessages: [{message: Flags, checksum: {byte: 1, kind: xor, data_id: 0x10}}]")
	b.set(func() { b.send = func(fr can.Frame) error { t.Errorf("%s was sent", fr); return nil } })
	for range 3 {
		answers := make(chan Answer, 1)
		b.Try(Request{Target: "can0/Flags/C", Payload: []byte("true"), Origin: audit.Origin{Role: "driver"}}, func(a Answer) { answers <- a })
		if a := <-answers; a != (Answer{Status: Allowed, Rule: "can0.Flags.C", Frame: "100#0414"}) {
			t.Errorf("got %+v", a)
		}
		b.Try(Request{Target: "can0/Flags/C", Payload: []byte("7"), Origin: audit.Origin{Role: "driver"}}, func(a Answer) { answers <- a })
		if a := <-answers; a.Status != Refused || a.Reason != "value 7: want true or false" || a.Frame != "" {
			t.Errorf("got %+v", a)
		}
	}
	if len(b.entries) != 0 || b.opened != 0 || len(b.Rules()[2].Counts) != 0 {
		t.Errorf("%d entries, %d times opened, %+v", len(b.entries), b.opened, b.Rules()[2])
	}
}
