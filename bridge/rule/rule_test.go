package rule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/bridge/profile"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testVIN = "KMHGN4JE0FU000001"

// env is a link "cloud" to a far side without a profile, with a clock that is right.
func env() Env {
	none, _ := profile.Of(profile.None)
	return Env{Link: "cloud", Protocol: "5", VIN: testVIN, Thing: "car-1", Clock: clock.New(clock.TrustAlways), State: vehicle.NewState(), Limits: none}
}

// read reads rules as they stand in a file, one a line.
func read(lines ...string) ([]Config, error) {
	var file struct {
		Rules []Config `yaml:"rules"`
	}
	_, err := config.Decode("rules.yaml", []byte("rules:\n  - "+strings.Join(lines, "\n  - ")+"\n"), &file)
	return file.Rules, err
}

// compile makes a set of rules with which nothing is wrong.
func compile(tb testing.TB, e Env, lines ...string) *Set {
	tb.Helper()
	cfg, err := read(lines...)
	if err != nil {
		tb.Fatal(err)
	}
	s, problems := Compile(cfg, e)
	for _, p := range problems {
		if !p.Warning {
			tb.Fatalf("%v: %s", p.Path, p.Text)
		}
	}
	return s
}

// convert sends a message through a rule as the spool does, in memory.
func convert(tb testing.TB, u *Up, m message.Message) (message.Message, error) {
	tb.Helper()
	p := m.Publication()
	if !u.Take(p, clock.Now()) {
		tb.Fatalf("the rule has not taken %q: %v", m.Topic, u.NotTaken())
	}
	meta := u.Meta(p, u.env.Clock.Mark(clock.Now()))
	read, err := ReadMeta(meta.Append(nil))
	if err != nil {
		tb.Fatal(err)
	}
	return u.Convert(p.Message(), read)
}

func property5(m message.Message, name string) string {
	for _, u := range m.UserProperties {
		if u.Name == name {
			return u.Value
		}
	}
	return ""
}

func TestTopicsAreRewritten(t *testing.T) {
	for _, c := range []struct{ rule, from, want string }{
		{`{direction: up, local: "ivi/alerts/#", remote: "dt/demo/${vin}/alerts"}`, "ivi/alerts/door", "dt/demo/" + testVIN + "/alerts"},
		{`{direction: up, local: "ivi/alerts/#", remote: "dt/${thing}/${1}"}`, "ivi/alerts/door/left", "dt/car-1/door/left"},
		{`{direction: up, local: "ivi/alerts/#", remote: "dt/alerts/${1}"}`, "ivi/alerts", "dt/alerts"},
		{`{direction: up, local: "ivi/alerts/#", remote: "dt/alerts/${1}"}`, "ivi/alerts/", "dt/alerts/"},
		{`{direction: up, local: "a/+/b/+/#", remote: "x/${2}-${1}/${3}"}`, "a/1/b/2/3/4", "x/2-1/3/4"},
		{`{direction: up, local: "+/#", remote: "x/${1}/${2}"}`, "a", "x/a"},
		{`{direction: up, local: "vss/#", remote: "dt/${path}"}`, "vss/Vehicle/Speed", "dt/Vehicle/Speed"},
		{`{direction: up, local: "vss/#", remote: "dt/${path.}"}`, "vss/Vehicle/Speed", "dt/Vehicle.Speed"},
		{`{direction: up, local: "vss/Vehicle/+", remote: "dt/${path.}/${1}"}`, "vss/Vehicle/Speed", "dt/Vehicle.Speed/Speed"},
	} {
		u := compile(t, env(), c.rule).Ups()[0]
		m, err := convert(t, u, message.Message{Topic: c.from, Payload: []byte("x"), QoS: 1})
		if err != nil || m.Topic != c.want {
			t.Errorf("%s: %q became %q, %v; want %q", c.rule, c.from, m.Topic, err, c.want)
		}
	}
}

