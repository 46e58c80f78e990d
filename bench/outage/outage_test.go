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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTableSaysWhatWasReached(t *testing.T) {
	subjects := []subject{{name: peer}, {name: ours}, {name: none}}
	r := row{figures: []figure{
		{"drained", "drained", perSecond, 1, ofBare(.8, 1)},
		{"p99", "p99", millis, 1e3, within(10, 3)},
		{"lost", "lost", count, 1, most(0)},
		{"held", "memory", mebi, 1e-6, within(32, 16)},
		{"twice", "twice", count, 1, goal{}},
	}}
	m := measured{
		{"drained": {100}, "lost": {7}, "twice": {1}},
		{"drained": {85, 90, 1}, "p99": {.002}, "lost": {0}, "held": {33e6}, "twice": {2}},
		{"drained": {100}},
	}
	var out bytes.Buffer
	r.print(&out, subjects, m)
	want := `| drained | 100/s | 85/s | 100/s | ≥ 0.8 × bare | ≥ 1 × bare | yes |
| p99 | — | 2.00 ms | — | ≤ 10.00 ms | ≤ 3.00 ms | beyond |
| lost | 7 | 0 | — | ≤ 0 | ≤ 0 | beyond |
| memory | — | 33.0 MB | — | ≤ 32.0 MB | ≤ 16.0 MB | no |
| twice | 1 | 2 | — |  |  |  |
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
	if got := (&figure{name: "none", goal: most(0)}).reached(subjects, m); got != "not measured" {
		t.Errorf("a figure that nobody measured: got %q", got)
	}
}

// Real brokers, each loaded a little: the table has a figure of each.
func TestRealBridgesAreCompared(t *testing.T) {
	if _, err := brokers.Mosquitto(t.Context()); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	fascia := filepath.Join(t.TempDir(), "fascia")
	build := exec.Command("go", "build", "-o", fascia, "../../cmd/fascia")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	o := options{fascia: fascia, rows: "outage,latency", runs: 1, messages: 400, size: 100, rate: 500, duration: 200 * time.Millisecond}
	if err := compare(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "not measured") || strings.Count(text, "\n| ") != 11 {
		t.Errorf("got\n%s", text)
	}
}
