package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/gateway"
)

// The status names what is not ok, but for what its bus or message explains, and
// no more of it than fits a screen.
func TestStatusNamesWhatIsNotOK(t *testing.T) {
	s := gateway.Status{Health: health.Status{
		Buses: []health.BusCounts{
			{Bus: "can0", Messages: map[health.State]int{health.OK: 10, health.Missing: 25}, Signals: map[health.State]int{health.OK: 3, health.Stuck: 1}},
			{Bus: "can1", Messages: map[health.State]int{health.OK: 2}, Signals: map[health.State]int{}},
		},
		Troubles: []health.Trouble{
			{Name: "can0/Lost", State: health.Missing, Reason: "bus can0: down", Cause: "bus"},
			{Name: "Vehicle.Speed", State: health.Stuck, Reason: "the same value for more than 5s", Since: time.Unix(1, 0)},
		},
	}}
	for i := range 24 {
		s.Health.Troubles = append(s.Health.Troubles, health.Trouble{Name: fmt.Sprintf("can0/M%d", i), State: health.Missing})
	}
	var out strings.Builder
	if err := printStatus(&out, s, false, false); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"messages: 12 ok, 25 missing; signals: 3 ok, 1 stuck\n", "Vehicle.Speed stuck since ", ": the same value for more than 5s\n", "can0/M18 missing", "and 5 more: --json has them\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "can0/Lost") || strings.Contains(text, "can0/M19") {
		t.Errorf("too much in:\n%s", text)
	}
	out.Reset()
	if err := printStatus(&out, gateway.Status{}, false, false); err != nil || strings.Contains(out.String(), "health") {
		t.Errorf("without anything to watch: %s, %v", out.String(), err)
	}
}
