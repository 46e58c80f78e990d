package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/health"
)

// The health of messages and signals reaches the status and Prometheus.
func TestStatusAndMetricsTellHealth(t *testing.T) {
	const watched = "  health: {messages: [{message: Motor, cycle: 10ms}]}\n"
	g := running(t, write(t, map[string]string{"fascia.yaml": goodConfig + watched}))
	missing := func(s health.Status) bool {
		return len(s.Buses) == 1 && s.Buses[0].Messages[health.Missing] == 1 && s.Buses[0].Signals[health.Missing] == 1
	}
	for deadline := time.Now().Add(20 * time.Second); !missing(g.Status().Health); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has ended, and its message is not missing: %+v", g.Status().Health)
		}
	}
	server, err := listenMetrics("127.0.0.1:0", g)
	if err != nil {
		t.Fatal(err)
	}
	server.start()
	defer server.stop(t.Context())
	text := scrape(t, "http://"+server.ln.Addr().String()+"/metrics")
	for _, want := range []string{
		`fascia_can_messages{bus="can0",state="missing"} 1`,
		`fascia_can_messages{bus="can0",state="ok"} 0`,
		`fascia_can_signals{bus="can0",state="missing"} 1`,
		`fascia_can_signals{bus="can0",state="out_of_range"} 0`,
		`fascia_can_miscounts_total{bus="can0"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s in:\n%s", want, lines(text, "fascia_can_"))
		}
	}
}
