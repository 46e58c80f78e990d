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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTableSaysWhatWasReached(t *testing.T) {
	r := row{figures: []figure{
		{"rate", "append", megabytes, 1e-6, goal{timesBare, .8, 1}},
		{"small", "small", perSecond, 1, goal{atLeast, 500, 2000}},
		{"cpu", "CPU", cores, 1, goal{atMost, .5, .2}},
		{"p99", "p99", millis, 1e3, goal{atMost, 2, .5}},
		{"clock", "by the clock", megabytes, 1e-6, goal{}},
		{"none", "nothing", cores, 1, goal{atMost, .5, .2}},
	}}
	m := measured{
		"rate": {90e6, 10e6, 95e6}, bare + "rate": {100e6, 1e6, 100e6},
		"small": {2000}, "cpu": {.51}, "p99": {.002}, "clock": {1e6},
	}
	var out bytes.Buffer
	r.print(&out, m)
	want := `| append | 100 MB/s | 90 MB/s | ≥ 0.8 × bare | ≥ 1 × bare | yes |
| small | — | 2000/s | ≥ 500/s | ≥ 2000/s | beyond |
| CPU | — | 0.51 cores | ≤ 0.50 cores | ≤ 0.20 cores | no |
| p99 | — | 2.000 ms | ≤ 2.000 ms | ≤ 0.500 ms | yes |
| by the clock | — | 1 MB/s |  |  |  |
| nothing | — | — | ≤ 0.50 cores | ≤ 0.20 cores | not measured |
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

// A real gateway, loaded a little: the table has each figure. The rows of CAN need the
// shared data.
func TestEachRowHasItsFigures(t *testing.T) {
	fascia := filepath.Join(t.TempDir(), "fascia")
	build := exec.Command("go", "build", "-o", fascia, "../../cmd/fascia")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := options{fascia: fascia, dir: t.TempDir(), drive: "../../../shared/data/can/genesis-drive.candump",
		rows: "append,small,whitepaper,export,http,acknowledged,memory", runs: 1, bytes: 2 << 20, backlog: 2 << 20, duration: 200 * time.Millisecond}
	if _, err := os.Stat(o.drive); err == nil {
		o.rows = ""
	}
	var out bytes.Buffer
	if err := compare(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "not measured") {
		t.Errorf("got\n%s", text)
	}
}
