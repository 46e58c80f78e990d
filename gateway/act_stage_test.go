package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/vehicle"
)

const climateDBC = `VERSION ""

BS_:

BU_: GTW HVAC

BO_ 512 Climate_Request: 8 GTW
 SG_ SetPoint : 0|8@1+ (0.5,0) [16|28] "degC" HVAC
 SG_ Fan : 8|8@1+ (1,0) [0|100] "%" HVAC
 SG_ Mode : 16|2@1+ (1,0) [0|3] "" HVAC
 SG_ Recirculate : 18|1@1+ (1,0) [0|1] "" HVAC
 SG_ Spare : 19|5@1+ (1,0) [0|31] "" HVAC
 SG_ AliveCounter : 52|4@1+ (1,0) [0|15] "" HVAC
 SG_ Checksum : 56|8@1+ (1,0) [0|255] "" HVAC

BO_ 513 Climate_State: 3 HVAC
 SG_ SetPointState : 0|8@1+ (0.5,0) [16|28] "degC" GTW
 SG_ FanState : 8|8@1+ (1,0) [0|100] "%" GTW
 SG_ ModeState : 16|2@1+ (1,0) [0|3] "" GTW

BO_ 514 Steer_Secure: 8 GTW
 SG_ Torque : 0|8@1+ (1,0) [0|255] "" HVAC
 SG_ AUTHENTICATOR : 35|28@0+ (1,0) [0|268435455] "" HVAC
 SG_ RESET_FLAG : 37|2@0+ (1,0) [0|3] "" HVAC

BA_DEF_ SG_ "GenSigStartValue" INT 0 255;
BA_DEF_DEF_ "GenSigStartValue" 0;
BA_ "GenSigStartValue" SG_ 512 Fan 40;
BA_ "GenSigStartValue" SG_ 512 SetPoint 42;
`

const climateConfig = `data_dir: data
broker:
  listeners:
    - {name: driver, address: "127.0.0.1:0", auth: [anonymous], role: driver}
    - {name: seat, address: "127.0.0.1:0", auth: [anonymous], role: rear_passenger}
auth:
  roles:
    driver: {act: ["**"], publish: ["answers/#"], subscribe: ["#"]}
    rear_passenger: {act: ["**"], publish: ["answers/#"], subscribe: ["#"]}
can:
  buses: [{name: can0, source: "virtual://car", dbc: [car.dbc]}]
  mapping: [mapping.yaml]
  transmit:
    rules:
      - {path: Vehicle.Cabin.SetPoint, signal: Climate_Request.SetPoint, roles: [driver, operator], min: 16, max: 28, step: 0.5, rate: 1000/s,
         when: "Vehicle.Speed == 0", answer: {path: Vehicle.Cabin.SetPoint, within: 8s}}
      - {path: Vehicle.Cabin.SetPoint, signal: Climate_Request.SetPoint, roles: [rear_passenger], min: 20, max: 24, rate: 1000/s, answer: {signal: SetPointState, within: 8s}}
      - {path: Vehicle.Cabin.Mode, signal: Mode, roles: [driver], values: {0: "OFF", 2: "AUTO"}, rate: 1000/s, answer: {when: "Vehicle.Cabin.Mode == 'AUTO'", within: 8s}}
      - {path: Vehicle.Cabin.Fan, signal: Fan, roles: [driver], min: 0, max: 100, rate: 2/h}
      - {path: Vehicle.Cabin.Recirculate, signal: Recirculate, roles: [driver], repeat: 3, every: 1ms, rate: 1000/s}
      - {path: Vehicle.Cabin.Deaf, signal: Spare, roles: [driver], min: 0, max: 31, rate: 1000/s, answer: {signal: FanState, within: 20ms}}
      - {path: Vehicle.Chassis.Torque, signal: Steer_Secure.Torque, roles: [driver], min: 0, max: 255}
      - {path: Vehicle.Cabin.Aged, signal: Spare, roles: [driver], min: 0, max: 31, ttl: 10ms, rate: 1000/s}
    messages:
      - {message: Climate_Request, counter: AliveCounter, checksum: {signal: Checksum, kind: crc8-sae-j1850, identifier: true}}
`

const climateMapping = `signals:
  - {signal: SetPointState, path: Vehicle.Cabin.SetPoint, type: float}
  - {signal: ModeState, path: Vehicle.Cabin.Mode, values: {0: "OFF", 2: "AUTO"}}
  - {signal: SetPoint, path: Vehicle.Cabin.Asked, type: float}
`

// climate is the ECU at the other end: it takes over what it is asked for, if
// the frame is in order, and says so.
type climate struct {
	node    *source.Node
	ended   chan struct{}
	mute    atomic.Bool
	mu      sync.Mutex // guards the fields below
	frames  []can.Frame
	counter int // of the newest frame, -1 before
	faults  []string
}

