package gateway

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/vehicle"
)

// The way there and back: what is asked for goes out as a frame in order, the
// ECU takes it over, and who asked hears that it is done.
func TestActReachesTheECUAndItsAnswerComesBack(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	for _, c := range []struct{ path, payload, data string }{
		{"Vehicle.Cabin.SetPoint", `22.5`, "2D2800"},
		{"Vehicle.Cabin.SetPoint", `{"value":16}`, "202800"},
		{"Vehicle.Cabin.Mode", `"AUTO"`, "202802"},
		{"Vehicle.Cabin.Recirculate", ` true `, "202806"}, // what was set stays set
		{"Vehicle.Cabin.Fan", `70`, "204606"},
	} {
		a := driver.ask(c.path, c.payload)
		if a != (transmit.Answer{Status: transmit.Done, Rule: c.path}) {
			t.Fatalf("%s %s: %+v", c.path, c.payload, a)
		}
		if fr, _ := s.ecu.last(); fr.String()[4:10] != c.data {
			t.Errorf("%s %s: the frame is %s, want %s…", c.path, c.payload, fr, c.data)
		}
	}
	if _, n := s.ecu.last(); n != 7 {
		t.Errorf("%d frames were sent, want 7: one request repeats its frame three times", n)
	}
	// The gateway's own frames are no news of the vehicle.
	if r, ok := s.State().Get("Vehicle.Cabin.Asked"); ok {
		t.Errorf("Vehicle.Cabin.Asked is %v: the gateway's own frame was taken for an ECU's", r.Value)
	}
	if b := s.Status().Buses[0]; b.Own != 7 {
		t.Errorf("%d own frames were heard back, want 7", b.Own)
	}
}

// What others send stays as it is: the gate changes one signal of the message,
// and the counter goes on from what it saw.
func TestActKeepsTheOtherSignalsOfTheMessage(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	frame := can.Frame{ID: 512, Len: 8}
	copy(frame.Data[:], []byte{0x28, 0x11, 0x01, 0, 0xAB, 0, 0x90, 0x55})
	if err := s.ecu.node.Send(frame); err != nil { // as another ECU would
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); s.Status().Buses[0].Frames == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	driver.ask("Vehicle.Cabin.Recirculate", "true")
	s.ecu.mu.Lock()
	first := s.ecu.frames[0]
	s.ecu.mu.Unlock()
	if got, want := first.String()[:18], "200#28110500AB00A0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestActIsRefusedWithRuleAndReason(t *testing.T) {
	s := newStage(t)
	driver, seat := s.as(t, "driver"), s.as(t, "seat")
	retained := func(p *paho.Publish) { p.Retain = true }
	as := func(*paho.Publish) {}
	const setPoint = "Vehicle.Cabin.SetPoint"
	for _, c := range []struct {
		by            *requester
		path, payload string
		change        func(*paho.Publish)
		rule, reason  string
	}{
		{driver, setPoint, "28.5", as, setPoint, "value 28.5: want 16 to 28"},
		{driver, setPoint, "22.3", as, setPoint, "steps of 0.5"},
		{driver, setPoint, `"warm"`, as, setPoint, "want a number from 16 to 28"},
		{driver, setPoint, "true", as, setPoint, "want a number from 16 to 28"},
		{driver, setPoint, "22", retained, setPoint, "retained"},
		{driver, setPoint, "", as, setPoint, "want a bare JSON value"},
		{driver, setPoint, `{"value":22,"value":23}`, as, setPoint, "want a bare JSON value"},
		{driver, setPoint, `{"value":22,"role":"operator"}`, as, setPoint, "want a bare JSON value"},
		{driver, setPoint, strings.Repeat(" ", 2000) + "22", as, setPoint, "longer than 1024 bytes"},
		{driver, "Vehicle.Cabin.Mode", `"MANUAL"`, as, "Vehicle.Cabin.Mode", `want one of "OFF", "AUTO"`},
		{driver, "Vehicle.Cabin.Recirculate", "1", as, "Vehicle.Cabin.Recirculate", "want true or false"},
		{driver, "Vehicle.Chassis.Torque", "1", as, "Vehicle.Chassis.Torque", "message Steer_Secure is authenticated (SecOC): it has the signal AUTHENTICATOR"},
		{driver, "Vehicle.Cabin.Unknown", "1", as, "", "no rule allows Vehicle.Cabin.Unknown"},
		{seat, setPoint, "25", as, setPoint + " (2)", "want 20 to 24"}, // the rule of its role
		{seat, "Vehicle.Cabin.Fan", "25", as, "Vehicle.Cabin.Fan", "role rear_passenger may not: want driver"},
		{seat, "Vehicle.Cabin.Fan", "25", forge, "Vehicle.Cabin.Fan", "role rear_passenger may not: want driver"},
	} {
		correlation := c.by.publish(c.path, c.payload, c.change)
		a, p := c.by.hear()
		if a.Status != transmit.Refused || a.Rule != c.rule || !strings.Contains(a.Reason, c.reason) || string(p.Properties.CorrelationData) != correlation {
			t.Errorf("%s asks for %s %q: %+v, want refused by %q because of %q", c.by.name, c.path, c.payload, a, c.rule, c.reason)
		}
	}
	s.speed(3)
	if a := driver.ask(setPoint, "22"); a.Status != transmit.Refused || !strings.Contains(a.Reason, "the condition Vehicle.Speed == 0 does not hold") {
		t.Errorf("while driving: %+v", a)
	}
	s.State().Slot("Vehicle.Speed").Set(vehicle.Invalid(), 0, vehicle.BootNow())
	if a := driver.ask(setPoint, "22"); a.Status != transmit.Refused || !strings.Contains(a.Reason, "a value is missing: Vehicle.Speed") {
		t.Errorf("with an unknown speed: %+v", a)
	}
	if fr, n := s.ecu.last(); n != 0 {
		t.Errorf("%d frames were sent, the last %s", n, fr)
	}
	cancel, err := s.broker.Subscribe("act/#", func(m edgebroker.Message) {
		t.Errorf("%s is retained: the next start would meet a request again", m.Topic)
	})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
}

