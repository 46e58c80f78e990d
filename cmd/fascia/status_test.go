package main

import (
	"testing"

	"github.com/fascia-edge/fascia/canbus"
)

func TestStatusSaysWhatErrorFramesTold(t *testing.T) {
	b := canbus.BusStatus{State: "passive", Reason: "no acknowledgement", Errors: map[string]uint64{"restarted": 2, "bus_off": 1}}
	if got, want := trouble(b), "\n\tno acknowledgement\n\terror frames told: bus_off 1 restarted 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
