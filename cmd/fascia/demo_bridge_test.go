package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// The simulated car's values reach a broker elsewhere, in a form that needs nothing
// of ours to be read, and the printed command shows where.
func TestDemoSendsItsValuesToABroker(t *testing.T) {
	f := startFarSide(t, everything)
	far, dir := f.receive("dt/demo/#"), t.TempDir()
	p := launch(t, dir, filepath.Join(dir, "fascia.sock"), "demo", "--dir", dir, "--bridge", f.url(),
		"--port", freePort(t), "--websocket-port", freePort(t), "--metrics-port", freePort(t))
	topic, payload, _ := strings.Cut(next(t, far), " ")
	var values []struct{ Topic string }
	if err := json.Unmarshal([]byte(payload), &values); err != nil || len(values) < 10 || !strings.HasPrefix(values[0].Topic, "vss/Vehicle/") {
		t.Errorf("got %v, %v in %.300s", values, err, payload)
	}
	if want := "dt/demo/car/FASC1ADEM00000001/vss"; topic != want {
		t.Errorf("on %s, want %s", topic, want)
	}
	if want := "mosquitto_sub -h 127.0.0.1 -p " + f.port + " -t 'dt/demo/#' -v"; !strings.Contains(p.log.String(), want) {
		t.Errorf("no %s in:\n%s", want, p.log)
	}
	if r := run(t, "demo", "--dir", t.TempDir(), "--bridge", "http://127.0.0.1"); r.code != 2 || !strings.Contains(r.stderr, "want mqtt, mqtts, ws or wss") {
		t.Errorf("a URL that is none of a broker: exit code %d: %s", r.code, r.stderr)
	}
}