func TestDownTopicsAreRewritten(t *testing.T) {
	s := compile(t, env(), `{direction: down, remote: "cmd/demo/${vin}/+", local: "cmd/${1}"}`, `{direction: down, remote: "$share/fleet/news/#", local: "ivi/news/${1}"}`)
	d := s.Downs()[0]
	if want := "cmd/demo/" + testVIN + "/+"; d.Filter() != want || !d.NoLocal() {
		t.Errorf("subscribes to %q, No Local %v; want %q with it", d.Filter(), d.NoLocal(), want)
	}
	m, err := d.Accept(message.Message{Topic: "cmd/demo/" + testVIN + "/lights", QoS: 1}, time.Now())
	if err != nil || m.Topic != "cmd/lights" || m.QoS != 1 {
		t.Errorf("got %q at QoS %d, %v", m.Topic, m.QoS, err)
	}
	shared := s.Downs()[1]
	if shared.NoLocal() { // [MQTT-3.8.3-4]
		t.Error("No Local is asked of a shared subscription, which ends the connection")
	}
	if !shared.Matches("news/traffic/a8") || shared.Matches("old/traffic") {
		t.Error("a shared filter matches by what stands behind its group")
	}
	if m, err := shared.Accept(message.Message{Topic: "news/traffic/a8"}, time.Now()); err != nil || m.Topic != "ivi/news/traffic/a8" {
		t.Errorf("got %q, %v", m.Topic, err)
	}
}

func TestTimeIsTheMomentOfAcceptance(t *testing.T) {
	u := compile(t, env(), `{direction: up, local: "a", remote: "b/${time}", user_properties: {at: "${time}"}}`).Ups()[0]
	at := time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.FixedZone("", 3600))
	local := time.Local
	time.Local = at.Location()
	defer func() { time.Local = local }()
	m, err := u.Convert(message.Message{Topic: "a"}, Meta{Accepted: clock.Mark{Wall: at.UnixNano(), At: 1}})
	if want := "2026-03-04T04:06:07.089Z"; err != nil || m.Topic != "b/"+want || property5(m, "at") != want {
		t.Errorf("got %q, property %q, %v; want %s in both", m.Topic, property5(m, "at"), err, want)
	}
	e := env()
	e.Clock = clock.New(clock.TrustNever)
	u = compile(t, e, `{direction: up, local: "a", remote: "b/${time}"}`).Ups()[0]
	if m, err = convert(t, u, message.Message{Topic: "a"}); err != nil || m.Topic != "b/unset" {
		t.Errorf("without a clock that is right: %q, %v; want b/unset", m.Topic, err)
	}
}

// A message that was accepted before the clock was right gets the time that it was,
// once that can be told.
func TestTimeIsToldOnceTheClockIsRight(t *testing.T) {
	u := compile(t, env(), `{direction: up, local: "a", remote: "b/${time}"}`).Ups()[0]
	mark := clock.New(clock.TrustNever).Mark(clock.Now() - 10*clock.Second)
	m, _ := u.Convert(message.Message{Topic: "a"}, Meta{Accepted: mark})
	at, err := time.Parse(timeLayout, strings.TrimPrefix(m.Topic, "b/"))
	if ago := time.Since(at); err != nil || ago < 10*time.Second || ago > 15*time.Second {
		t.Errorf("%q is %s ago (%v), want 10 s", m.Topic, ago, err)
	}
}

// A filter of all topics covers none that begins with $ [MQTT-4.7.2-1], whatever the
// far side sends.
func TestFarSidesOwnTopicsDoNotComeDown(t *testing.T) {
	for _, filter := range []string{"#", "+/broker/uptime"} {
		d := compile(t, env(), `{direction: down, remote: "`+filter+`", local: "ivi/${1}"}`).Downs()[0]
		if d.Matches("$SYS/broker/uptime") {
			t.Errorf("%s lets $SYS in", filter)
		}
	}
}

