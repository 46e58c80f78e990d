package canbus

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDBC = `VERSION ""

BS_:

BU_: ECU

BO_ 256 Pack: 4 ECU
 SG_ Voltage : 0|16@1+ (0.1,0) [0|0] "V" ECU
 SG_ Current : 16|16@1- (0.1,0) [0|0] "A" ECU

BO_ 2566844926 Body: 2 ECU
 SG_ Door : 0|2@1+ (1,0) [0|0] "" ECU
 SG_ Light : 2|1@1+ (1,0) [0|0] "" ECU

BO_ 512 Spare: 1 ECU
 SG_ Nothing : 0|8@1+ (1,0) [0|0] "" ECU

VAL_ 2566844926 Door 0 "closed" 1 "open" ;
`

// published is one message that the broker was given.
type published struct {
	topic, payload, contentType string
	retain, waited              bool
}

// recorder is a broker that keeps what it is given.
type recorder struct {
	mu      sync.Mutex
	all     []published
	wake    chan struct{}
	refusal error // what PublishWait answers
}

func newRecorder() *recorder { return &recorder{wake: make(chan struct{}, 1)} }

func (r *recorder) add(p published) {
	r.mu.Lock()
	r.all = append(r.all, p)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *recorder) LastValue(topic string) LastValue { return recorded{r, topic} }

func (r *recorder) Publish(topic string, payload []byte, contentType string, retain bool) {
	r.add(published{topic, string(payload), contentType, retain, false})
}

func (r *recorder) PublishWait(ctx context.Context, topic string, payload []byte, contentType string) error {
	r.add(published{topic, string(payload), contentType, false, true})
	return errors.Join(ctx.Err(), r.refusal)
}

type recorded struct {
	r     *recorder
	topic string
}

func (v recorded) Set(payload []byte, contentType string) {
	v.r.add(published{v.topic, string(payload), contentType, true, false})
}

func (v recorded) Forget() { v.r.add(published{v.topic, "", "forgotten", true, false}) }

// await returns the messages on a topic once there are n.
func (r *recorder) await(t *testing.T, topic string, n int) []published {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		var found []published
		r.mu.Lock()
		for _, p := range r.all {
			if p.topic == topic {
				found = append(found, p)
			}
		}
		r.mu.Unlock()
		if len(found) >= n {
			return found
		}
		select {
		case <-r.wake:
		case <-deadline:
			t.Fatalf("%d messages on %s, want %d", len(found), topic, n)
		}
	}
}

// rig is a set of buses on virtual buses of the same names.
type rig struct {
	dir     string
	config  Config
	broker  *recorder
	state   *vehicle.State
	buses   *Buses
	virtual map[string]*source.Virtual
}

func newRig(t *testing.T, mappingText string, names ...string) *rig {
	t.Helper()
	c := Config{}
	for _, name := range names {
		c.Buses = append(c.Buses, BusConfig{Name: name, Source: "virtual://" + name, Publish: []string{"Body"}})
	}
	r := prepare(t, mappingText, "", c)
	r.start(t)
	return r
}

// prepare makes the buses of c without starting them. All have the DBC and the
// mapping of the test; @DIR@ in a source is the folder they are in, with the log
// as drive.log and as gone.log.
func prepare(t *testing.T, mappingText, log string, c Config) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), broker: newRecorder(), state: vehicle.NewState(), virtual: map[string]*source.Virtual{}}
	for name, text := range map[string]string{"car.dbc": testDBC, "drive.log": log, "gone.log": log} {
		r.write(t, name, text)
	}
	for i := range c.Buses {
		b := &c.Buses[i]
		b.DBC, b.Source = []string{"car.dbc"}, strings.ReplaceAll(b.Source, "@DIR@", r.dir)
		r.virtual[b.Name] = source.NewVirtual()
	}
	c.Mapping = []string{"mapping.yaml"}
	c.Resolve(r.dir)
	r.config = c
	var err error
	r.buses, err = New(c, r.plan(t, mappingText), Options{Broker: r.broker, State: r.state, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Virtual: r.virtual})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// plan compiles the rig's configuration with another mapping.
func (r *rig) plan(t *testing.T, mappingText string) *Plan {
	t.Helper()
	r.write(t, "mapping.yaml", mappingText)
	doc, err := config.Decode("fascia.yaml", nil, &struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	plan, _, err := Compile(r.config, doc, r.state)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (r *rig) start(t *testing.T) {
	t.Helper()
	if err := r.buses.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.buses.Stop)
}

// send puts frames on a bus and waits until the gateway has taken them.
func (r *rig) send(t *testing.T, bus int, frames ...can.Frame) {
	t.Helper()
	before := r.buses.Status()[bus]
	node := r.virtual[before.Name].Attach()
	defer func() { _ = node.Close() }()
	for _, fr := range frames {
		if err := node.Send(fr); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); r.buses.Status()[bus].Frames < before.Frames+uint64(len(frames)); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the frames were not received")
		}
	}
}

