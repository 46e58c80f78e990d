package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/gateway"
)

const hornDBC = `VERSION ""

BS_:

BU_: GTW BCM

BO_ 512 Horn_Request: 2 GTW
 SG_ Sound : 0|1@1+ (1,0) [0|1] "" BCM
 SG_ Volume : 8|7@1+ (1,0) [0|100] "%" BCM

BO_ 513 Horn_State: 1 BCM
 SG_ Sounding : 0|1@1+ (1,0) [0|1] "" GTW
`

const hornConfig = `data_dir: data
broker: {listeners: [{name: local, address: "127.0.0.1:0", auth: [anonymous]}]}
can:
  buses: [{name: can0, source: "BUS", dbc: [car.dbc]}]
  mapping: [mapping.yaml]
  transmit:
    rules:
      - {path: Vehicle.Body.Horn.IsActive, signal: Sound, roles: [operator], answer: {path: Vehicle.Body.Horn.IsActive, within: 8s}}
      - {path: Vehicle.Body.Horn.Volume, signal: Volume, roles: [operator, driver], values: {10: "QUIET", 100: "LOUD"}}
`

// hornBus is a UDP bus of the test's own, and its other end.
func hornBus(t *testing.T) (url string, ecu source.Bus) {
	t.Helper()
	ifi, err := nettest.RoutedInterface("ip4", net.FlagUp|net.FlagMulticast)
	if err != nil {
		t.Fatalf("this machine has no routed interface for multicast: %v", err)
	}
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).Port
	_ = free.Close()
	url = fmt.Sprintf("udp://239.64.142.208:%d?interface=%s", port, ifi.Name)
	spec, err := source.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	if ecu, err = source.OpenBus(spec, source.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ecu.Close() })
	return url, ecu
}

// awaitRequest is the next frame of Horn_Request, but not for ever.
func awaitRequest(t *testing.T, ecu source.Bus) can.Frame {
	t.Helper()
	late := time.AfterFunc(20*time.Second, func() { _ = ecu.Close() })
	defer late.Stop()
	for ecu.Receive() {
		if fr := ecu.Frame(); fr.ID == 512 && !fr.Has(can.Own) {
			return fr
		}
	}
	t.Fatalf("no request came: %v", ecu.Err())
	return can.Frame{}
}

func auditOf(t *testing.T, dir string) (outcomes []string) {
	t.Helper()
	folder := filepath.Join(dir, "data", gateway.AuditFolder)
	if _, err := audit.Verify(folder, nil); err != nil {
		t.Fatal(err)
	}
	if err := audit.Read(folder, 0, func(e audit.Entry, _ []byte) error { outcomes = append(outcomes, e.Outcome); return nil }); err != nil {
		t.Fatal(err)
	}
	return outcomes
}

// The power goes between the frame and the ECU's answer: the audit has the
// request and no outcome, and nothing is sent again by itself.
func TestActOfAKilledGatewayIsInTheAuditAndNotSentAgain(t *testing.T) {
	url, ecu := hornBus(t)
	dir := configured(t, map[string]string{
		"fascia.yaml": strings.Replace(hornConfig, "BUS", url, 1), "car.dbc": hornDBC,
		"mapping.yaml": "signals: [{signal: Sounding, path: Vehicle.Body.Horn.IsActive, type: boolean}]\n"})
	p := start(t, dir)
	asked := make(chan result, 1)
	go func() { asked <- run(t, "act", "Vehicle.Body.Horn.IsActive", "true", "--socket", p.socket) }()
	awaitRequest(t, ecu)
	_ = p.cmd.Process.Kill()
	<-p.done
	if r := <-asked; r.code != 1 || r.stdout != "" {
		t.Errorf("who asked hears %+v", r)
	}
	if got := auditOf(t, dir); len(got) != 1 || got[0] != "sending" {
		t.Errorf("the audit has %q", got)
	}

	p = start(t, dir)
	go func() { asked <- run(t, "act", "Vehicle.Body.Horn.IsActive", "false", "--socket", p.socket) }()
	if fr := awaitRequest(t, ecu); fr.Data[0] != 0 {
		t.Errorf("%s was sent: the request of before the kill", fr)
	}
	if err := ecu.Send(can.Frame{ID: 513, Len: 1}); err != nil {
		t.Fatal(err)
	}
	if r := <-asked; r.code != 0 || r.stdout != "done by the rule for Vehicle.Body.Horn.IsActive\n" {
		t.Errorf("got %+v", r)
	}
	if got := strings.Join(auditOf(t, dir), " "); got != "sending sending done" {
		t.Errorf("the audit has %s", got)
	}
}