func TestPropertiesGoUpWithTheVIN(t *testing.T) {
	u := compile(t, env(), `{direction: up, local: "a/+", remote: "b", user_properties: {source: "${1}", fleet: north}}`).Ups()[0]
	in := message.Message{
		Topic: "a/x", Payload: []byte("{}"), QoS: 1, Retain: true, ContentType: "application/json", PayloadUTF8: true,
		CorrelationData: []byte{1}, Expiry: 30, ResponseTopic: "local/only",
		UserProperties: []message.UserProperty{{Name: "vin", Value: "forged"}, {Name: "own", Value: "kept"}},
	}
	m, err := u.Convert(in, Meta{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"vin": testVIN, "own": "kept", "source": "x", "fleet": "north", wayProperty: wayOf(testVIN)} {
		if got := property5(m, name); got != want {
			t.Errorf("property %s is %q, want %q", name, got, want)
		}
	}
	n := 0
	for _, p := range m.UserProperties {
		if p.Name == "vin" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d properties vin: what a client wrote there must go", n)
	}
	if m.ContentType != in.ContentType || !m.PayloadUTF8 || string(m.CorrelationData) != "\x01" || m.Expiry != 30 || !m.Retain || m.QoS != 1 {
		t.Errorf("passed through: %+v", m)
	}
	if m.ResponseTopic != "" {
		t.Errorf("response topic %q means nothing at the far side", m.ResponseTopic)
	}
	without := compile(t, env(), `{direction: up, local: "a/+", remote: "b", user_properties: {vin: ""}}`).Ups()[0]
	if m, err := without.Convert(in, Meta{}); err != nil || property5(m, "vin") != "" || property5(m, "own") != "kept" {
		t.Errorf("without the VIN: %+v, %v", m.UserProperties, err)
	}
	if len(in.UserProperties) != 2 || in.UserProperties[0].Value != "forged" {
		t.Error("the message of other receivers was changed")
	}
	u = compile(t, env(), `{direction: up, local: "a/+", remote: "b"}`).Ups()[0]
	if _, err = u.Convert(in, Meta{}); err != nil || in.UserProperties[0].Value != "forged" {
		t.Errorf("the message of other receivers was changed: %v, %v", in.UserProperties, err)
	}
	u = compile(t, env(), `{direction: up, local: "a/+", remote: "b", way: false, user_properties: {vin: ""}}`).Ups()[0]
	if m, _ = convert(t, u, message.Message{Topic: "a/x"}); len(m.UserProperties) != 0 {
		t.Errorf("got %v, want no property when both are switched off", m.UserProperties)
	}
}

func TestQoSAndRetain(t *testing.T) {
	for _, c := range []struct {
		keys       string
		in         message.Message
		qos        byte
		retain     bool
		directions string
	}{
		{"", message.Message{QoS: 2, Retain: true}, 1, true, "up"},
		{"qos: 0", message.Message{QoS: 1}, 0, false, "up"},
		{"", message.Message{QoS: 0}, 0, false, "up"},
		{"retain: always", message.Message{}, 0, true, "up"},
		{"retain: never", message.Message{Retain: true}, 0, false, "up"},
		{"", message.Message{QoS: 1, Retain: true}, 1, false, "down"},
		{"retain: keep", message.Message{Retain: true}, 0, true, "down"},
		{"qos: 0, retain: always", message.Message{QoS: 1}, 0, true, "down"},
	} {
		c.in.Topic = "a"
		s := compile(t, env(), "{direction: "+c.directions+", local: a, remote: a"+strings.TrimSuffix(", "+c.keys, ", ")+"}")
		var m message.Message
		var err error
		if c.directions == "up" {
			m, err = convert(t, s.Ups()[0], c.in)
		} else {
			m, err = s.Downs()[0].Accept(c.in, time.Now())
		}
		if err != nil || m.QoS != c.qos || m.Retain != c.retain {
			t.Errorf("%s {%s}: QoS %d, RETAIN %v, %v; want %d, %v", c.directions, c.keys, m.QoS, m.Retain, err, c.qos, c.retain)
		}
	}
}

func TestConditionDecidesWhatIsTaken(t *testing.T) {
	e := env()
	u := compile(t, e, `{direction: up, local: "a", remote: "b", when: 'Vehicle.ADAS.ActiveAutonomyLevel in ["SAE_3", "SAE_4"] and not Link.cloud.metered'}`).Ups()[0]
	level, metered := e.State.Slot("Vehicle.ADAS.ActiveAutonomyLevel"), e.State.Slot("Link.cloud.metered")
	p := (&message.Message{Topic: "a"}).Publication()
	now := clock.Now()
	take := func(want bool, when string) {
		t.Helper()
		now += lookEvery
		if got := u.Take(p, now); got != want {
			t.Errorf("%s: taken %v, want %v", when, got, want)
		}
	}
	take(false, "nothing known")
	metered.Set(vehicle.Bool(false), 0, int64(now))
	take(false, "the level missing")
	level.Set(vehicle.String("SAE_3"), 0, int64(now))
	take(true, "SAE_3")
	level.Set(vehicle.String("SAE_2"), 0, int64(now))
	take(false, "SAE_2")
	level.Set(vehicle.String("SAE_4"), 0, int64(now))
	metered.Set(vehicle.Bool(true), 0, int64(now))
	take(false, "metered")
	if n := u.NotTaken()["condition"]; n != 4 {
		t.Errorf("%d counted, want 4", n)
	}
}

func TestOversizeAndTooLongTopicsAreRefusedAtSending(t *testing.T) {
	e := env()
	e.Limits, _ = profile.Of(profile.AWSIoTCore)
	u := compile(t, e, `{direction: up, local: "a/#", remote: "dt/${1}", oversize: drop}`).Ups()[0]
	if u.Oversize() != OversizeDrop {
		t.Errorf("oversize is %s", u.Oversize())
	}
	m, err := convert(t, u, message.Message{Topic: "a/b", Payload: make([]byte, 128<<10+1)})
	if !errors.Is(err, ErrOversize) || m.Topic != "dt/b" {
		t.Errorf("128 KiB and 1: %v, on %q", err, m.Topic)
	}
	if _, err = convert(t, u, message.Message{Topic: "a/b", Payload: make([]byte, 128<<10)}); err != nil {
		t.Errorf("128 KiB: %v", err)
	}
	if _, err = convert(t, u, message.Message{Topic: "a/1/2/3/4/5/6/7/8"}); !errors.Is(err, ErrTopic) {
		t.Errorf("8 slashes: %v", err)
	}
	u = compile(t, e, `{direction: up, local: "#", remote: "${1}"}`).Ups()[0]
	if _, err = convert(t, u, message.Message{Topic: "a"}); err != nil {
		t.Errorf("a topic as it is: %v", err)
	}
}

func TestMessageIDsAreUniqueAndOutliveARestart(t *testing.T) {
	u := compile(t, env(), `{direction: up, local: "a", remote: "b", message_id: true}`).Ups()[0]
	p := (&message.Message{Topic: "a"}).Publication()
	mark := u.env.Clock.Mark(clock.Now())
	seen := map[string]bool{}
	for range 1000 { // all of one moment
		stored := u.Meta(p, mark)
		first, err := u.Convert(p.Message(), stored)
		if err != nil {
			t.Fatal(err)
		}
		read, err := ReadMeta(stored.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		again, _ := compile(t, env(), `{direction: up, local: "a", remote: "b", message_id: true}`).Ups()[0].Convert(p.Message(), read)
		id := property5(first, idProperty)
		if id == "" || seen[id] || id != property5(again, idProperty) {
			t.Fatalf("id %q, twice %v, after a restart %q", id, seen[id], property5(again, idProperty))
		}
		seen[id] = true
	}
	if other := u.Meta(p, mark); other.messageID("KMHGN4JE0FU000002") == other.messageID(testVIN) {
		t.Error("two vehicles give the same id")
	}
}

func TestBatchHasATopicOfItsOwn(t *testing.T) {
	u := compile(t, env(), `{direction: up, local: "vss/#", remote: "dt/${vin}/vss", retain: always, batch: {every: 5s, format: cbor}, user_properties: {from: "${time}"}}`).Ups()[0]
	if u.Batch() == nil || u.Batch().Format != "cbor" {
		t.Fatalf("batch: %+v", u.Batch())
	}
	m, err := u.ConvertBatch([]byte("many"), "x/batch", Meta{Rule: u.ID(), Accepted: clock.Mark{Wall: 1e18, At: 1}})
	if err != nil || m.Topic != "dt/"+testVIN+"/vss" || string(m.Payload) != "many" || m.ContentType != "x/batch" || m.QoS != 1 || !m.Retain {
		t.Errorf("got %+v, %v", m, err)
	}
	if property5(m, "vin") != testVIN || property5(m, "from") != "2001-09-09T01:46:40.000Z" || property5(m, wayProperty) == "" {
		t.Errorf("properties: %v", m.UserProperties)
	}
}

func TestReloadKeepsWhatRulesRemember(t *testing.T) {
	lines := []string{
		`{name: speed, direction: up, local: "a", remote: "b", on_change: true}`,
		`{name: odo, direction: up, local: "c", remote: "d", on_change: true}`,
		`{direction: down, remote: "cmd/+", local: "cmd/${1}", dedupe: true}`,
	}
	e := env()
	old := compile(t, e, lines...)
	a := (&message.Message{Topic: "a", Payload: []byte("1")}).Publication()
	c := (&message.Message{Topic: "c", Payload: []byte("1")}).Publication()
	command := message.Message{Topic: "cmd/x", ResponseTopic: "far/answers", UserProperties: []message.UserProperty{{Name: idProperty, Value: "7"}}}
	asked, err := old.Downs()[0].Accept(command, time.Now())
	if !old.Ups()[0].Take(a, 1) || !old.Ups()[1].Take(c, 1) || err != nil {
		t.Fatal("first messages not taken", err)
	}
	lines[1] = `{name: odo, direction: up, local: "c", remote: "other", on_change: true}`
	fresh := compile(t, e, lines...)
	fresh.Adopt(old)
	if fresh.Ups()[0].Take(a, 2) {
		t.Error("the unchanged rule has forgotten the last value")
	}
	if !fresh.Ups()[1].Take(c, 2) {
		t.Error("the changed rule thins out by what went elsewhere")
	}
	if _, err := fresh.Downs()[0].Accept(command, time.Now()); !errors.Is(err, ErrDuplicate) {
		t.Errorf("a message id from before: %v", err)
	}
	answer := (&message.Message{Topic: asked.ResponseTopic}).Publication()
	up := fresh.Ups()[2]
	if !up.Take(answer, clock.Now()) || up.Meta(answer, e.Clock.Mark(clock.Now())).Topic != "far/answers" {
		t.Error("a request from before gets no answer")
	}
}

// A reload happens while publishers publish: what the old rules hold back comes out
// of the new ones, and nothing is lost between them.
func TestHeldMessageOutlivesAReload(t *testing.T) {
	lines := []string{`{name: kept, direction: up, local: "#", remote: "x/${1}", min_interval: 1h}`}
	old := compile(t, env(), lines...)
	running, endOld := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		old.Release(running, func(*Up, *message.Publication) {})
	})
	for g := range 2 {
		wait.Go(func() {
			for i := range 200 {
				old.Ups()[0].Take((&message.Message{Topic: fmt.Sprint(g), Payload: fmt.Append(nil, i)}).Publication(), clock.Now())
			}
		})
	}
	fresh := compile(t, env(), lines...)
	fresh.Adopt(old)
	endOld()
	wait.Wait()
	for g := range 2 {
		fresh.Ups()[0].Take((&message.Message{Topic: fmt.Sprint(g), Payload: []byte("last")}).Publication(), clock.Now())
	}
	got := map[string]string{}
	ended, end := context.WithCancel(context.Background())
	end()
	fresh.Release(ended, func(_ *Up, p *message.Publication) { got[p.Topic] = string(p.Payload) })
	if len(got) != 2 || got["0"] != "last" || got["1"] != "last" {
		t.Errorf("came out: %v, want the last of both topics", got)
	}
}

