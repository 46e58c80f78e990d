package gateway

import (
	"context"
	"encoding/json"
	"math"
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/vehicle"
)

// A client with a grant feeds a path: its value counts like a bus's, and what
// is derived from it follows. Without the grant, or in another form, it doesn't.
func TestProvidedValuesBecomeTheVehiclesState(t *testing.T) {
	g := running(t, write(t, map[string]string{
		"fascia.yaml": goodConfig + `auth: {roles: {local: {subscribe: ["#"], provide: ["Vehicle.CurrentLocation.*"]}}}` + "\n",
		"mapping.yaml": goodMapping + `derived:
  - {path: Vehicle.IsNorth, expr: "Vehicle.CurrentLocation.Latitude > 0", on_change: true}
`}))
	publish := publisher(t, g)
	for _, c := range []struct {
		topic, payload string
		reason         byte
	}{
		{"vss/Vehicle/CurrentLocation/Latitude", `{"value":48.1,"ts":"2026-01-01T00:00:00.000Z"}`, 0},
		{"vss/Vehicle/CurrentLocation/Latitude", `48.1`, 0x99},
		{"vss/Vehicle/CurrentLocation/Latitude", `{"value":48.1}`, 0x99},
		{"vss/Vehicle/CurrentLocation/Latitude", `{"value":[1],"ts":"2026-01-01T00:00:00.000Z"}`, 0x99},
		{"vss/Vehicle/CurrentLocation/Latitude", ``, 0x99},
		{"vss/Vehicle/CurrentLocation/Deep.Below", `{"value":1,"ts":"2026-01-01T00:00:00.000Z"}`, 0x99},
		{"vss/Vehicle/Speed", `{"value":300,"ts":"2026-01-01T00:00:00.000Z"}`, 0x87},
	} {
		if reason := publish(c.topic, c.payload); reason != c.reason && (reason != noSubscribers || c.reason != 0) {
			t.Errorf("%s %s: reason 0x%02X, want 0x%02X", c.topic, c.payload, reason, c.reason)
		}
	}
	for path, want := range map[string]string{"Vehicle.CurrentLocation.Latitude": "48.1", "Vehicle.IsNorth": "true"} {
		if r, ok := g.State().Get(path); !ok || r.Value.String() != want {
			t.Errorf("%s is %v, want %s", path, r.Value, want)
		}
	}
	// The grant is for one level below; a dot in that level is none of it.
	if _, ok := g.State().Get("Vehicle.CurrentLocation.Deep.Below"); ok {
		t.Error("a value was set below what is granted")
	}
}

const noSubscribers = 0x10 // a reason of success

// publisher connects a client whose publish returns the broker's reason.
func publisher(t *testing.T, g *Gateway) (publish func(topic, payload string) byte) {
	t.Helper()
	awaitReady(t, g)
	broker, err := url.Parse("mqtt://" + g.broker.Listeners()[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{broker}, KeepAlive: 30, ClientConfig: paho.ClientConfig{ClientID: "gnss"},
		ReconnectBackoff: func(int) time.Duration { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); <-cm.Done() })
	if err := cm.AwaitConnection(ctx); err != nil {
		t.Fatal(err)
	}
	return func(topic, payload string) byte {
		t.Helper()
		answer, err := cm.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1})
		if answer == nil {
			t.Fatalf("%s %s: %v", topic, payload, err)
		}
		return answer.ReasonCode
	}
}

func TestProvidedPayloadsAreReadExactly(t *testing.T) {
	const ts = `,"ts":"2026-01-01T00:00:00.000Z"}`
	for payload, want := range map[string]vehicle.Value{
		`{"value":1` + ts:                                       vehicle.Int(1),
		`{"value":9007199254740993` + ts:                        vehicle.Int(9007199254740993),
		`{"value":18446744073709551615` + ts:                    vehicle.Uint(math.MaxUint64),
		`{"value":-9223372036854775808` + ts:                    vehicle.Int(math.MinInt64),
		`{"value":1.5` + ts:                                     vehicle.Float(1.5),
		`{"value":1e3` + ts:                                     vehicle.Float(1000),
		`{"value":true` + ts:                                    vehicle.Bool(true),
		`{"value":"PARK"` + ts:                                  vehicle.String("PARK"),
		`{"value":null` + ts:                                    vehicle.Invalid(),
		`{"value":null,"quality":"invalid"` + ts:                vehicle.Invalid(),
		" {\"ts\":\"2026-01-01T01:00:00+01:00\",\"value\":0}\n": vehicle.Int(0),
	} {
		if got, err := parseProvided([]byte(payload)); err != nil || got != want {
			t.Errorf("%s: got %s %v, %v, want %s %v", payload, got.Kind(), got, err, want.Kind(), want)
		}
	}
	for _, payload := range []string{
		``, `null`, `1`, `[]`, `{}`, `{"value":1}`, `{"value":1,"ts":null}`, `{"value":1,"ts":"yesterday"}`, `{"value":1,"ts":5}`,
		`{"value":1` + ts + `x`, `{"value":1` + ts + `{}`, `{"value":[1]` + ts, `{"value":{}` + ts, `{"value":1e999` + ts,
		`{"ts":"2026-01-01T00:00:00.000Z"}`,
		`{"VALUE":1,"TS":"2026-01-01T00:00:00.000Z"}`, // who reads "value" would find none
	} {
		if got, err := parseProvided([]byte(payload)); err == nil {
			t.Errorf("%s: got %v, want an error", payload, got)
		}
	}
}

// Whatever a client sends is refused, or is a value that says the same in the
// form of the buses.
func FuzzProvided(f *testing.F) {
	for _, seed := range []string{`{"value":31.5,"ts":"2026-01-01T12:00:00.000Z"}`, `{"value":null,"ts":"2026-01-01T12:00:00Z"}`, `{"value":"x","ts":""}`, `{`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := parseProvided(payload)
		if err != nil {
			return
		}
		if !json.Valid(payload) || !v.IsSet() {
			t.Fatalf("%q was read as %s %v", payload, v.Kind(), v)
		}
		again, err := parseProvided([]byte(`{"value":` + v.String() + `,"ts":"2026-01-01T12:00:00.000Z"}`))
		if n, isNumber := v.Number(); err != nil || again != v && !isNumber {
			t.Errorf("%s %v came back as %s %v, %v", v.Kind(), v, again.Kind(), again, err)
		} else if m, _ := again.Number(); m != n {
			t.Errorf("%v came back as %v", n, m) // 1.0 is printed as 1: an integer
		}
	})
}