func TestActAndAuditCommands(t *testing.T) {
	url, _ := hornBus(t)
	dir := configured(t, map[string]string{
		"fascia.yaml": strings.Replace(hornConfig, "BUS", url, 1), "car.dbc": hornDBC,
		"mapping.yaml": "signals: [{signal: Sounding, path: Vehicle.Body.Horn.IsActive, type: boolean}]\n"})
	p := start(t, dir)
	file := filepath.Join(dir, "fascia.yaml")
	head := filepath.Join(dir, "head.json")
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string // parts
	}{
		{[]string{"act", "ls", "-c", file}, 0, "Vehicle.Body.Horn.Volume    operator,driver  \"QUIET\", \"LOUD\"  5/s", ""},
		{[]string{"act", "Vehicle.Body.Horn.Volume", "QUIET", "-c", file}, 0, "done by the rule for Vehicle.Body.Horn.Volume", ""},
		{[]string{"act", "Vehicle/Body/Horn/Volume", "LOUD", "--dry-run", "-c", file}, 0, "allowed by the rule for Vehicle.Body.Horn.Volume\nframe 200#0064", ""},
		{[]string{"act", "Vehicle.Body.Horn.Volume", "50", "--json", "-c", file}, 1, `{"status":"refused","rule":"Vehicle.Body.Horn.Volume","reason":"value 50: want one of \"QUIET\", \"LOUD\""}`, ""},
		{[]string{"act", "Vehicle.Body.Horn.Pitch", "1", "-c", file}, 1, "refused: no rule allows Vehicle.Body.Horn.Pitch", ""},
		{[]string{"act", "Vehicle.Body.Horn.Pitch"}, 2, "", "accepts 2 arg(s), received 1"},
		{[]string{"act", "ls", "-c", file}, 0, `50 refused by operator, `, ""},
		{[]string{"__complete", "act", "-c", file, ""}, 0, "Vehicle.Body.Horn.IsActive\nVehicle.Body.Horn.Volume\n", ""},
		{[]string{"__complete", "act", "-c", file, "Vehicle.Body.Horn.Volume", ""}, 0, "QUIET\nLOUD\n", ""},
		{[]string{"audit", "tail", "-n", "1", "--socket", p.socket}, 0, `Vehicle.Body.Horn.Pitch = 1  by operator (uid:`, ""},
		{[]string{"audit", "tail", "-n", "1", "--json", "-c", file}, 0, `"outcome":"refused","reason":"no rule allows Vehicle.Body.Horn.Pitch","prev":"`, ""},
		{[]string{"audit", "tail", "-n", "-1", "-c", file}, 2, "", "want 0 or more"},
		{[]string{"audit", "export", "--head", "-o", head, "-c", file}, 0, "", ""},
		{[]string{"audit", "export", "--head", "-o", head, "-c", file}, 1, "", "file exists"},
		{[]string{"audit", "verify", "--head", head, "-c", file}, 0, "entries 1 to 4 in", ""},
		{[]string{"audit", "verify", "--json", "-c", file}, 0, `{"entries":4,"first":1,"head":{"seq":4,`, ""},
		{[]string{"audit", "verify", "--head", "9:" + audit.Genesis, "-c", file}, 1, "", "the tail was cut off: the log ends with entry 4, and 9 was there"},
		{[]string{"audit", "verify", "--head", file, "-c", file}, 1, "", "is no head"},
		{[]string{"audit", "export", "--from", "3", "--dir", filepath.Join(dir, "data", "audit")}, 0, `{"seq":3,`, ""},
	} {
		r := run(t, c.args...)
		if r.code != c.code || !strings.Contains(r.stdout, c.stdout) || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("fascia %q:\ncode %d, want %d\n%s\nwant %s\n%s\nwant %s", c.args, r.code, c.code, r.stdout, c.stdout, r.stderr, c.stderr)
		}
	}
	var rules []transmit.RuleStatus
	if err := json.Unmarshal([]byte(run(t, "act", "ls", "--json", "-c", file).stdout), &rules); err != nil || len(rules) != 2 || rules[1].Counts[transmit.Done] != 1 || rules[1].Counts[transmit.Refused] != 1 {
		t.Errorf("%+v, %v", rules, err)
	}
	// A log that was tampered with is named by file and line.
	files, err := filepath.Glob(filepath.Join(dir, "data", "audit", "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], []byte(strings.Replace(string(text), `"outcome":"done"`, `"outcome":"none"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "audit", "verify", "-c", file); r.code != 1 || !strings.Contains(r.stderr, files[0]+":2: its hash is not that of its text") {
		t.Errorf("got %+v", r)
	}
}
