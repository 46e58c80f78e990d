package health

import (
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
)

// watched is what the goroutine of a bus has at hand for each frame of Motor.
func watched(t testing.TB) (m *Message, s *Signal, rule *mapping.Rule, fr can.Frame, value dbc.Value) {
	t.Helper()
	c := newCar(t, "messages: [{message: Motor, counter: Alive}], signals: [{path: Vehicle.Speed, stuck_after: 5s}]")
	motor := c.db.Message(256, false)
	fr = can.Frame{ID: 256, Len: 4}
	values, err := motor.Decode(&fr, nil)
	if err != nil {
		t.Fatal(err)
	}
	rule = c.mapped.Rules[0]
	return c.watches.Message(motor), c.watches.Signal(rule), rule, fr, values[0]
}

func TestWatchingAllocatesNothing(t *testing.T) {
	m, s, rule, fr, value := watched(t)
	converted := rule.Convert(value)
	boot := begin
	if n := testing.AllocsPerRun(1000, func() {
		boot += look
		m.Frame(&fr, boot)
		s.See(value, converted, boot)
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkFrame(b *testing.B) {
	for name, counted := range map[string]bool{"plain": false, "counter": true} {
		b.Run(name, func(b *testing.B) {
			m, _, _, fr, _ := watched(b)
			if !counted {
				m.counter = nil
			}
			b.ReportAllocs()
			boot := begin
			for i := 0; b.Loop(); i++ {
				fr.Data[2] = byte(i) & 15
				boot += ms
				m.Frame(&fr, boot)
			}
		})
	}
}

func BenchmarkSignal(b *testing.B) {
	for name, moves := range map[string]bool{"plain": false, "stuck_after": true} {
		b.Run(name, func(b *testing.B) {
			_, s, rule, _, value := watched(b)
			converted := rule.Convert(value)
			s.moves = moves
			b.ReportAllocs()
			boot := begin
			for b.Loop() {
				boot += ms
				value.Raw++ // the worst case: it changes with each frame
				s.See(value, converted, boot)
			}
		})
	}
}

// A look at 100 messages and 500 signals, all of them ok.
func BenchmarkLook(b *testing.B) {
	c := newCar(b, "")
	c.drive(2e9, counting)
	template := c.monitor.byTopic[speed]
	for range 600 - len(c.monitor.entries) {
		c.monitor.entries = append(c.monitor.entries, template)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.look()
	}
}
