package demo

import (
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

// The climate control takes over what it is asked for by frames that are in
// order, and by no others.
func TestClimateTakesRequestsThatAreInOrder(t *testing.T) {
	db := database(t)
	v := New(Seed)
	before := v.State().SetPoint
	ask := func(setPoint float64, count uint8, damage byte) can.Frame {
		var m *dbc.Message
		for _, m = range db.Messages {
			if m.Name == climateAsk {
				break
			}
		}
		fr := can.Frame{ID: m.ID, Len: uint8(m.Size)}
		for _, s := range m.Signals {
			switch s.Name {
			case setPointAsk:
				s.Encode(fr.Bytes(), setPoint)
			case aliveCounter:
				s.Encode(fr.Bytes(), float64(count))
			}
		}
		fr.Data[7] = protect(fr.ID, fr.Bytes(), 7) ^ damage
		return fr
	}
	for _, c := range []struct {
		name  string
		frame can.Frame
		want  float64
	}{
		{"damaged", ask(25, 3, 1), before},
		{"in order", ask(25, 3, 0), 25},
		{"counter stands still", ask(20, 3, 0), 25},
		{"out of range", ask(40, 4, 0), 25},
		{"of another message", can.Frame{ID: 7, Len: 8}, 25},
		{"too short", can.Frame{ID: ask(0, 0, 0).ID, Len: 1}, 25},
		{"the next", ask(18.5, 5, 0), 18.5},
	} {
		v.Receive(c.frame)
		v.Step(nil)
		if got := v.State().SetPoint; got != c.want {
			t.Errorf("%s: the set point is %v, want %v", c.name, got, c.want)
		}
	}
	for range 10 * mostRequests { // a full mailbox holds up nobody
		v.Receive(ask(20, 6, 0))
	}
}