func frame(id uint32, data ...byte) can.Frame {
	fr := can.Frame{ID: id, Len: uint8(len(data))}
	if id > can.MaxStandardID {
		fr.Flags = can.Extended
	}
	copy(fr.Data[:], data)
	return fr
}

const idBody = 2566844926 - 1<<31

func TestEachFrameIsCountedOnce(t *testing.T) {
	r := newRig(t, "signals: [{signal: Pack.Voltage, path: Vehicle.V}]", "can0")
	remote := frame(0x100)
	remote.Flags |= can.Remote
	r.send(t, 0,
		frame(0x100, 0x10, 0x27, 0, 0),    // mapped
		frame(0x100, 0x10, 0x27, 0, 0, 9), // longer than its message: decoded
		frame(idBody, 1, 0),               // published whole
		frame(0x200, 1),                   // nobody wants it
		frame(0x100, 0x10),                // short
		frame(0x101, 1),                   // unknown
		frame(0x1EFE),                     // 29 bits: not the message of the same number
		remote)
	s := r.buses.Status()[0]
	if s.Frames != 8 || s.Decoded != 3 || s.Unused != 1 || s.Short != 1 || s.Unknown != 2 || s.Other != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestPayloadsHaveTheirForms(t *testing.T) {
	r := newRig(t, `signals:
  - {signal: Pack.Voltage, path: Vehicle.Volts}
  - {signal: Pack.Current, path: Vehicle.Amps, format: cbor}
  - {signal: Body.Door, path: Vehicle.Door, type: string, values: {0: CLOSED, 1: OPEN}}
`, "can0")
	r.send(t, 0, frame(0x100, 0x6C, 0x0E, 0x9D, 0xFF), frame(idBody, 1, 0), frame(idBody, 6, 0))

	volts := r.broker.await(t, "vss/Vehicle/Volts", 1)[0]
	var v struct {
		Value   float64
		TS      time.Time
		Quality string
	}
	if err := json.Unmarshal([]byte(volts.payload), &v); err != nil || v.Value != 369.2 || v.Quality != "" || time.Since(v.TS).Abs() > time.Minute || volts.contentType != "application/json" {
		t.Errorf("got %+v, %v", volts, err)
	}
	if !strings.HasSuffix(volts.payload, `Z"}`) || len(volts.payload) != len(`{"value":369.2,"ts":"2026-01-01T00:00:00.000Z"}`) {
		t.Errorf("the stamp of %s is not RFC 3339 in UTC with milliseconds", volts.payload)
	}

	amps := r.broker.await(t, "vss/Vehicle/Amps", 1)[0]
	var pair struct {
		_     struct{} `cbor:",toarray"`
		Value float64
		Milli int64
	}
	if err := cbor.Unmarshal([]byte(amps.payload), &pair); err != nil || pair.Value != -9.9 || time.Since(time.UnixMilli(pair.Milli)).Abs() > time.Minute || amps.contentType != "application/cbor" {
		t.Errorf("got %+v, %+v, %v", amps, pair, err)
	}

	doors := r.broker.await(t, "vss/Vehicle/Door", 2)
	if !strings.HasPrefix(doors[0].payload, `{"value":"OPEN",`) {
		t.Errorf("got %s", doors[0].payload)
	}
	if p := doors[1].payload; !strings.HasPrefix(p, `{"value":null,`) || !strings.HasSuffix(p, `"quality":"invalid"}`) {
		t.Errorf("a number that the table does not name: got %s", p)
	}
	if s := r.buses.Status()[0]; s.Invalid != 1 {
		t.Errorf("%d invalid values counted, want 1", s.Invalid)
	}

	whole := r.broker.await(t, "can/can0/Body", 2)[1]
	if !strings.HasSuffix(whole.payload, `"signals":{"Door":2,"Light":1}}`) || whole.retain {
		t.Errorf("got %+v", whole)
	}
}

// Of the values that min_interval holds back the last comes out, with the
// moment at which it came, though no frame follows it.
func TestLastValueComesOutThoughTheBusFallsSilent(t *testing.T) {
	r := newRig(t, "signals: [{signal: Pack.Voltage, path: Vehicle.V, min_interval: 100ms, on_change: true}]", "can0")
	r.send(t, 0, frame(0x100, 1, 0, 0, 0), frame(0x100, 2, 0, 0, 0), frame(0x100, 3, 0, 0, 0))
	sent := time.Now()
	got := r.broker.await(t, "vss/Vehicle/V", 2)
	if !strings.HasPrefix(got[0].payload, `{"value":0.1,`) || !strings.HasPrefix(got[1].payload, `{"value":0.3,`) {
		t.Errorf("got %s and %s, want 0.1 and 0.3", got[0].payload, got[1].payload)
	}
	var v struct{ TS time.Time }
	if err := json.Unmarshal([]byte(got[1].payload), &v); err != nil || v.TS.After(sent.Add(10*time.Millisecond)) {
		t.Errorf("the value of %v is stamped %v, when it was published", sent, v.TS)
	}
}

// A value computed from two signals of one frame never mixes two frames.
func TestDerivedValuesAreOfOneFrame(t *testing.T) {
	r := newRig(t, `signals:
  - {signal: Pack.Voltage, path: Vehicle.Volts}
  - {signal: Pack.Current, path: Vehicle.Amps}
derived:
  - {path: Vehicle.Heat, expr: "Vehicle.Power * 2"}
  - {path: Vehicle.Power, expr: "Vehicle.Volts * Vehicle.Amps"}
  - {path: Vehicle.Never, expr: "Vehicle.Power + Vehicle.Unseen"}
`, "can0")
	r.send(t, 0, frame(0x100, 10, 0, 20, 0), frame(0x100, 100, 0, 50, 0))
	for i, want := range []string{`{"value":2,`, `{"value":50,`} {
		if got := r.broker.await(t, "vss/Vehicle/Power", 2)[i].payload; !strings.HasPrefix(got, want) {
			t.Errorf("power %d: got %s, want %s", i, got, want)
		}
	}
	if got := r.broker.await(t, "vss/Vehicle/Heat", 2); len(got) != 2 || !strings.HasPrefix(got[1].payload, `{"value":100,`) {
		t.Errorf("what is derived from the derived: got %+v", got)
	}
	if _, ok := r.state.Get("Vehicle.Never"); ok {
		t.Error("an expression with a value that was never seen has a value")
	}
}

func TestTimeoutMakesAValueMissing(t *testing.T) {
	r := newRig(t, "signals: [{signal: Pack.Voltage, path: Vehicle.V, timeout: 50ms}]", "can0")
	r.send(t, 0, frame(0x100, 1, 0, 0, 0))
	if _, ok := r.state.Slot("Vehicle.V").Get(vehicle.BootNow() + int64(time.Second)); ok {
		t.Error("a value older than its timeout counts")
	}
}

// Several buses at once keep apart what is on them, in topics and counters.
func TestBusesAreKeptApart(t *testing.T) {
	r := newRig(t, "signals: [{signal: Pack.Voltage, bus: can1, path: Vehicle.V}]", "can0", "can1")
	r.send(t, 0, frame(0x100, 1, 0, 0, 0), frame(idBody, 0, 0))
	r.send(t, 1, frame(0x100, 2, 0, 0, 0), frame(idBody, 1, 0))
	if got := r.broker.await(t, "vss/Vehicle/V", 1); len(got) != 1 || !strings.HasPrefix(got[0].payload, `{"value":0.2,`) {
		t.Errorf("got %+v, want the value of can1 alone", got)
	}
	for i, want := range []string{`"Door":0`, `"Door":1`} {
		topic := "can/can" + string(rune('0'+i)) + "/Body"
		if got := r.broker.await(t, topic, 1); len(got) != 1 || !strings.Contains(got[0].payload, want) {
			t.Errorf("%s: got %+v", topic, got)
		}
	}
}

// A bus whose interface is missing is down, not fatal, and comes up by itself.
func TestBusIsDownUntilItsInterfaceComes(t *testing.T) {
	broker := newRecorder()
	virtual := source.NewVirtual()
	failures := 1
	b := &bus{
		name: "can0", live: true, waits: true,
		log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
		health: &health{broker: broker, topic: "health/bus/can0"},
		open: func() (source.Source, error) {
			if failures--; failures >= 0 {
				return nil, errors.New("no such device")
			}
			return virtual.Attach(), nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.run(ctx, nil) }()
	states := broker.await(t, "health/bus/can0", 2)
	cancel()
	<-done
	for i, want := range []string{`{"state":"down","reason":"no such device","since":`, `{"state":"active","since":`} {
		if !strings.HasPrefix(states[i].payload, want) || !states[i].retain {
			t.Errorf("state %d: got %+v, want %s, retained", i, states[i], want)
		}
	}
}
