package canbus

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/vehicle"
)

const oneVolt = "signals: [{signal: Pack.Voltage, path: Vehicle.V%s}]"

const oneFrame = "(1.000000) can0 100#01000000\n"

func voltage(limits string) string { return strings.Replace(oneVolt, "%s", limits, 1) }

// What min_interval holds back under one plan comes out before what the next
// plan publishes, never behind it.
func TestReloadKeepsTheOrderOfAPathsValues(t *testing.T) {
	r := newRig(t, voltage(", min_interval: 1h"), "can0")
	r.send(t, 0, frame(0x100, 1, 0, 0, 0), frame(0x100, 2, 0, 0, 0))
	r.broker.await(t, "vss/Vehicle/V", 1)
	within(t, "0.2 is held", func() bool { v, ok := r.state.Get("Vehicle.V"); return ok && v.Value == vehicle.Float(0.2) })
	r.buses.Use(r.plan(t, voltage("")))
	r.send(t, 0, frame(0x100, 3, 0, 0, 0))
	r.buses.outlet.sweeper.sweep(vehicle.BootNow() + int64(2*time.Hour))
	got := r.broker.await(t, "vss/Vehicle/V", 3)
	for i, want := range []string{"0.1", "0.2", "0.3"} {
		if !strings.HasPrefix(got[i].payload, `{"value":`+want+`,`) {
			t.Errorf("value %d: got %s, want %s", i, got[i].payload, want)
		}
	}
}

// A network or CAN interface that is missing is waited for, whatever else runs.
func TestStartWaitsForAnInterfaceThatIsMissing(t *testing.T) {
	r := prepare(t, voltage(", bus: can1"), "", Config{Buses: []BusConfig{
		{Name: "can0", Source: "socketcan://nosuch0"},
		{Name: "can1", Source: "virtual://can1"},
		{Name: "udp0", Source: "udp://239.64.142.206:20000?interface=nosuch0"},
	}})
	r.start(t)
	for _, bus := range []string{"can0", "udp0"} {
		if p := r.broker.await(t, "health/bus/"+bus, 1)[0]; !strings.Contains(p.payload, `"state":"down"`) || !strings.Contains(p.payload, "nosuch0") {
			t.Errorf("%s: got %s, want down, with the interface that is missing", bus, p.payload)
		}
	}
	r.send(t, 1, frame(0x100, 1, 0, 0, 0))
	r.broker.await(t, "vss/Vehicle/V", 1)
}

// A log that is missing stops the start, and what was opened before it is
// closed again.
func TestMissingLogStopsTheStart(t *testing.T) {
	r := prepare(t, voltage(", bus: can0"), oneFrame, Config{Buses: []BusConfig{
		{Name: "can0", Source: "replay://@DIR@/drive.log"},
		{Name: "can1", Source: "replay://@DIR@/gone.log"},
	}})
	if err := os.Rename(filepath.Join(r.dir, "gone.log"), filepath.Join(r.dir, "elsewhere.log")); err != nil {
		t.Fatal(err)
	}
	err := r.buses.Start(t.Context())
	var failed *BusError
	if !errors.As(err, &failed) || failed.Bus != "can1" || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), `bus "can1"`) {
		t.Errorf("got %v, want that the log of can1 is missing", err)
	}
	r.buses.Stop()
	if open := openFiles(t, r.dir); len(open) > 0 {
		t.Errorf("left open: %v", open)
	}
}

// openFiles are this process's open files below dir.
func openFiles(t *testing.T, dir string) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, dir) {
			open = append(open, name)
		}
	}
	return open
}

