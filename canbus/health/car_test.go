package health

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const carDBC = `VERSION ""
BS_:
BU_: ECU
BO_ 256 Motor: 4 ECU
 SG_ Speed : 0|16@1+ (0.1,0) [0|300] "km/h" ECU
 SG_ Alive : 16|4@1+ (1,0) [0|15] "" ECU
 SG_ Alive2 : 27|4@0+ (1,0) [0|1] "" ECU
BO_ 512 Tyres: 2 ECU
 SG_ Wheel M : 0|2@1+ (1,0) [0|3] "" ECU
 SG_ Left m0 : 8|8@1+ (1,0) [0|0] "" ECU
 SG_ Right m1 : 8|8@1+ (1,0) [0|0] "" ECU
BO_ 768 Spare: 1 ECU
 SG_ Nothing : 0|8@1+ (1,0) [0|0] "" ECU
BO_ 1024 Event: 1 ECU
 SG_ Bell : 0|8@1+ (1,0) [0|100] "" ECU
VAL_ 1024 Bell 255 "not available" ;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 10000;
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_ "GenMsgCycleTime" BO_ 256 50;
BA_ "GenMsgCycleTime" BO_ 512 10;
BA_ "GenMsgCycleTime" BO_ 768 100;
`

const carMapping = `signals:
  - {signal: Motor.Speed, path: Vehicle.Speed}
  - {signal: Motor.Speed, path: Vehicle.Patient, timeout: 1h}
  - {signal: Tyres.Left, path: Vehicle.Left, timeout: 500ms}
  - {signal: Tyres.Right, path: Vehicle.Right}
  - {signal: Event.Bell, path: Vehicle.Bell}
`

const (
	ms      = int64(time.Millisecond)
	look    = 100 * ms
	begin   = 1000 * int64(time.Second) // by CLOCK_BOOTTIME
	morning = 1_700_000_000 * int64(time.Second)
)

// car is a monitor of one bus with time in the test's hand.
type car struct {
	t       testing.TB
	db      *dbc.Database
	mapping string
	mapped  *mapping.Plan
	state   *vehicle.State
	monitor *Monitor
	watches Watches
	now     int64
	down    string // why the bus is down, "" if it is up
	topics  map[string]*topic
	sets    int
	log     bytes.Buffer
	values  []dbc.Value
}

type topic struct {
	car     *car
	payload string // "" without a value
	all     []string
}

func (p *topic) Set(payload []byte, _ string) {
	p.payload = string(payload)
	p.all = append(p.all, p.payload)
	p.car.sets++
}

func (p *topic) Forget() { p.payload = "" }

func newCar(t testing.TB, text string) *car {
	t.Helper()
	db, _ := database(t, carDBC)
	return newCarOf(t, db, text, carMapping)
}

func newCarOf(t testing.TB, db *dbc.Database, text, mappingText string) *car {
	t.Helper()
	c := &car{t: t, db: db, mapping: mappingText, state: vehicle.NewState(), now: begin, topics: map[string]*topic{}}
	c.monitor = New(Options{
		Topic: func(name string) Topic {
			if c.topics[name] == nil {
				c.topics[name] = &topic{car: c}
			}
			return c.topics[name]
		},
		Bus: func(string) (bool, string) { return c.down == "", c.down },
		Log: slog.New(slog.NewTextHandler(&c.log, nil)),
	})
	c.use(text)
	c.look()
	return c
}

func database(t testing.TB, text string) (*dbc.Database, []dbc.Warning) {
	t.Helper()
	db, warnings, err := dbc.Parse("car.dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return db, warnings
}

// use makes text the configuration under can.health.
func (c *car) use(text string) {
	c.t.Helper()
	plan, _, mapped, err := compile(c.t, text, c.mapping, c.state, Bus{Name: "can0", Database: c.db, Published: map[string]bool{}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.mapped = mapped
	c.watches = c.monitor.Use(plan, c.now)
}

// compile compiles a configuration and a mapping against the buses.
func compile(t testing.TB, text, mappingText string, state *vehicle.State, buses ...Bus) (*Plan, []config.Problem, *mapping.Plan, error) {
	t.Helper()
	var file struct {
		CAN struct {
			Health Config `yaml:"health"`
		} `yaml:"can"`
	}
	doc, err := config.Decode("fascia.yaml", []byte("can:\n  health: {"+text+"}\n"), &file)
	if err != nil {
		return nil, nil, nil, err
	}
	mapped := mapText(t, mappingText, buses...)
	plan, doubts, problems := Compile(file.CAN.Health, doc, buses, mapped, state)
	if len(problems) > 0 {
		return nil, nil, nil, problems
	}
	return plan, doubts, mapped, nil
}

func (c *car) look() { c.monitor.Look(morning+c.now-begin, c.now) }

// pass lets time go by, looking ten times a second.
func (c *car) pass(d time.Duration) {
	for end := c.now + int64(d); c.now < end; {
		c.now += look
		c.look()
	}
}

// frame receives a frame as the decoder would.
func (c *car) frame(id uint32, data ...byte) {
	c.t.Helper()
	fr := can.Frame{ID: id, Len: uint8(len(data))}
	copy(fr.Data[:], data)
	m := c.db.Message(id, false)
	w := c.watches.Message(m)
	if w == nil {
		return
	}
	if len(data) < m.Size {
		w.Short()
		return
	}
	w.Frame(&fr, c.now)
	var err error
	if c.values, err = m.Decode(&fr, c.values[:0]); err != nil {
		c.t.Fatal(err)
	}
	for _, v := range c.values {
		for _, rule := range c.mapped.Bus("can0").Message(m).Rules(v.Signal) {
			if s := c.watches.Signal(rule); s != nil {
				s.See(v, rule.Convert(v), c.now)
			}
		}
	}
}

// drive is pass with a frame of Motor every cycle, made by data.
func (c *car) drive(d time.Duration, data func(i int) []byte) {
	c.t.Helper()
	for i, end := 0, c.now+int64(d); c.now < end; i++ {
		c.now += 50 * ms
		c.frame(256, data(i)...)
		if c.now%look == 0 {
			c.look()
		}
	}
}

func counting(i int) []byte { return []byte{byte(i), 0, byte(i % 16), 0} }

type said struct {
	State       State
	Since       time.Time
	First, Last *time.Time
	Rate        *float64
	Reason      string
}

// says is what stands on a topic.
func (c *car) says(name string) said {
	c.t.Helper()
	p := c.topics[name]
	if p == nil || p.payload == "" {
		return said{State: Unseen}
	}
	var s said
	if err := json.Unmarshal([]byte(p.payload), &s); err != nil {
		c.t.Fatalf("%s: %v", p.payload, err)
	}
	return s
}

func (c *car) want(name string, state State) said {
	c.t.Helper()
	s := c.says(name)
	if s.State != state {
		c.t.Errorf("%v after the start: %s is %s (%s), want %s", time.Duration(c.now-begin), name, s.State, s.Reason, state)
	}
	return s
}

// states are all that were told on a topic, in order, without repetitions.
func (c *car) states(name string) string {
	var all []string
	for _, text := range c.topics[name].all {
		var s said
		_ = json.Unmarshal([]byte(text), &s)
		if len(all) == 0 || all[len(all)-1] != string(s.State) {
			all = append(all, string(s.State))
		}
	}
	return strings.Join(all, " ")
}

func wall(boot int64) time.Time { return time.Unix(0, morning+boot-begin).UTC() }

const (
	motor = "health/message/can0/Motor"
	speed = "health/signal/Vehicle/Speed"
)
