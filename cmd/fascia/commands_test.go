package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/gateway"
)

const plainConfig = `
data_dir: data
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0", auth: [anonymous]}
metrics: {listen: "127.0.0.1:METRICS"}
`

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"done":                 {[]string{"version"}, 0, ""},
		"help":                 {[]string{"--help"}, 0, ""},
		"completion":           {[]string{"completion", "bash"}, 0, ""},
		"failed":               {[]string{"check", "-c", "/nowhere/fascia.yaml"}, 1, ""},
		"no broker":            {[]string{"pub", "--url", "mqtt://127.0.0.1:1", "a", "b"}, 1, "connection refused"},
		"no gateway":           {[]string{"status", "--socket", "/nowhere/fascia.sock"}, 1, "no gateway answers on /nowhere/fascia.sock"},
		"no log":               {[]string{"can", "decode", "--dbc", "../../configs/demo/vehicle.dbc", "/nowhere/drive.log"}, 1, "/nowhere/drive.log"},
		"no DBC":               {[]string{"can", "decode", "--dbc", "/nowhere/car.dbc"}, 1, "/nowhere/car.dbc"},
		"unknown command":      {[]string{"drive"}, 2, `unknown command "drive"`},
		"unknown flag":         {[]string{"sub", "--colour", "#"}, 2, "unknown flag: --colour"},
		"missing argument":     {[]string{"sub"}, 2, "requires at least 1 arg"},
		"missing flag":         {[]string{"run"}, 2, "-c FILE"},
		"bad QoS":              {[]string{"pub", "-q", "3", "a", "b"}, 2, "want 0, 1 or 2"},
		"bad count":            {[]string{"sub", "-C", "-1", "a"}, 2, "--count -1: want 0 or more"},
		"bad property":         {[]string{"pub", "--property", "who", "a", "b"}, 2, "want NAME=VALUE"},
		"message and lines":    {[]string{"pub", "--lines", "a", "b"}, 2, "leave MESSAGE out"},
		"no filter":            {[]string{"sub", "a/#/b"}, 2, `filter "a/#/b": want levels`},
		"wildcard publish":     {[]string{"pub", "a/#", "b"}, 2, "one topic"},
		"unknown URL scheme":   {[]string{"sub", "--url", "http://127.0.0.1", "#"}, 2, "want mqtt://"},
		"replay without bus":   {[]string{"can", "replay", "x.log"}, 2, "--to"},
		"replay to nonsense":   {[]string{"can", "replay", "--to", "bus://x", "x.log"}, 2, "unknown scheme"},
		"replay at no speed":   {[]string{"can", "replay", "--to", "udp://127.0.0.1:9", "--speed", "0", "x.log"}, 2, "want max, or a number"},
		"ECUs without bus":     {[]string{"demo", "ecu"}, 2, "--to"},
		"ECUs onto a log":      {[]string{"demo", "ecu", "--to", "replay://x.log"}, 1, "takes no frames"},
		"unknown order":        {[]string{"sessions", "ls", "--sort", "age"}, 2, "--sort age: want client, since"},
		"purge of nothing":     {[]string{"sessions", "purge", "--yes"}, 2, "want client ids, or --all-offline or --older"},
		"purge of both":        {[]string{"sessions", "purge", "a", "--all-offline", "--yes"}, 2, "want client ids, or --all-offline or --older"},
		"purge unasked":        {[]string{"sessions", "purge", "a"}, 2, "no terminal to ask on whether to drop sessions: say --yes"},
		"kick of nobody":       {[]string{"sessions", "kick"}, 2, "requires at least 1 arg"},
		"dead of which link":   {[]string{"link", "dead", "ls"}, 2, "accepts 1 arg"},
		"retry of nothing":     {[]string{"link", "dead", "retry", "cloud"}, 2, "want the numbers of dead letters, or --all"},
		"purge of a word":      {[]string{"link", "dead", "purge", "cloud", "all", "--yes"}, 2, `"all": want the number of a dead letter`},
		"dead purge unasked":   {[]string{"link", "dead", "purge", "cloud", "--all"}, 2, "no terminal to ask on whether to drop dead letters: say --yes"},
		"half a certificate":   {[]string{"sub", "--cert", "x.pem", "#"}, 2, "go together"},
		"an unfit client file": {[]string{"sub", "--cafile", "main.go", "#"}, 1, "no certificate in it"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, c.args...)
			if r.code != c.code || !strings.Contains(r.stderr, c.stderr) {
				t.Errorf("fascia %v: exit code %d, want %d; stderr %q, want %q in it", c.args, r.code, c.code, r.stderr, c.stderr)
			}
			if c.code != 0 && r.stdout != "" && c.args[0] != "check" {
				t.Errorf("a failure wrote to stdout: %s", r.stdout)
			}
		})
	}
}