// forge says in every way that a packet has that somebody else asks.
func forge(p *paho.Publish) {
	p.Properties.ContentType = "application/json; role=driver"
	for _, name := range []string{"role", "origin", "identity", "client", "link"} {
		p.Properties.User.Add(name, "driver")
	}
}

func TestActTimesOutWithoutProof(t *testing.T) {
	s := newStage(t, "within: 8s", "within: 1s")
	driver := s.as(t, "driver")
	if a := driver.ask("Vehicle.Cabin.SetPoint", "22"); a.Status != transmit.Done {
		t.Fatalf("first: %+v", a)
	}
	if a := driver.ask("Vehicle.Cabin.Mode", `"AUTO"`); a.Status != transmit.Done {
		t.Fatalf("first: %+v", a)
	}
	s.ecu.mute.Store(true)
	// The value that the path has already proves nothing, and neither does the
	// gateway's own frame.
	a := driver.ask("Vehicle.Cabin.SetPoint", "22")
	if a.Status != transmit.TimedOut || !strings.Contains(a.Reason, "no proof within 1s of Vehicle.Cabin.SetPoint takes the value") {
		t.Errorf("got %+v", a)
	}
	for path, payload := range map[string]string{"Vehicle.Cabin.Mode": `"AUTO"`, "Vehicle.Cabin.Deaf": "7"} {
		if a := driver.ask(path, payload); a.Status != transmit.TimedOut {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if _, n := s.ecu.last(); n != 5 {
		t.Errorf("%d frames were sent, want 5", n)
	}
}

// While a request for a signal is under way, another one is refused: the first
// one's answer would prove nothing else.
func TestActForABusySignalIsRefused(t *testing.T) {
	s := newStage(t)
	driver, seat := s.as(t, "driver"), s.as(t, "seat")
	s.ecu.mute.Store(true)
	driver.publish("Vehicle.Cabin.SetPoint", "22")
	s.awaitFrames(t, 1)
	if a := seat.ask("Vehicle.Cabin.SetPoint", "23"); a.Status != transmit.Refused || !strings.Contains(a.Reason, "busy") {
		t.Errorf("got %+v", a)
	}
	state := can.Frame{ID: 513, Len: 3}
	state.Data[0] = 44
	if err := s.ecu.node.Send(state); err != nil {
		t.Fatal(err)
	}
	if a, _ := driver.hear(); a.Status != transmit.Done {
		t.Errorf("got %+v", a)
	}
}

// A rule's rate holds whatever is asked, and each refusal is answered or counted.
func TestActRateHoldsInAFlood(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	const flood = 300
	for range flood {
		driver.publish("Vehicle.Cabin.Fan", "50")
	}
	counts := map[transmit.Status]int{}
	for counts[transmit.Done]+counts[transmit.Refused] < flood-int(s.buses.Gate().Lost()) {
		a, _ := driver.hear()
		counts[a.Status]++
		if a.Status == transmit.Refused && !strings.Contains(a.Reason, "more than 2/h") && !strings.Contains(a.Reason, "busy") {
			t.Fatalf("got %+v", a)
		}
	}
	if _, n := s.ecu.last(); n != 2 || counts[transmit.Done] != 2 {
		t.Errorf("%d frames were sent and %v answered, want 2 of %d", n, counts, flood)
	}
	s.stop()
	// A flood is summed up: it must not wash out what matters.
	summed := false
	entries := s.audited(t)
	for _, e := range entries {
		summed = summed || strings.Contains(e.Reason, "more requests were refused in quick succession")
	}
	if len(entries) >= flood || !summed {
		t.Errorf("%d entries for %d requests, summed up: %t", len(entries), flood, summed)
	}
}

// A client of MQTT 3.1.1 has no response topic to name.
func TestActOfMQTT311IsAnsweredOnTheResultTopic(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	old, err := net.Dial("tcp", s.address("driver"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	// CONNECT of level 4, client id "o"; PUBLISH at QoS 0.
	const topic = "act/Vehicle/Cabin/Recirculate"
	packets := "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01o" + "\x30" + string(rune(2+len(topic)+4)) + "\x00" + string(rune(len(topic))) + topic + "true"
	if _, err := old.Write([]byte(packets)); err != nil {
		t.Fatal(err)
	}
	if a, p := driver.hear(); a.Status != transmit.Done || p.Topic != topic+"/result" {
		t.Errorf("got %+v on %s", a, p.Topic)
	}
}

// The gateway lends nobody its right to publish: an answer goes only where the
// requester may publish, and never where it would be an order or a value.
func TestActAnswersOnlyWhereTheRequesterMayPublish(t *testing.T) {
	t.Run("by its grants", func(t *testing.T) { answersStay(t, newStage(t), "ivi/navigation", "health/bus/can0") })
	t.Run("whatever is granted", func(t *testing.T) {
		answersStay(t, newStage(t, `driver: {act: ["**"], publish: ["answers/#"]`, `driver: {act: ["**"], provide: ["**"], publish: ["#"]`),
			"vss/Vehicle/Speed", "cmd/a/b", "$SYS/x", "act/Vehicle/Cabin/Fan")
	})
}

// answersStay asks for answers on topics, none of which may carry them.
func answersStay(t *testing.T, s *stage, topics ...string) {
	t.Helper()
	var mu sync.Mutex
	var heard []string
	cancel, err := s.broker.Subscribe("#", func(m edgebroker.Message) {
		if strings.Contains(string(m.Payload), `"status"`) {
			mu.Lock()
			heard = append(heard, m.Topic)
			mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	driver := s.as(t, "driver")
	for _, topic := range topics {
		driver.publish("Vehicle.Cabin.Recirculate", "false", func(p *paho.Publish) { p.Properties.ResponseTopic = topic })
		if a, p := driver.hear(); a.Status != transmit.Done || p.Topic != "act/Vehicle/Cabin/Recirculate/result" {
			t.Errorf("asked to answer on %s: %+v on %s", topic, a, p.Topic)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, topic := range heard {
		if topic != "act/Vehicle/Cabin/Recirculate/result" {
			t.Errorf("answered on %s", topic)
		}
	}
}

// Every request is in the audit before its frame leaves, and its outcome after.
func TestActStandsInTheAudit(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	driver.ask("Vehicle.Cabin.SetPoint", "22")
	driver.ask("Vehicle.Cabin.SetPoint", "99")
	driver.ask("Vehicle.Cabin.SetPoint", `{"value":[1]}`)
	entries := s.audited(t)
	if len(entries) != 4 {
		t.Fatalf("%d entries: %+v", len(entries), entries)
	}
	origin := audit.Origin{Client: "driver", Identity: "anonymous", Role: "driver", Listener: "driver"}
	for i, want := range []struct{ value, outcome string }{{"22", "sending"}, {"22", "done"}, {"99", "refused"}, {`{"value":[1]}`, "refused"}} {
		e := entries[i]
		if e.Kind != "act" || *e.Origin != origin || e.Path != "Vehicle.Cabin.SetPoint" || e.Rule != "Vehicle.Cabin.SetPoint" || string(e.Value) != want.value || e.Outcome != want.outcome {
			t.Errorf("entry %d: %+v, want %+v", i, e, want)
		}
	}
	if entries[1].Of != entries[0].Seq {
		t.Errorf("the outcome is of entry %d, want %d", entries[1].Of, entries[0].Seq)
	}
}

// Nothing is sent that can't be recorded.
func TestActIsRefusedWithoutAnAudit(t *testing.T) {
	s := newStage(t)
	s.as(t, "driver").ask("Vehicle.Cabin.Recirculate", "true")
	dir := filepath.Join(s.Config().DataDir, AuditFolder)
	s.stop()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	name := filepath.Join(dir, files[0].Name())
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, name, change(string(text), `"value":true`, `"value":false`))
	s.start(t)
	if a := s.as(t, "driver").ask("Vehicle.Cabin.Recirculate", "true"); a.Status != transmit.Refused || !strings.Contains(a.Reason, "it can't be recorded") {
		t.Errorf("got %+v", a)
	}
	if _, n := s.ecu.last(); n != 0 {
		t.Errorf("%d frames were sent", n)
	}
}

// Rules are taken over by a reload; the counter of the message goes on, and who
// waits for an answer is told that nobody looks for it any more.
func TestActRulesAreReloaded(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	driver.ask("Vehicle.Cabin.Recirculate", "true")
	s.ecu.mute.Store(true)
	driver.publish("Vehicle.Cabin.SetPoint", "22")
	s.awaitFrames(t, 4)
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, s.file, change(string(text), "max: 28", "max: 20"))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if a, _ := driver.hear(); a.Status != transmit.TimedOut || !strings.Contains(a.Reason, "takes other rules") {
		t.Errorf("under way: %+v", a)
	}
	s.ecu.mute.Store(false)
	if a := driver.ask("Vehicle.Cabin.SetPoint", "22"); a.Status != transmit.Refused || !strings.Contains(a.Reason, "want 16 to 20") {
		t.Errorf("by the new rule: %+v", a)
	}
	if a := driver.ask("Vehicle.Cabin.SetPoint", "18"); a.Status != transmit.Done {
		t.Errorf("by the new rule: %+v", a)
	}
}

// A retained request that outlived its gateway comes without an origin when the
// next one starts: it is refused like any other, and gone by the one after.
func TestActRetainedOfEarlierIsRefusedAndCleared(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	const topic = "act/Vehicle/Cabin/SetPoint"
	if err := s.broker.Publish(edgebroker.Message{Topic: topic, Payload: []byte("22"), Retain: true}); err != nil {
		t.Fatal(err)
	}
	if a, p := driver.hear(); a.Status != transmit.Refused || !strings.Contains(a.Reason, "retained") || p.Topic != topic+"/result" {
		t.Errorf("got %+v on %s", a, p.Topic)
	}
	// The answer to the next request comes after the first one was cleared.
	driver.ask("Vehicle.Cabin.Recirculate", "true")
	cancel, err := s.broker.Subscribe("act/#", func(m edgebroker.Message) { t.Errorf("%s is retained", m.Topic) })
	if err != nil {
		t.Fatal(err)
	}
	cancel()
}

// Who stops the gateway leaves nobody without an outcome.
func TestActUnderWayIsToldAtTheStop(t *testing.T) {
	s := newStage(t)
	driver := s.as(t, "driver")
	s.ecu.mute.Store(true)
	driver.publish("Vehicle.Cabin.SetPoint", "22")
	s.awaitFrames(t, 1)
	s.stop()
	entries := s.audited(t)
	if last := entries[len(entries)-1]; last.Outcome != "timeout" || !strings.Contains(last.Reason, "the gateway stops") {
		t.Errorf("got %+v", last)
	}
}