func newClimate(t *testing.T, bus *source.Virtual) *climate {
	t.Helper()
	c := &climate{node: bus.Attach(), ended: make(chan struct{}), counter: -1}
	go func() {
		defer close(c.ended)
		for c.node.Receive() {
			if fr := c.node.Frame(); fr.ID == 512 {
				c.take(fr)
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.node.Close()
		<-c.ended
		if len(c.faults) > 0 {
			t.Errorf("the ECU saw frames out of order: %q", c.faults)
		}
	})
	return c
}

func (c *climate) take(fr can.Frame) {
	c.mu.Lock()
	crc := byte(0xFF)
	for _, b := range append([]byte{2, 0}, fr.Data[:7]...) {
		crc ^= b
		for range 8 {
			carry := crc&0x80 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1D
			}
		}
	}
	if crc^0xFF != fr.Data[7] {
		c.faults = append(c.faults, "checksum of "+fr.String())
	}
	if count := int(fr.Data[6] >> 4); c.counter >= 0 && count != (c.counter+1)%16 {
		c.faults = append(c.faults, fmt.Sprintf("counter %d after %d", count, c.counter))
	}
	c.counter = int(fr.Data[6] >> 4)
	c.frames = append(c.frames, fr)
	c.mu.Unlock()
	if !c.mute.Load() {
		state := can.Frame{ID: 513, Len: 3}
		copy(state.Data[:], fr.Data[:3])
		_ = c.node.Send(state)
	}
}

func (c *climate) last() (can.Frame, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.frames) == 0 {
		return can.Frame{}, 0
	}
	return c.frames[len(c.frames)-1], len(c.frames)
}

// stage is a gateway with the ECU at its bus.
type stage struct {
	*Gateway
	file string
	ecu  *climate
	stop func()
}

func newStage(t *testing.T, change ...string) *stage {
	t.Helper()
	text := climateConfig
	for i := 0; i+1 < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			t.Fatalf("no %s in the configuration", change[i])
		}
		text = strings.ReplaceAll(text, change[i], change[i+1])
	}
	s := &stage{file: write(t, map[string]string{"fascia.yaml": text, "car.dbc": climateDBC, "mapping.yaml": climateMapping})}
	s.start(t)
	return s
}

func (s *stage) start(t *testing.T) {
	t.Helper()
	bus := source.NewVirtual()
	g, err := New(s.file, Options{Stderr: io.Discard, Virtual: map[string]*source.Virtual{"car": bus}})
	if err != nil {
		t.Fatal(err)
	}
	s.Gateway, s.ecu = g, newClimate(t, bus)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(s.stop)
	awaitReady(t, g)
	s.speed(0)
}

func (s *stage) speed(v float64) {
	s.State().Slot("Vehicle.Speed").Set(vehicle.Float(v), 0, vehicle.BootNow())
}

func (s *stage) audited(t *testing.T) []audit.Entry {
	t.Helper()
	var list []audit.Entry
	dir := filepath.Join(s.Config().DataDir, AuditFolder)
	if err := audit.Read(dir, 0, func(e audit.Entry, _ []byte) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(dir, nil); err != nil {
		t.Fatal(err)
	}
	return list
}

// requester is an MQTT 5 client that asks and hears the answers.
type requester struct {
	t       *testing.T
	name    string
	cm      *autopaho.ConnectionManager
	answers chan *paho.Publish
	count   int
}

// as connects a client to a listener and subscribes to its answers.
func (s *stage) as(t *testing.T, listener string) *requester {
	t.Helper()
	server, err := url.Parse("mqtt://" + s.address(listener))
	if err != nil {
		t.Fatal(err)
	}
	r := &requester{t: t, name: listener, answers: make(chan *paho.Publish, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	r.cm, err = autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{server}, KeepAlive: 30, ReconnectBackoff: func(int) time.Duration { return 0 },
		ClientConfig: paho.ClientConfig{ClientID: listener, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) { r.answers <- p.Packet; return true, nil }}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); <-r.cm.Done() })
	if err := r.cm.AwaitConnection(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.cm.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "answers/" + listener, QoS: 1}, {Topic: "act/+/+/+/result", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *stage) address(listener string) string {
	for _, l := range s.broker.Listeners() {
		if l.Name == listener {
			return l.Address
		}
	}
	return ""
}

// publish sends a request with correlation data and returns those.
func (r *requester) publish(path, payload string, change ...func(*paho.Publish)) string {
	r.t.Helper()
	r.count++
	correlation := fmt.Sprintf("request %d", r.count)
	p := &paho.Publish{Topic: "act/" + strings.ReplaceAll(path, ".", "/"), Payload: []byte(payload), QoS: 1,
		Properties: &paho.PublishProperties{ResponseTopic: "answers/" + r.name, CorrelationData: []byte(correlation)}}
	for _, c := range change {
		c(p)
	}
	if answer, err := r.cm.Publish(r.t.Context(), p); err != nil {
		r.t.Fatalf("%s %s: %+v, %v", path, payload, answer, err)
	}
	return correlation
}

// hear is the next answer, and the message that carries it.
func (r *requester) hear() (transmit.Answer, *paho.Publish) {
	r.t.Helper()
	select {
	case p := <-r.answers:
		var a transmit.Answer
		if err := json.Unmarshal(p.Payload, &a); err != nil || p.Retain {
			r.t.Fatalf("answer %s: %v, retained %t", p.Payload, err, p.Retain)
		}
		return a, p
	case <-time.After(20 * time.Second):
		r.t.Fatal("no answer within 20 s")
		return transmit.Answer{}, nil
	}
}

// ask is a request with its answer.
func (r *requester) ask(path, payload string, change ...func(*paho.Publish)) transmit.Answer {
	r.t.Helper()
	correlation := r.publish(path, payload, change...)
	a, p := r.hear()
	if string(p.Properties.CorrelationData) != correlation || p.Properties.ContentType != "application/json" {
		r.t.Errorf("%s %s: answered with correlation data %q as %q", path, payload, p.Properties.CorrelationData, p.Properties.ContentType)
	}
	return a
}

func (s *stage) awaitFrames(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, got := s.ecu.last(); got >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %d frames came", n)
		}
	}
}