func TestVersionIsMachineReadable(t *testing.T) {
	var v struct{ Version, Go, Platform string }
	if err := json.Unmarshal([]byte(run(t, "version", "--json").stdout), &v); err != nil || v.Version == "" || v.Go == "" {
		t.Errorf("got %+v, %v", v, err)
	}
}

func plain(t *testing.T) (string, map[string]string) {
	t.Helper()
	port := freePort(t)
	return port, map[string]string{"fascia.yaml": strings.ReplaceAll(plainConfig, "METRICS", port)}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestPubReachesSub(t *testing.T) {
	_, files := plain(t)
	p := start(t, configured(t, files))
	received := make(chan string, 10)
	p.subscribe("ivi/#", 2, func(m *paho.Publish) { received <- m.Topic + " " + string(m.Payload) })
	for _, qos := range []string{"0", "1", "2"} {
		if r := run(t, "pub", "--url", p.url(), "-q", qos, "ivi/wish", `"`+qos+`"`); r.code != 0 {
			t.Fatalf("pub at QoS %s: %s", qos, r.stderr)
		}
		if got, want := <-received, `ivi/wish "`+qos+`"`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if r := runIn(t, "one\ntwo\n", "pub", "--url", p.url(), "--lines", "ivi/lines"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	for _, want := range []string{"ivi/lines one", "ivi/lines two"} {
		if got := <-received; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	run(t, "pub", "--url", p.url(), "-r", "-q", "1", "--content-type", "text/plain", "--property", "who=test", "ivi/kept", "here")
	r := run(t, "sub", "--url", p.url(), "--json", "-C", "1", "-W", "10s", "ivi/kept")
	var m messageJSON
	if err := json.Unmarshal([]byte(r.stdout), &m); err != nil {
		t.Fatalf("%s: %v (%s)", r.stdout, err, r.stderr)
	}
	if m.Topic != "ivi/kept" || *m.Payload != "here" || !m.Retain || m.ContentType != "text/plain" || m.UserProperties["who"] != "test" {
		t.Errorf("got %s", r.stdout)
	}
	if r := run(t, "sub", "--url", p.url(), "-C", "1", "-W", "300ms", "ivi/never"); r.code != 1 || !strings.Contains(r.stderr, "0 of 1 messages") {
		t.Errorf("a message that never comes: exit code %d, %s", r.code, r.stderr)
	}
}

func TestRefusalsReachTheUser(t *testing.T) {
	_, files := plain(t)
	p := start(t, configured(t, files))
	if r := run(t, "pub", "--url", p.url(), "-q", "1", "vss/Vehicle/Speed", "1"); r.code != 1 || !strings.Contains(r.stderr, "0x87") {
		t.Errorf("publishing a value without a grant: exit code %d, %s", r.code, r.stderr)
	}
	big := strings.Repeat("x", 300_000)
	if r := runIn(t, big, "pub", "--url", p.url(), "ivi/big"); r.code != 1 || !strings.Contains(r.stderr, "300000 bytes: the broker takes packets of at most 262144") {
		t.Errorf("a message over the broker's limit: exit code %d, %s", r.code, r.stderr)
	}
}

func TestStatusHealthAndMetrics(t *testing.T) {
	port, files := plain(t)
	p := start(t, configured(t, files))
	r := run(t, "status", "-c", filepath.Join(p.dir, "fascia.yaml"))
	if r.code != 0 || !strings.Contains(r.stdout, "running") || !strings.Contains(r.stdout, p.address("local")) {
		t.Errorf("status: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	var s gateway.Status
	if err := json.Unmarshal([]byte(run(t, "status", "--json", "--socket", p.socket).stdout), &s); err != nil || !s.Ready || s.PID != p.cmd.Process.Pid {
		t.Errorf("status --json: %+v, %v", s, err)
	}
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/metrics": "fascia_ready 1",
	} {
		response, err := http.Get("http://127.0.0.1:" + port + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s: %.200s, want %q in it", path, response.Status, body, want)
		}
	}
}

func TestSecondGatewayIsToldWhoHoldsThePort(t *testing.T) {
	dir := t.TempDir()
	ports := []string{"--port", freePort(t), "--websocket-port", freePort(t), "--metrics-port", freePort(t)}
	first := launch(t, dir, filepath.Join(dir, "fascia.sock"), append([]string{"demo", "--dir", dir}, ports...)...)
	first.await("ready", func(s gateway.Status) bool { return s.Ready })
	second := run(t, append([]string{"demo", "--dir", t.TempDir()}, ports...)...)
	if want := "by fascia (pid "; second.code != 1 || !strings.Contains(second.stderr, want) || !strings.Contains(second.stderr, ports[1]) || !strings.Contains(second.stderr, "demo --port 1884") {
		t.Errorf("exit code %d: %s: want the port %s and %q", second.code, second.stderr, ports[1], want)
	}
}

func TestDemoGreetsAndDrives(t *testing.T) {
	dir := t.TempDir()
	ports := map[string]string{"--port": freePort(t), "--websocket-port": freePort(t), "--metrics-port": freePort(t)}
	args := []string{"demo", "--dir", dir}
	for flag, port := range ports {
		args = append(args, flag, port)
	}
	p := launch(t, dir, filepath.Join(dir, "fascia.sock"), args...)
	s := p.await("driving", func(s gateway.Status) bool { return s.Ready && s.Values > 30 })
	if s.Buses[0].Unknown+s.Buses[0].Short+s.Buses[0].Invalid+s.Buses[0].Dropped > 0 {
		t.Errorf("the demo's own frames are not understood: %+v", s.Buses[0])
	}
	within(t, "the greeting", func() bool { return strings.Contains(p.log.String(), "Vehicle.Speed") })
	// The printed command works as it stands.
	var command []string
	for line := range strings.Lines(p.log.String()) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "sub" {
			command = fields[1:]
		}
	}
	if len(command) == 0 {
		t.Fatalf("no command to copy in:\n%s", p.log)
	}
	command[len(command)-1] = strings.Trim(command[len(command)-1], "'")
	r := run(t, append(command, "-C", "20", "-W", "10s")...)
	if r.code != 0 || strings.Count(r.stdout, "vss/Vehicle/") != 20 {
		t.Errorf("%v: exit code %d: %s%s", command, r.code, r.stdout, r.stderr)
	}
	for flag, port := range ports {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil || !strings.Contains(p.log.String(), "127.0.0.1:"+port) {
			t.Errorf("%s %s: %v; it said:\n%s", flag, port, err, p.log)
			continue
		}
		_ = conn.Close()
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

func TestReloadTakesMappingsAndRefusesTheRest(t *testing.T) {
	dir := configured(t, driveFiles("1", "[]"))
	file := func(name string) string { return filepath.Join(dir, name) }
	p := start(t, dir)
	reload := func(name, old, new string) gateway.Status {
		t.Helper()
		text, err := os.ReadFile(file(name))
		if err != nil || !strings.Contains(string(text), old) {
			t.Fatalf("%s: no %q in it (%v)", name, old, err)
		}
		if err := os.WriteFile(file(name), []byte(strings.ReplaceAll(string(text), old, new)), 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := p.status()
		p.signal(syscall.SIGHUP)
		return p.await("reloaded", func(s gateway.Status) bool { return s.Config.LastReload.At.After(before.Config.LastReload.At) })
	}
	heard := make(chan string, 1000)
	p.subscribe("vss/#", 0, func(m *paho.Publish) {
		select {
		case heard <- m.Topic:
		default:
		}
	})
	await := func(topic string) {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			select {
			case got := <-heard:
				if got == topic {
					return
				}
			case <-deadline:
				t.Fatalf("nothing on %s", topic)
			}
		}
	}
	await("vss/Vehicle/Speed")
	if s := reload("mapping.yaml", "path: Vehicle.TraveledDistance", "path: Vehicle.TripMeterReading"); s.Config.LastReload.Error != "" {
		t.Fatalf("a new mapping was refused: %s", s.Config.LastReload.Error)
	}
	await("vss/Vehicle/TripMeterReading")
	if r := run(t, "sub", "--url", p.url(), "-C", "1", "-W", "1s", "vss/Vehicle/TraveledDistance"); r.stdout != "" {
		t.Errorf("the path that is fed no more still has a last known value: %s", r.stdout)
	}
	if s := reload("mapping.yaml", "TCU2.VS_TCU", "TCU2.VS_TUC"); !strings.Contains(s.Config.LastReload.Error, "VS_TCU") {
		t.Errorf("a broken mapping: %q, want the nearest name", s.Config.LastReload.Error)
	}
	await("vss/Vehicle/Speed") // by the mapping of before
	if s := reload("mapping.yaml", "TCU2.VS_TUC", "TCU2.VS_TCU"); s.Config.LastReload.Error != "" {
		t.Errorf("the mended mapping was refused: %s", s.Config.LastReload.Error)
	}
	if s := reload("fascia.yaml", "data_dir: data", "data_dir: data\nstop_timeout: 3s"); !strings.Contains(s.Config.LastReload.Error, "stop_timeout can't be changed while the gateway runs") {
		t.Errorf("what can't be reloaded: %q", s.Config.LastReload.Error)
	}
}