// A log that is replayed as fast as it goes waits for its readers; a live bus
// never does.
func TestOnlyALogWaitsForItsReaders(t *testing.T) {
	const text = "signals: [{signal: Pack.Voltage, bus: %, path: Vehicle.V}]\nderived: [{path: Vehicle.W, expr: Vehicle.V * 2}]"
	for name, c := range map[string]struct {
		source string
		waits  bool
	}{
		"log":  {"replay://@DIR@/drive.log?speed=max", true},
		"live": {"virtual://bus", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := prepare(t, strings.Replace(text, "%", "bus", 1), oneFrame, Config{Buses: []BusConfig{{Name: "bus", Source: c.source, Publish: []string{"*"}}}})
			r.start(t)
			if !c.waits {
				r.send(t, 0, frame(0x100, 1, 0, 0, 0))
			}
			for _, topic := range []string{"vss/Vehicle/V", "vss/Vehicle/W", "can/bus/Pack"} {
				if got := r.broker.await(t, topic, 1)[0]; got.waited != c.waits {
					t.Errorf("%s: waited %t, want %t", topic, got.waited, c.waits)
				}
			}
		})
	}
}

// Stop comes back when the sources are closed, a log that waits for its readers
// too.
func TestStopWaitsForTheSources(t *testing.T) {
	r := prepare(t, voltage(""), oneFrame, Config{Buses: []BusConfig{{Name: "can0", Source: "replay://@DIR@/drive.log?delay=1h"}}})
	r.start(t)
	if open := openFiles(t, r.dir); len(open) != 1 {
		t.Fatalf("open: %v, want the log", open)
	}
	r.buses.Stop()
	if open := openFiles(t, r.dir); len(open) > 0 {
		t.Errorf("left open: %v", open)
	}
}

// What the broker refuses is not taken for the end of a log.
func TestRefusedMessageTakesTheBusDown(t *testing.T) {
	r := prepare(t, voltage(""), oneFrame, Config{Buses: []BusConfig{{Name: "can0", Source: "replay://@DIR@/drive.log?speed=max"}}})
	r.broker.refusal = errors.New("too many levels")
	r.start(t)
	states := r.broker.await(t, "health/bus/can0", 2)
	if !strings.Contains(states[1].payload, `"state":"down","reason":"too many levels"`) {
		t.Errorf("got %s, want down with the reason", states[1].payload)
	}
}

func TestLogThatHasEndedIsTold(t *testing.T) {
	const log = oneFrame + "(1.010000) can0 100#02000000\n(1.020000) can0 1"
	r := prepare(t, voltage(""), log, Config{Buses: []BusConfig{{Name: "can0", Source: "replay://@DIR@/drive.log"}}})
	r.start(t)
	states := r.broker.await(t, "health/bus/can0", 2)
	if !strings.HasPrefix(states[1].payload, `{"state":"ended","since":`) || !states[1].retain {
		t.Errorf("got %+v", states[1])
	}
	s := r.buses.Status()[0]
	if s.Active() || s.Frames != 2 || s.TornLines != 1 || s.FirstFault == "" || s.Seconds <= 0 || s.Seconds > 10 {
		t.Errorf("got %+v", s)
	}
}

// Between the first frame's moment and the last's a status may be asked for.
func TestSecondsAreNeverNegative(t *testing.T) {
	b := &bus{health: &health{}}
	b.first.Store(5e9)
	if s := b.status().Seconds; s != 0 {
		t.Errorf("got %g seconds, want 0", s)
	}
}

// The two kinds of identifier have the same numbers.
func TestIdentifiersOf11And29BitsAreApart(t *testing.T) {
	r := newRig(t, voltage(""), "can0")
	extended := frame(0x100, 1, 0, 0, 0)
	extended.Flags |= can.Extended
	failed := frame(0x100, 1, 0, 0, 0)
	failed.Flags |= can.Error
	r.send(t, 0, extended, failed)
	if s := r.buses.Status()[0]; s.Unknown != 1 || s.Other != 1 || s.Decoded != 0 {
		t.Errorf("got %+v, want one unknown and one error frame", s)
	}
}