func TestReleaseHandsOverWhatIsLeftAtTheEnd(t *testing.T) {
	s := compile(t, env(), `{direction: up, local: "a", remote: "b", min_interval: 1h}`)
	ctx, stop := context.WithCancel(context.Background())
	got := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Release(ctx, func(u *Up, p *message.Publication) { got <- u.Name() + " " + string(p.Payload) })
	}()
	u := s.Ups()[0]
	for _, text := range []string{"1", "2", "3"} {
		u.Take((&message.Message{Topic: "a", Payload: []byte(text)}).Publication(), clock.Now())
	}
	stop()
	<-ended
	select {
	case text := <-got:
		if text != "a → b 3" {
			t.Errorf("got %q, want the newest", text)
		}
	default:
		t.Error("the newest message is lost at a stop")
	}
}

func TestReleaseWakesWhenSomethingIsHeld(t *testing.T) {
	s := compile(t, env(), `{direction: up, local: "a", remote: "b", min_interval: 5ms}`)
	s.Adopt(compile(t, env(), `{direction: up, local: "a", remote: "b", min_interval: 1h}`)) // a reload changes nothing in it
	ctx, stop := context.WithCancel(context.Background())
	got := make(chan string)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Release(ctx, func(_ *Up, p *message.Publication) { got <- string(p.Payload) })
	}()
	for i := range 50 {
		text := fmt.Sprint(i)
		if s.Ups()[0].Take((&message.Message{Topic: "a", Payload: []byte(text)}).Publication(), clock.Now()) {
			continue // the interval had ended
		}
		if out := <-got; out != text {
			t.Errorf("got %q, want %q", out, text)
		}
	}
	stop()
	<-ended
}
