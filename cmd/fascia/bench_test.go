package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bench/load"
	"github.com/fascia-edge/fascia/gateway"
)

// benchConfig has room for what the scenarios need by default.
const benchConfig = `
data_dir: data
broker:
  listeners: [{name: local, address: "127.0.0.1:0", auth: [anonymous]}]
  limits: {SESSION}
`

func benched(t *testing.T, limits string) *process {
	t.Helper()
	return start(t, configured(t, map[string]string{"fascia.yaml": strings.ReplaceAll(benchConfig, "SESSION", limits)}))
}

func TestBenchRunsEveryScenario(t *testing.T) {
	p := benched(t, "")
	for _, args := range [][]string{
		{"pair", "-d", "200ms", "--warmup", "100ms"},
		{"pair", "-d", "200ms", "-q", "2", "--mqtt", "5"},
		{"fanout", "-d", "200ms", "--subs", "5"},
		{"wildcard", "-d", "200ms", "--retain"},
		{"shared", "-d", "200ms", "-q", "1"},
		{"latency", "-d", "200ms"},
		{"durable", "-d", "200ms", "--pubs", "4", "--rate", "500"},
		{"durable", "-d", "200ms", "--pubs", "4", "--rate", "500", "--offline"},
		{"backlog", "-n", "2000"},
		{"idle", "-d", "200ms", "--connections", "30"},
		{"connect", "-d", "200ms", "--clients", "10"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			args := append([]string{"bench"}, append(args, "--url", p.url(), "--find-pid")...)
			r := run(t, args...)
			if r.code != 0 || r.stderr != "" || !strings.HasPrefix(r.stdout, args[1]) || !strings.Contains(r.stdout, "broker CPU") {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			var told struct {
				Scenario string
				Lost     *uint64
				Broken   []string
			}
			r = run(t, append(args, "--json")...)
			if err := json.Unmarshal([]byte(r.stdout), &told); err != nil {
				t.Fatalf("%v: %s", err, r.stdout)
			}
			if told.Scenario != args[1] || len(told.Broken) > 0 || told.Lost != nil && *told.Lost > 0 {
				t.Errorf("got %s", r.stdout)
			}
		})
	}
}

func TestBenchGoesOverEveryTransport(t *testing.T) {
	p := guarded(t, os.Getuid())
	trust := []string{"--cafile", filepath.Join(p.dir, "ca.pem")}
	own := append(trust[:2:2], "--cert", filepath.Join(p.dir, "navigation.pem"), "--key", filepath.Join(p.dir, "navigation.key"))
	for _, c := range []struct {
		url, prefix string
		flags       []string
	}{
		{"mqtt://" + p.address("local"), "bench", nil},
		{"mqtts://" + p.address("tls"), "bench", trust},
		{"mqtts://" + p.address("mutual"), "ivi/navigation", own},
		{"ws://" + p.address("web"), "bench", nil},
		{"wss://" + p.address("web-mutual"), "ivi/navigation", own},
		{"unix://" + filepath.Join(p.dir, "peers.sock"), "service", nil},
	} {
		t.Run(c.url, func(t *testing.T) {
			args := append([]string{"bench", "pair", "-q", "1", "-d", "200ms", "--json", "--find-pid", "--url", c.url, "--prefix", c.prefix}, c.flags...)
			r := run(t, args...)
			var told load.Result
			if err := json.Unmarshal([]byte(r.stdout), &told); err != nil {
				t.Fatalf("exit code %d: %v: %s%s", r.code, err, r.stdout, r.stderr)
			}
			if r.code != 0 || told.Delivered == 0 || told.Lost == nil || *told.Lost > 0 || told.Broker == nil {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}

func TestBenchFailsWhereAcknowledgedMessagesAreLost(t *testing.T) {
	p := benched(t, "session_messages: 100") // the oldest are dropped
	r := run(t, "bench", "backlog", "-n", "1000", "--drain", "300ms", "--url", p.url())
	if r.code != 1 || !strings.Contains(r.stderr, "900 deliveries of messages that the broker accepted at QoS 1 did not come") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if !strings.Contains(r.stdout, "drained") {
		t.Errorf("no figures beside the failure: %s", r.stdout)
	}
}

func TestBenchIsUsedRightly(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"pair", "-q", "3"}, 2, "QoS 3: want 0, 1 or 2"},
		{[]string{"pair", "--size", "8"}, 2, "want 16 to"},
		{[]string{"pair", "--mqtt", "4"}, 2, "want 3.1.1 or 5"},
		{[]string{"pair", "--prefix", "a/#"}, 2, "without + or #"},
		{[]string{"pair", "--pid", "-1"}, 2, "want a process id"},
		{[]string{"pair", "--url", "http://127.0.0.1"}, 2, "want mqtt://"},
		{[]string{"pair", "--pid", "1", "--find-pid"}, 2, "want one of them"},
		{[]string{"connect", "--rate", "0"}, 2, "want more than 0"},
		{[]string{"idle", "--connections", "0"}, 2, "want 1 or more"},
		{[]string{"connect", "--clients", "0"}, 2, "want 1 or more"},
		{[]string{"connect", "--rate", "-1"}, 2, "messages a second"},
		{[]string{"storm"}, 2, "unknown command"},
		{[]string{"pair", "--url", "mqtt://127.0.0.1:1"}, 1, "connection refused"},
		{[]string{"pair", "--url", "mqtt://127.0.0.1:1", "--find-pid"}, 1, "nobody on this machine listens on tcp 1"},
		{[]string{"pair", "--url", "mqtt://192.0.2.1:1883", "--find-pid"}, 1, "192.0.2.1 is not this machine"},
	} {
		r := run(t, append([]string{"bench"}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("bench %v: exit code %d: %s%s; want %d and %q", c.args, r.code, r.stdout, r.stderr, c.code, c.want)
		}
	}
	if r := run(t, "bench"); r.code != 0 || !strings.HasPrefix(r.stdout, "Load an MQTT broker") || strings.Index(r.stdout, "Examples:") > strings.Index(r.stdout, "Usage:") {
		t.Errorf("exit code %d: %s", r.code, r.stdout)
	}
}

func TestBenchThatIsInterruptedTellsTheFiguresSoFar(t *testing.T) {
	p := benched(t, "")
	cmd := exec.Command(fascia, "bench", "pair", "-q", "1", "-d", "1h", "--json", "--url", p.url())
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it should have ended
	p.await("busy", func(s gateway.Status) bool { return s.Messages.In > 1000 })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, stdout.String())
	}
	var told load.Result
	if err := json.Unmarshal(stdout.Bytes(), &told); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	if !told.Interrupted || told.Delivered < 1000 || told.Lost == nil || *told.Lost > 0 {
		t.Errorf("got %s", stdout.String())
	}
}

func TestBenchShowsProgressOnATerminalOnly(t *testing.T) {
	var out bytes.Buffer
	p := benchProgress{&out, true}
	p.show(load.Progress{Phase: "publish", Elapsed: 2 * time.Second, Connections: 8, Sent: 1000, Memory: 5e6})
	if got, want := out.String(), "\r\x1b[K2s publish   8 connections   1000/s sent   broker 5.0 MB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.end()
	if !strings.HasSuffix(out.String(), clearLine) {
		t.Errorf("the line is left behind: %q", out.String())
	}
	out.Reset()
	elsewhere := newBenchProgress(&out)
	elsewhere.show(load.Progress{})
	elsewhere.end()
	if out.Len() > 0 {
		t.Errorf("got %q", out.String())
	}
}
