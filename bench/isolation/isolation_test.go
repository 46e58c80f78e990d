package main

import (
	"bytes"
	"fmt"
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

// The program starts itself for its disturbances; here that is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-disturb" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// Every disturbance against a real broker, a little of each: the table has all
// figures, and no client failed.
func TestEveryDisturbanceIsMeasured(t *testing.T) {
	fascia := filepath.Join(t.TempDir(), "fascia")
	build := exec.Command("go", "build", "-o", fascia, "../../cmd/fascia")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	o := options{fascia: fascia, brokers: "fascia", runs: 1, duration: 100 * time.Millisecond, clients: 20, retained: 2000}
	if err := compare(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	table, notes, _ := strings.Cut(out.String(), "\n\n- deaf, ")
	for _, c := range allCases(o) {
		want := 0
		if c.disturb == "" {
			want = 2 // nothing to do elsewhere
		}
		_, row, found := strings.Cut(table, "| "+c.text+" | fascia |")
		if row, _, _ = strings.Cut(row, "\n"); !found || strings.Count(row, "—") != want {
			t.Errorf("%s: got %q", c.name, row)
		}
	}
	if strings.Contains(notes, "such)") || strings.Contains(notes, "fascia: 0 ") {
		t.Errorf("notes: %s", notes)
	}
}

func TestRatioIsOfMedians(t *testing.T) {
	m := measured{
		alone:     latencies{p50: []float64{100, 200, 9000}, p99: []float64{1000, 1000, 2000}},
		disturbed: latencies{p50: []float64{300, 1, 400}, p99: []float64{5000, 4000, 1}},
	}
	var out bytes.Buffer
	printRow(&out, scenario{text: "noise"}, kind{Broker: brokers.Broker{Name: "some"}}, m)
	want := "| noise | some | 0.20 / 1.00 ms | 0.30 / 4.00 ms | 1.5 / 4.0 | — | — |\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", &out, want)
	}
}

func TestCasesArePickedByName(t *testing.T) {
	all := allCases(options{})
	if picked, err := brokers.Pick("-cases", "storm,deaf", all); err != nil || len(picked) != 2 || picked[0].name != "storm" {
		t.Errorf("got %v, %v", picked, err)
	}
	if _, err := brokers.Pick("-cases", "storm,calm", all); err == nil || !strings.Contains(err.Error(), "-cases calm: want some of deaf,") {
		t.Errorf("got %v", err)
	}
}

func TestDisturbancesOfAllCasesExist(t *testing.T) {
	for _, c := range allCases(options{}) {
		if _, known := disturbances[c.disturb]; !known && c.disturb != "" {
			t.Errorf("%s: no disturbance %q", c.name, c.disturb)
		}
	}
}

func TestConfigurationsOfOursAreValid(t *testing.T) {
	for _, c := range allCases(options{clients: 10, retained: 10}) {
		dir := t.TempDir()
		if err := writeCertificate(dir); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "fascia.yaml")
		if err := os.WriteFile(file, []byte(fasciaConfig(c, 1883, 8883, dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := gateway.Load(file); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestDisturbanceThatFailsSaysWhy(t *testing.T) {
	ports, err := brokers.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{c: scenario{disturb: "flood"}}
	if _, err := s.begin(t.Context(), fmt.Sprintf("127.0.0.1:%d", ports[0])); err == nil || !strings.Contains(err.Error(), "flood does not get ready") {
		t.Errorf("got %v", err)
	}
}
