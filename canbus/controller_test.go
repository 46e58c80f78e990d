package canbus

import (
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

// errorFrame is an error frame of those classes, with the data bytes 1, 6 and 7.
func errorFrame(classes uint32, details, txErrors, rxErrors byte) can.Frame {
	return can.Frame{ID: classes, Flags: can.Error, Len: 8, Data: [64]byte{1: details, 6: txErrors, 7: rxErrors}}
}

func TestErrorFramesTellTheStateOfTheBus(t *testing.T) {
	r := newRig(t, "signals: []", "can0")
	r.broker.await(t, "health/bus/can0", 1) // active
	r.send(t, 0,
		errorFrame(0x204, 0x08, 96, 0),   // warning
		errorFrame(0x0A8, 0, 0, 0),       // no acknowledgement, protocol and bus error: no change
		errorFrame(0x204, 0x20, 128, 0),  // passive
		errorFrame(0x204, 0x20, 129, 0),  // passive still
		errorFrame(0x040, 0, 0, 0),       // bus off
		errorFrame(0x100, 0, 0, 0),       // restarted
		errorFrame(0x102, 0x10, 0, 0),    // restarted and a lost arbitration
		errorFrame(0x004, 0x01, 0, 0),    // the controller was not read in time
		errorFrame(0x004, 0x44, 0, 0x7F)) // of two directions the worse counts
	states := []string{busActive, busWarning, busPassive, busOff, busActive, busWarning}
	for i, p := range r.broker.await(t, "health/bus/can0", len(states)) {
		if !strings.HasPrefix(p.payload, `{"state":"`+states[i]+`"`) || !p.retain {
			t.Errorf("change %d: got %s, want %s", i, p.payload, states[i])
		}
	}
	if p := r.broker.await(t, "health/bus/can0", 2)[1]; !strings.Contains(p.payload, "error counters 96 sending and 0 receiving") {
		t.Errorf("got %s, want the counters", p.payload)
	}
	s := r.buses.Status()[0]
	want := map[string]uint64{"bus_off": 1, "restarted": 2, "no_acknowledgement": 1, "protocol": 1, "bus_error": 1, "arbitration_lost": 1, "controller_overflow": 1}
	if len(s.Errors) != len(want) || s.State != busWarning || !s.Active() || s.Other != 9 {
		t.Errorf("got %+v", s)
	}
	for kind, n := range want {
		if s.Errors[kind] != n {
			t.Errorf("%s: got %d, want %d", kind, s.Errors[kind], n)
		}
	}
	r.send(t, 0, errorFrame(0x040, 0, 0, 0))
	if s := r.buses.Status()[0]; s.Active() || s.State != busOff {
		t.Errorf("got %+v, want a bus from which no frames can come", s)
	}
}
