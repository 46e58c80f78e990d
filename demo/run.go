package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// mostSteps bounds what Run catches up after a stall, in steps at one tick. What
// is late beyond that is left out: the car stood still with the machine.
const mostSteps = 10

// Run drives in real time and sends what the ECUs have to say, until the
// context ends, whose error it then returns, or the sink fails. Send is called
// by this goroutine alone, a handful of times every Step.
func (v *Vehicle) Run(ctx context.Context, sink interface{ Send(can.Frame) error }) error {
	ticker := time.NewTicker(Step)
	defer ticker.Stop()
	frames := make([]can.Frame, 0, 32)
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		var steps int
		steps, last = due(last, time.Now())
		for range steps {
			frames = v.Step(frames[:0])
			for _, fr := range frames {
				if err := sink.Send(fr); err != nil {
					return fmt.Errorf("demo: send frame %s: %w", fr, err)
				}
			}
		}
	}
}

// due is how many steps are to be simulated now, and up to when that brings the
// simulation.
func due(last, now time.Time) (steps int, reached time.Time) {
	steps = int(now.Sub(last) / Step)
	if steps > mostSteps {
		return mostSteps, now
	}
	return steps, last.Add(time.Duration(steps) * Step)
}