// What is derived keeps its last value while something it names is missing; it
// is invalid while the types don't go together.
func TestDerivedValuesOfWhatCannotBeComputed(t *testing.T) {
	r := newRig(t, `signals:
  - {signal: Body.Door, path: Vehicle.Door, type: string, values: {0: CLOSED, 1: OPEN}}
  - {signal: Body.Light, path: Vehicle.Light}
derived:
  - {path: Vehicle.IsOpen, expr: 'Vehicle.Door == "OPEN"'}
  - {path: Vehicle.Never, expr: "Vehicle.Door - Vehicle.Light"}
`, "can0")
	r.send(t, 0, frame(idBody, 1, 0), frame(idBody, 6, 0), frame(idBody, 0, 0))
	within(t, "the last frame is through", func() bool { return r.buses.Status()[0].Decoded == 3 })
	isOpen := r.broker.await(t, "vss/Vehicle/IsOpen", 2)
	for i, want := range []string{"true", "false"} {
		if !strings.HasPrefix(isOpen[i].payload, `{"value":`+want+`,`) {
			t.Errorf("got %s, want %s", isOpen[i].payload, want)
		}
	}
	if never := r.broker.await(t, "vss/Vehicle/Never", 1)[0]; !strings.HasSuffix(never.payload, `"quality":"invalid"}`) {
		t.Errorf("a text less a number: got %s, want invalid", never.payload)
	}
}

// A path that somebody else sets counts in what is derived, over several steps.
func TestWhatOthersSetReachesTheDerived(t *testing.T) {
	r := newRig(t, `signals: []
derived:
  - {path: Vehicle.Twice, expr: "Vehicle.Once * 2"}
  - {path: Vehicle.Fourfold, expr: "Vehicle.Twice * 2"}
`, "can0")
	now := vehicle.BootNow()
	r.state.Slot("Vehicle.Once").Set(vehicle.Int(3), time.Now().UnixNano(), now)
	r.buses.Changed("Vehicle.Once", time.Now().UnixNano(), now)
	if got := r.broker.await(t, "vss/Vehicle/Fourfold", 1)[0]; !strings.HasPrefix(got.payload, `{"value":12,`) || got.waited {
		t.Errorf("got %+v, want 12", got)
	}
}

// A bus that stays down says so once.
func TestHealthIsPublishedWhenItChanges(t *testing.T) {
	h := &health{broker: newRecorder(), topic: "health/bus/can0"}
	for _, c := range []struct {
		state   string
		changed bool
	}{{busDown, true}, {busDown, false}, {busActive, true}, {busActive, false}, {busDown, true}} {
		if got := h.set(c.state, ""); got != c.changed {
			t.Errorf("%s: changed %t, want %t", c.state, got, c.changed)
		}
	}
	if n := len(h.broker.(*recorder).all); n != 3 {
		t.Errorf("published %d times, want 3", n)
	}
}

// The faults of every source that a bus has had add up; the first stays.
func TestFaultsAddUpOverSources(t *testing.T) {
	r := prepare(t, voltage(""), oneFrame+"(1.010000) can0 1\n", Config{Buses: []BusConfig{{Name: "can0", Source: "replay://@DIR@/drive.log"}}})
	r.start(t)
	r.broker.await(t, "health/bus/can0", 2)
	b := r.buses.buses[0]
	first := b.status().FirstFault
	r.write(t, "drive.log", oneFrame+"\n\n(1.010000) can0 1\n")
	b.run(t.Context(), nil)
	if s := b.status(); s.TornLines != 2 || s.FirstFault != first || s.Frames != 2 {
		t.Errorf("got %+v, want both sources' faults and the first of them, %s", s, first)
	}
}

func TestSummaryIsRightWhateverTheError(t *testing.T) {
	db, _, err := dbc.Parse("car.dbc", []byte(testDBC))
	if err != nil {
		t.Fatal(err)
	}
	log := "(1.000000) can0 1\n" + strings.Repeat("(1.000000) can0 100#6C0E9DFF\n", 2000)
	d := LogDecoder{Database: db}
	sum, err := d.Decode(canlog.NewReader(strings.NewReader(log), canlog.Candump), full{})
	if !errors.Is(err, io.ErrShortWrite) || sum.Torn != 1 || sum.Frames == 0 {
		t.Errorf("got %+v, %v, want the torn line counted", sum, err)
	}
}

// full is where nothing more can be written.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
