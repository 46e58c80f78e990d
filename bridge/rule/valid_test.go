package rule

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

func TestOldMessagesOfTheFarSideAreNotTaken(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	topics := `{direction: down, remote: "cmd/+/#", local: "cmd/${2}", valid: {level: 2, max_age: 30s, max_ahead: 5s}}`
	properties := `{direction: down, remote: "cmd/+/#", local: "cmd/${2}", valid: {property: ts, max_age: 30s}}`
	payloads := `{direction: down, remote: "cmd/+/#", local: "cmd/${2}", valid: {payload: /head/times/1, max_age: 30s}}`
	property := func(text string) message.Message {
		return message.Message{Topic: "cmd/x/y", UserProperties: []message.UserProperty{{Name: "ts", Value: text}}}
	}
	payload := func(text string) message.Message {
		return message.Message{Topic: "cmd/x/y", Payload: []byte(`{"head":{"times":[0,` + text + `]}}`)}
	}
	at := func(age time.Duration) time.Time { return now.Add(-age) }
	for _, c := range []struct {
		rule string
		m    message.Message
		want error
	}{
		{topics, message.Message{Topic: fmt.Sprintf("cmd/%d/y", at(29*time.Second).Unix())}, nil},
		{topics, message.Message{Topic: fmt.Sprintf("cmd/%d/y", at(30*time.Second).Unix())}, ErrStale},
		{topics, message.Message{Topic: fmt.Sprintf("cmd/%d/y", at(-5*time.Second).UnixMilli())}, nil},
		{topics, message.Message{Topic: fmt.Sprintf("cmd/%d/y", at(-6*time.Second).UnixMilli())}, ErrAhead},
		{topics, message.Message{Topic: "cmd/soon/y"}, ErrNoTime},
		{properties, property("2026-03-04T06:06:00+01:00"), nil},
		{properties, property("2026-03-04T05:05:37Z"), ErrStale},
		{properties, property("2026-03-04T05:05:37.001Z"), nil},
		{properties, property("NaN"), ErrNoTime},
		{properties, property("1e300"), ErrNoTime},
		{properties, property(fmt.Sprint(now.UnixNano())), ErrNoTime},
		{properties, message.Message{Topic: "cmd/x/y"}, ErrNoTime},
		{payloads, payload(fmt.Sprint(float64(at(time.Second).UnixMilli()) / 1000)), nil},
		{payloads, payload(fmt.Sprint(at(time.Minute).UnixMilli())), ErrStale},
		{payloads, payload(`"2026-03-04T05:06:00Z"`), nil},
		{payloads, payload(`true`), ErrNoTime},
		{payloads, payload(`null`), ErrNoTime},
		{payloads, message.Message{Topic: "cmd/x/y", Payload: []byte(`{"head":{"times":[0]}}`)}, ErrNoTime},
		{payloads, message.Message{Topic: "cmd/x/y", Payload: []byte(`{"head":`)}, ErrNoTime},
	} {
		d := compile(t, env(), c.rule).Downs()[0]
		if _, err := d.Accept(c.m, now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s %v %s: %v, want %v", c.m.Topic, c.m.UserProperties, c.m.Payload, err, c.want)
		}
	}
}

func TestWithoutAClockTheConfigurationDecides(t *testing.T) {
	for keys, want := range map[string]error{"": ErrClock, ", unsynchronised: refuse": ErrClock, ", unsynchronised: accept": nil} {
		d := compile(t, env(), `{direction: down, remote: "cmd/+", local: "cmd/${1}", valid: {level: 2, max_age: 30s`+keys+`}}`).Downs()[0]
		if _, err := d.Accept(message.Message{Topic: "cmd/0"}, time.Time{}); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%q: %v, want %v", keys, err, want)
		}
	}
}

