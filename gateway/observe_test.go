package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// The counters of the rooms reach Prometheus under their names.
func TestMetricsTellWhatTheRoomsCount(t *testing.T) {
	log := goodLog + // decoded
		"(1600000000.000000) can0 101#00\n" + // unused
		strings.Repeat("(1600000000.000000) can0 102#00\n", 2) + // unknown
		strings.Repeat("(1600000000.000000) can0 100#00\n", 3) + // short
		strings.Repeat("(1600000000.000000) can0 100#R\n", 4) +
		"(1600000000.000000) can0 1\n"
	g := running(t, write(t, map[string]string{"drive.log": log, "car.dbc": goodDBC + "\nBO_ 257 Spare: 1 ECU\n SG_ Nothing : 0|8@1+ (1,0) [0|0] \"\" ECU\n"}))
	for deadline := time.Now().Add(20 * time.Second); g.Status().Buses[0].State != "ended"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log has not ended: %+v", g.Status().Buses[0])
		}
	}
	publisher(t, g)("a", "1")
	awaitReady(t, g)
	server, err := listenMetrics("127.0.0.1:0", g)
	if err != nil {
		t.Fatal(err)
	}
	server.start()
	defer server.stop(t.Context())
	text := scrape(t, "http://"+server.ln.Addr().String()+"/metrics")
	for _, want := range []string{
		`fascia_ready 1`,
		`fascia_info{version=""} 1`,
		`fascia_broker_clients 1`,
		`fascia_broker_messages_received_total 1`,
		`fascia_broker_messages_dropped_total{reason="connection_full"} 0`,
		`fascia_broker_messages_dropped_total{reason="session_full"} 0`,
		`fascia_broker_messages_dropped_total{reason="purged"} 0`,
		`fascia_broker_publishes_rejected_total 0`,
		`fascia_listener_accepted_total{listener="local"} 1`,
		`fascia_listener_refused_total{listener="local",reason="connect"} 0`,
		`fascia_listener_refused_total{listener="local",reason="connect_rate"} 0`,
		`fascia_session_queued_messages{client="gnss"} 0`,
		`fascia_session_dropped_total{client="gnss"} 0`,
		`fascia_store_refuses 0`,
		`fascia_can_bus_active{bus="can0"} 0`, // the log has ended
		`fascia_can_bus_state{bus="can0",state="ended"} 1`,
		`fascia_can_bus_state{bus="can0",state="bus_off"} 0`,
		`fascia_can_errors_total{bus="can0",kind="no_acknowledgement"} 0`,
		`fascia_can_frames_total{bus="can0",outcome="decoded"} 1`,
		`fascia_can_frames_total{bus="can0",outcome="unused"} 1`,
		`fascia_can_frames_total{bus="can0",outcome="unknown_id"} 2`,
		`fascia_can_frames_total{bus="can0",outcome="short"} 3`,
		`fascia_can_frames_total{bus="can0",outcome="remote_or_error"} 4`,
		`fascia_can_source_faults_total{bus="can0",kind="torn_line"} 1`,
		`fascia_can_invalid_values_total{bus="can0"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			name, _, _ := strings.Cut(want, "{")
			t.Errorf("no %s in:\n%s", want, lines(text, strings.Fields(name)[0]))
		}
	}
	if s := g.Status(); s.Messages.In != 1 || s.Clients.Connected != 1 || s.Values != 1 || s.MemoryBytes < 1<<20 || s.MemoryBytes > 1<<30 {
		t.Errorf("got %+v", s)
	}
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", url, response.Status, err)
	}
	return string(body)
}

// lines are those of text that begin with prefix.
func lines(text, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestLogHasTheFormAndLevelAskedFor(t *testing.T) {
	const text, json = `level=WARN msg=told`, `"level":"WARN","msg":"told"`
	for _, c := range []struct{ format, level, want string }{
		{"auto", "info", json}, // no terminal
		{"json", "warn", json},
		{"text", "info", text},
		{"text", "error", ""},
	} {
		var out bytes.Buffer
		var level slog.LevelVar
		log := newLogger(LogConfig{Level: c.level, Format: c.format}, &out, &level)
		log.Warn("told")
		if got := out.String(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("format %s, level %s: got %q, want %q", c.format, c.level, got, c.want)
		}
	}
}

func TestLogIsTextOnATerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no terminal to be had: %v", err)
		}
		t.Skipf("no terminal to be had: %v", err)
	}
	defer terminal.Close()
	if !IsTerminal(terminal) {
		t.Error("a terminal is taken for something else")
	}
	var level slog.LevelVar
	if handler := fmt.Sprintf("%T", newLogger(LogConfig{Level: "info", Format: "auto"}, terminal, &level).Handler()); handler != "*slog.TextHandler" {
		t.Errorf("got a %s", handler)
	}
}

func TestWarningsOfTheConfigurationAreLogged(t *testing.T) {
	var out bytes.Buffer
	overlapping := goodDBC + ` SG_ Other : 0|8@1+ (1,0) [0|0] "" ECU` + "\n"
	doubtful := goodMapping + "  - {signal: Motor.Gear, path: Vehicle.Gear, type: uint8, values: {5: P}}\n"
	g, err := New(write(t, map[string]string{"car.dbc": overlapping, "mapping.yaml": doubtful}), Options{Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	status := strings.Join(g.Status().Config.Warnings, "\n")
	for _, file := range []string{"car.dbc:", "mapping.yaml:"} {
		if !strings.Contains(out.String(), file) || !strings.Contains(status, file) {
			t.Errorf("no warning of %s: logged %s, status %s", file, out.String(), status)
		}
	}
}
