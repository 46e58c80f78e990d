package demo

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// sink is a bus that calls a function for each frame.
type sink func(can.Frame) error

func (s sink) Send(fr can.Frame) error { return s(fr) }

func TestRunSendsInRealTimeUntilStopped(t *testing.T) {
	v := New(Seed)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	const want = 100 // a little over 0.2 s
	count := 0
	began := time.Now()
	err := v.Run(ctx, sink(func(can.Frame) error {
		if count++; count == want {
			stop()
		}
		return nil
	}))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got error %v, want %v", err, context.Canceled)
	}
	if count < want {
		t.Fatalf("%d frames in 30 s", count)
	}
	// What is due at one tick is still sent, but no more.
	if simulated := time.Duration(v.state.Elapsed * float64(time.Second)); simulated > time.Since(began)+Step {
		t.Errorf("simulated %s in %s", simulated, time.Since(began))
	}
}

func TestRunEndsWithTheSink(t *testing.T) {
	v := New(Seed)
	down := errors.New("network is down")
	if err := v.Run(t.Context(), sink(func(can.Frame) error { return down })); !errors.Is(err, down) {
		t.Errorf("got error %v, want %v", err, down)
	}
}

func TestStallIsCaughtUpWithinBounds(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name    string
		passed  time.Duration
		steps   int
		reached time.Duration
	}{
		{"too early", 9 * time.Millisecond, 0, 0},
		{"on time", 10 * time.Millisecond, 1, 10 * time.Millisecond},
		{"a little late: the rest is kept", 29 * time.Millisecond, 2, 20 * time.Millisecond},
		{"as late as can be caught up", 109 * time.Millisecond, 10, 100 * time.Millisecond},
		{"a long stall is left out", time.Hour, mostSteps, time.Hour},
	} {
		steps, reached := due(start, start.Add(c.passed))
		if steps != c.steps || reached != start.Add(c.reached) {
			t.Errorf("%s: %d steps up to %s, want %d up to %s", c.name, steps, reached.Sub(start), c.steps, c.reached)
		}
	}
}