func TestRefusalsAreCountedByReason(t *testing.T) {
	e := env()
	d := compile(t, e, `{direction: down, remote: "cmd/+", local: "${1}", when: "Power.state == 'on'", dedupe: true, valid: {property: ts, max_age: 30s}}`).Downs()[0]
	now := time.Now()
	fresh := message.UserProperty{Name: "ts", Value: now.UTC().Format(time.RFC3339)}
	send := func(topic string, user ...message.UserProperty) {
		time.Sleep(2 * time.Millisecond) // a condition is looked at once in a millisecond
		_, _ = d.Accept(message.Message{Topic: topic, UserProperties: user}, now)
	}
	send("cmd/x", fresh)
	e.State.Slot("Power.state").Set(vehicle.String("on"), 0, vehicle.BootNow())
	send("cmd/x")
	send("cmd/x", message.UserProperty{Name: "ts", Value: "2001-01-01T00:00:00Z"})
	send("cmd/", fresh)
	send("cmd/x", fresh, message.UserProperty{Name: idProperty, Value: "1"})
	send("cmd/x", fresh, message.UserProperty{Name: idProperty, Value: "1"})
	send("cmd/x", fresh, message.UserProperty{Name: wayProperty, Value: wayOf(testVIN)})
	want := "map[condition:1 duplicate:1 loop:1 no_time:1 stale:1 topic:1]"
	if got := fmt.Sprint(d.Refused()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDuplicatesAreDroppedUntilTheMemoryEnds(t *testing.T) {
	d := compile(t, env(), `{direction: down, remote: "cmd/x", local: "cmd/x", dedupe: true}`).Downs()[0]
	accept := func(id string) error {
		m := message.Message{Topic: "cmd/x"}
		if id != "" {
			m.UserProperties = []message.UserProperty{{Name: idProperty, Value: id}}
		}
		_, err := d.Accept(m, time.Now())
		return err
	}
	if accept("a") != nil || !errors.Is(accept("a"), ErrDuplicate) {
		t.Error("an id comes through twice")
	}
	for range 2 {
		if err := accept(""); err != nil {
			t.Errorf("messages without an id are taken for each other: %v", err)
		}
	}
	d.Failed(message.Message{UserProperties: []message.UserProperty{{Name: idProperty, Value: "a"}}})
	if accept("a") != nil {
		t.Error("what could not be published is refused when it comes again")
	}
	for i := range maxSeen - 1 {
		if err := accept(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(accept("a"), ErrDuplicate) {
		t.Error("forgotten too early")
	}
	if accept("new") != nil || accept("newer") != nil || len(d.seen.known) > maxSeen || len(d.seen.ring) > maxSeen {
		t.Errorf("%d ids remembered", len(d.seen.known))
	}
	if accept("a") != nil {
		t.Error("remembered for ever")
	}
}

func TestRefusedMessageIsNotRemembered(t *testing.T) {
	d := compile(t, env(), `{direction: down, remote: "cmd/+", local: "cmd/x", dedupe: true, valid: {level: 2, max_age: 30s}}`).Downs()[0]
	now := time.Now()
	id := []message.UserProperty{{Name: idProperty, Value: "1"}}
	if _, err := d.Accept(message.Message{Topic: "cmd/0", UserProperties: id}, now); !errors.Is(err, ErrStale) {
		t.Fatal(err)
	}
	if _, err := d.Accept(message.Message{Topic: fmt.Sprint("cmd/", now.Unix()), UserProperties: id}, now); err != nil {
		t.Errorf("the same message in time: %v", err)
	}
}

func TestPointersAreThoseOfRFC6901(t *testing.T) {
	document := []byte(`{"a/b":"1","m~n":{"0":2},"list":[3,{"x":"4"}]}`)
	for pointer, want := range map[string]string{"/a~1b": "1", "/m~0n/0": "2", "/list/0": "3", "/list/1/x": "4"} {
		path, err := parsePointer(pointer)
		if got, ok := at(document, path); err != nil || !ok || got != want {
			t.Errorf("%s: %q, %v, %v; want %s", pointer, got, ok, err, want)
		}
	}
	if _, err := parsePointer("a"); err == nil || !strings.Contains(err.Error(), "/ts") {
		t.Errorf("no slash at the beginning: %v", err)
	}
}
