package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/gateway"
)

// What the recorded drive holds (README.md beside it).
const (
	driveFrames  = 55314
	driveDecoded = 51018
	driveShort   = 3640
	driveUnknown = 656
)

// tally is what one signal did over the drive.
type tally struct {
	count          int
	min, max, last float64
}

// tallies are the signals of the drive by "message,signal".
type tallies map[string]tally

func (ts tallies) add(message string, signals map[string]float64) {
	for name, v := range signals {
		key := message + "," + name
		t, seen := ts[key]
		if !seen {
			t.min, t.max = v, v
		}
		ts[key] = tally{t.count + 1, min(t.min, v), max(t.max, v), v}
	}
}

// compare holds the tallies against what cantools made of the same drive; it
// has no rows for EMS2, whose signals overlap.
func (ts tallies) compare(t *testing.T) {
	t.Helper()
	f, err := os.Open(filepath.Join(sharedCAN(t, true), "genesis-drive.signals.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 300 {
		t.Fatalf("%d rows: want the 311 of the drive and a heading", len(rows))
	}
	for _, row := range rows[1:] {
		want := tally{int(number(t, row[2])), number(t, row[3]), number(t, row[4]), number(t, row[5])}
		got := ts[row[0]+","+row[1]]
		if got.count != want.count || !near(got.min, want.min) || !near(got.max, want.max) || !near(got.last, want.last) {
			t.Errorf("%s.%s: got %+v, want %+v", row[0], row[1], got, want)
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// near allows for processors that fuse multiplication and addition.
func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b))
}

func TestDecodedDriveEqualsCantools(t *testing.T) {
	dir := sharedCAN(t, true)
	r := run(t, "can", "decode", "--dbc", filepath.Join(dir, "hyundai_i30_2014.dbc"), filepath.Join(dir, "genesis-drive.candump"))
	if r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	got := tallies{}
	counts := map[string]int{}
	lines := bufio.NewScanner(strings.NewReader(r.stdout))
	for lines.Scan() {
		var frame struct {
			TS, Message, Error string
			Signals            map[string]float64
		}
		if err := json.Unmarshal(lines.Bytes(), &frame); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		counts[frame.Error]++
		got.add(frame.Message, frame.Signals)
	}
	got.compare(t)
	if counts[""] != driveDecoded || counts["short"] != driveShort || counts["unknown_id"] != driveUnknown || len(counts) != 3 {
		t.Errorf("got %v frames by error", counts)
	}
	if want := "55314 frames: 51018 decoded, 656 of unknown id, 3640 shorter than their message"; !strings.Contains(r.stderr, want) {
		t.Errorf("the summary is not on stderr: %s", r.stderr)
	}
	if n := strings.Count(r.stderr, "EMS2"); n == 0 {
		t.Error("no warning about the signals of EMS2 that overlap")
	}
	if strict := run(t, "can", "decode", "--strict", "--dbc", filepath.Join(dir, "hyundai_i30_2014.dbc"), filepath.Join(dir, "genesis-drive.candump")); strict.code != 1 {
		t.Errorf("--strict: exit code %d, want 1", strict.code)
	}
}

const driveConfig = `
data_dir: data
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0", auth: [anonymous]}
can:
  buses:
    - name: can0
      source: "replay://@DRIVE@/genesis-drive.candump?speed=SPEED&delay=1s"
      dbc: ["@DRIVE@/hyundai_i30_2014.dbc"]
      publish: PUBLISH
  mapping: [mapping.yaml]
`

const driveMapping = `
signals:
  - {signal: TCU2.VS_TCU, path: Vehicle.Speed, type: float, min_interval: 100ms, on_change: true}
  - {signal: EMS1.N, path: Vehicle.Powertrain.CombustionEngine.Speed, type: uint16, min_interval: 100ms, deadband: 10}
  - {signal: TCU2.CUR_GR, path: Vehicle.Powertrain.Transmission.CurrentGear, type: int8, on_change: true}
  - {signal: CLU1.CF_Clu_Odometer, path: Vehicle.TraveledDistance, on_change: true}
  - {signal: CLU1.CF_Clu_ParkBrakeSw, path: Vehicle.Chassis.ParkingBrake.IsEngaged, type: boolean, on_change: true}
derived:
  - {path: Vehicle.IsMoving, expr: "Vehicle.Speed > 0", on_change: true}
`

func driveFiles(speed, publish string) map[string]string {
	return map[string]string{
		"fascia.yaml":  strings.NewReplacer("SPEED", speed, "PUBLISH", publish).Replace(driveConfig),
		"mapping.yaml": driveMapping,
	}
}

// As fast as it goes, nothing is lost between the file and a QoS 1 session.
func TestDriveThroughTheGatewayEqualsCantools(t *testing.T) {
	p := start(t, configured(t, driveFiles("max", `["*"]`)))
	var mu sync.Mutex
	got, messages := tallies{}, 0
	p.subscribe("can/#", 1, func(m *paho.Publish) {
		var payload struct {
			TS      time.Time
			Signals map[string]float64
		}
		if err := json.Unmarshal(m.Payload, &payload); err != nil || payload.TS.IsZero() {
			t.Errorf("%s: %s: %v", m.Topic, m.Payload, err)
		}
		mu.Lock()
		defer mu.Unlock()
		got.add(strings.TrimPrefix(m.Topic, "can/can0/"), payload.Signals)
		messages++
	})
	s := p.await("at the end of the drive", func(s gateway.Status) bool { return s.Buses[0].State == "ended" })
	b := s.Buses[0]
	if b.Frames != driveFrames || b.Decoded != driveDecoded || b.Short != driveShort || b.Unknown != driveUnknown || b.Unused+b.Other != 0 {
		t.Errorf("counted %+v", b)
	}
	within(t, "every decoded message arrives", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return messages >= driveDecoded
	})
	mu.Lock()
	defer mu.Unlock()
	if messages != driveDecoded {
		t.Errorf("%d messages, want %d", messages, driveDecoded)
	}
	got.compare(t)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// The car pulls away, reaches 31 to 32 km/h and stops, as any client sees it.
func TestMosquittoSubSeesTheCarPullAwayAndStop(t *testing.T) {
	client := tool(t, "mosquitto_sub")
	p := start(t, configured(t, driveFiles("8", "[]")))
	host, port, _ := strings.Cut(p.address("local"), ":")
	sub := exec.Command(client, "-h", host, "-p", port, "-q", "1", "-t", "vss/#", "-v", "-W", "20")
	out, err := sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Process.Kill(); _ = sub.Wait() }()

	paths := map[string]int{}
	var speeds []float64
	go func() {
		for !ended(p) {
			time.Sleep(50 * time.Millisecond)
		}
		_ = sub.Process.Signal(os.Interrupt) // it prints what it has, and ends
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		topic, payload, _ := strings.Cut(lines.Text(), " ")
		paths[topic]++
		if topic != "vss/Vehicle/Speed" {
			continue
		}
		var v struct{ Value float64 }
		if err := json.Unmarshal([]byte(payload), &v); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		speeds = append(speeds, v.Value)
	}
	stop := slices.Index(speeds, 0)
	if stop < 0 || slices.Max(speeds) < 31 || slices.Max(speeds) > 32 || slices.Max(speeds[stop:]) < 30 {
		t.Errorf("speeds %v: want a stop at 0 and from there up again to 31 or 32", speeds)
	}
	for _, topic := range []string{"vss/Vehicle/Powertrain/CombustionEngine/Speed", "vss/Vehicle/Powertrain/Transmission/CurrentGear",
		"vss/Vehicle/TraveledDistance", "vss/Vehicle/Chassis/ParkingBrake/IsEngaged", "vss/Vehicle/IsMoving"} {
		if paths[topic] == 0 {
			t.Errorf("nothing on %s", topic)
		}
	}
}

// ended reports whether the log has ended, or the gateway itself.
func ended(p *process) bool {
	s, ok := p.status()
	return !ok || s.Buses[0].State == "ended"
}

// tool finds a program of Debian's that a test needs: without it the test is
// left out, except in CI, where that would hide a failure.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is missing: apt-get install mosquitto-clients", name)
	}
	return path
}
