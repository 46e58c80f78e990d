package gateway

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// A client with a grant feeds a path: its value counts like a bus's, and what
// is derived from it follows. Without the grant, or in another form, it doesn't.
func TestProvidedValuesBecomeTheVehiclesState(t *testing.T) {
	g := running(t, write(t, map[string]string{
		"fascia.yaml": goodConfig + `auth: {roles: {local: {subscribe: ["#"], provide: ["Vehicle.CurrentLocation.*"]}}}` + "\n",
		"mapping.yaml": goodMapping + `derived:
  - {path: Vehicle.IsNorth, expr: "Vehicle.CurrentLocation.Latitude > 0", on_change: true}
`}))
	for deadline := time.Now().Add(20 * time.Second); !g.Ready() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	broker, _ := url.Parse("mqtt://" + g.broker.Listeners()[0].Address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{broker}, KeepAlive: 30, ClientConfig: paho.ClientConfig{ClientID: "gnss"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := cm.AwaitConnection(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		topic, payload string
		reason         byte
	}{
		{"vss/Vehicle/CurrentLocation/Latitude", `{"value":48.1,"ts":"2026-01-01T00:00:00.000Z"}`, 0},
		{"vss/Vehicle/CurrentLocation/Latitude", `48.1`, 0x99},
		{"vss/Vehicle/CurrentLocation/Latitude", `{"value":48.1}`, 0x99},
		{"vss/Vehicle/CurrentLocation/Latitude", `{"value":[1],"ts":"2026-01-01T00:00:00.000Z"}`, 0x99},
		{"vss/Vehicle/CurrentLocation/Latitude", ``, 0x99},
		{"vss/Vehicle/Speed", `{"value":300,"ts":"2026-01-01T00:00:00.000Z"}`, 0x87},
	} {
		answer, err := cm.Publish(ctx, &paho.Publish{Topic: c.topic, Payload: []byte(c.payload), QoS: 1})
		if answer == nil {
			t.Fatalf("%s %s: %v", c.topic, c.payload, err)
		}
		if reason := answer.ReasonCode; reason != c.reason && (reason != 0x10 || c.reason != 0) {
			t.Errorf("%s %s: reason 0x%02X, want 0x%02X", c.topic, c.payload, reason, c.reason)
		}
	}
	for path, want := range map[string]string{"Vehicle.CurrentLocation.Latitude": "48.1", "Vehicle.IsNorth": "true"} {
		if r, ok := g.State().Get(path); !ok || r.Value.String() != want {
			t.Errorf("%s is %v, want %s", path, r.Value, want)
		}
	}
	cancel()
	<-cm.Done()
}
