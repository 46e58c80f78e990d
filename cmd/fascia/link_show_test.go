package main

import (
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/gateway"
)

// What an operator must know stands below the table, and in the status; what is as it
// should be does not.
func TestNotesOfALinkSayWhatIsWrong(t *testing.T) {
	now := time.Now()
	troubled := bridge.LinkStatus{
		Name: "cloud", State: "down", Since: now.Add(-time.Hour), LastError: "resolve: no such host", Attempts: 7,
		Classes: []bridge.ClassStatus{
			{Name: "urgent", Held: "the budget is spent"}, // and nothing in it
			{Name: "bulk", Messages: 2, Bytes: 2048, Oldest: 61, Held: "send_when", Dropped: map[string]uint64{"full": 3, "expired": 1}},
		},
		Dead:    bridge.DeadStatus{Messages: 1},
		Budget:  &bridge.BudgetStatus{Used: 400e6, Month: 500e6, Since: "2026-11-15"},
		Refused: []string{"cmd/#"},
	}
	well := bridge.LinkStatus{Name: "fleet", State: "up", Since: now, LastError: "what it was before", RTT: 41.3, Endpoint: "mqtt://far", Protocol: "5"}
	list := []bridge.LinkStatus{troubled, well}
	want := []string{
		"resolve: no such host (7 tries)",
		"class bulk waits: send_when",
		"the far side refuses the subscription to cmd/#",
		"1 dead letter: fascia link dead ls cloud",
		"400.0 MB of 500.0 MB this month, which began on 2026-11-15",
	}
	if got := linkNotes(troubled); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := linkNotes(well); got != nil {
		t.Errorf("a link that is well: %q", got)
	}
	for what, c := range map[string]struct {
		print func(*strings.Builder) error
		want  []string
	}{
		"ls":        {func(b *strings.Builder) error { return printLinks(b, list, now) }, []string{"cloud  down   1h0m0s  -      2        2.0 kB  1m1s    4        1", "41 ms", "mqtt://far (MQTT 5)", "\ncloud: class bulk waits: send_when\n"}},
		"--classes": {func(b *strings.Builder) error { return printClasses(b, list) }, []string{"1 expired, 3 full"}},
		"status":    {func(b *strings.Builder) error { return printStatus(b, gateway.Status{Links: list}, false, false) }, []string{"down for 1h0m0s, 2 messages (2.0 kB) wait, the oldest for 1m1s, 4 dropped\n", "up for 0s, answers in 41 ms, nothing waits\n"}},
	} {
		var out strings.Builder
		if err := c.print(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", what, want, out.String())
			}
		}
	}
}
