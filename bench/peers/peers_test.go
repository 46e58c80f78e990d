package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTableSaysWhatWasReached(t *testing.T) {
	peers := []broker{{Broker: brokers.Broker{Name: "mosquitto"}}, {Broker: brokers.Broker{Name: ours}}}
	r := row{name: "some", figures: []figure{
		{"rate", "messages", perSecond, 1, times(8, 15)},
		{"cpu", "CPU", cpu, 1, within(.2, .08)},
		{"memory", "memory", mebi, 1e-6, most(32, 16)},
		{"acks", "acknowledged", perSecond, 1, least(40_000, 90_000)},
		{"none", "never measured", kilo, 1e-3, most(1, 0)},
		{"more", "no goal", millis, 1e-3, goal{}},
	}}
	measured := []outcome{
		{figures: map[string][]float64{"rate": {1, 100, 90}, "cpu": {10}, "memory": {1e6}, "more": {1000}}},
		{
			figures: map[string][]float64{"rate": {1440, 1, 1450}, "cpu": {.7}, "memory": {33e6}, "acks": {50_000}, "more": {2000}},
			faults:  []string{"it broke", "again"},
		},
	}
	var out bytes.Buffer
	r.print(&out, peers, measured)
	want := `| messages | 90/s | 1440/s | 16.00 | ≥ 8 × | ≥ 15 × | beyond |
| CPU | 10.00 µs | 0.70 µs | 0.07 | ≤ 0.2 × | ≤ 0.08 × | beyond |
| memory | 1.0 MB | 33.0 MB | 33.00 | ≤ 32 MB | ≤ 16 MB | no |
| acknowledged | — | 50000/s | — | ≥ 40000/s | ≥ 90000/s | yes |
| never measured | — | — | — | ≤ 1 kB |  | not measured |
| no goal | 1.00 ms | 2.00 ms | 2.00 |  |  |  |
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	if notes := r.notes(peers, measured); len(notes) != 1 || notes[0] != "some, fascia: it broke (2 such)" {
		t.Errorf("notes %q", notes)
	}
}

func TestRowsArePickedByName(t *testing.T) {
	rows := allRows(options{}, "")
	if picked, err := brokers.Pick("-rows", "", rows); err != nil || len(picked) != len(rows) {
		t.Errorf("all: %d rows, %v", len(picked), err)
	}
	if picked, err := brokers.Pick("-rows", "idle,qos0", rows); err != nil || len(picked) != 2 || picked[0].name != "idle" {
		t.Errorf("two: %v, %v", picked, err)
	}
	if _, err := brokers.Pick("-rows", "qos0,qos7", rows); err == nil || !strings.Contains(err.Error(), "-rows qos7: want some of qos0,fanout") {
		t.Errorf("got %v", err)
	}
}

// Real brokers, each loaded a little: the table has a figure of both.
func TestRealBrokersAreCompared(t *testing.T) {
	if _, err := brokers.Mosquitto(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("mosquitto is missing: apt-get install mosquitto")
		}
		t.Skip("mosquitto is missing: apt-get install mosquitto")
	}
	fascia := filepath.Join(t.TempDir(), "fascia")
	build := exec.Command("go", "build", "-o", fascia, "../../cmd/fascia")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	o := options{fascia: fascia, rows: "qos0,backlog,idle", runs: 1, duration: 200 * time.Millisecond, idle: 20, backlog: 1000}
	if err := compare(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "—") || strings.Contains(text, "not measured") || strings.Count(text, "\n| ") != 9 {
		t.Errorf("got\n%s", text)
	}
}

func TestConfigurationsOfOursAreValid(t *testing.T) {
	for _, n := range []needs{nothing, room, durable} {
		dir := t.TempDir()
		file := filepath.Join(dir, "fascia.yaml")
		if err := os.WriteFile(file, []byte(fasciaConfig(n, 1883, dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := gateway.Load(file); err != nil {
			t.Errorf("needs %d: %v", n, err)
		}
	}
}
