package edgebroker

import (
	"errors"
	"strconv"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

const withProvider = `
broker:
  listeners: [{name: local, address: "127.0.0.1:0", role: gnss}]
auth:
  roles:
    gnss: {publish: ["#"], subscribe: ["#"], provide: [Vehicle.CurrentLocation.**]}
`

func TestLastValueReachesNewSubscriberAtOnce(t *testing.T) {
	b := start(t, loopback)
	speed := b.LastValue("vss/Vehicle/Speed")
	if err := speed.Set([]byte(`{"value":31.5}`), "application/json"); err != nil {
		t.Fatal(err)
	}
	_ = b.LastValue("$share/g/vss/odd").Set([]byte("not for the shared subscription of that look"), "")
	for _, c := range []struct {
		name     string
		qos      byte
		handling byte
		filter   string
		gets     bool
	}{
		{"send", 1, 0, "vss/#", true},
		{"send at QoS 0", 0, 0, "vss/Vehicle/Speed", true},
		{"send at QoS 2", 2, 0, "vss/+/Speed", true},
		{"new only", 1, 1, "vss/#", true},
		{"never", 1, 2, "vss/#", false},
		{"shared", 1, 0, "$share/g/vss/#", false},
		{"everything", 1, 0, "#", true},
		{"elsewhere", 1, 0, "ivi/#", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := connect(t, b, 5, "c")
			options := func(s *packets.Subscription) { s.RetainHandling, s.Identifier = c.handling, 12 }
			cl.subscribe(c.filter, c.qos, options)
			if c.gets {
				got := cl.expectPublish("vss/Vehicle/Speed", `{"value":31.5}`)
				if !got.retain || got.qos != min(c.qos, 1) || got.props.ContentType != "application/json" || len(got.ids) != 1 || got.ids[0] != 12 {
					t.Fatalf("got %+v", got)
				}
			}
			cl.ping()
			cl.subscribe(c.filter, c.qos, options)
			if c.gets && c.handling == 0 {
				cl.expectPublish("vss/Vehicle/Speed", `{"value":31.5}`)
			}
			cl.ping()
		})
	}
}

func TestLastValueIsSentToSubscribersWithoutRetain(t *testing.T) {
	b := start(t, loopback)
	speed := b.LastValue("vss/Vehicle/Speed")
	c := connect(t, b, 5, "c")
	c.subscribe("vss/Vehicle/+", 2)
	payload := []byte("1")
	_ = speed.Set(payload, "")
	payload[0] = '9' // the payload was copied
	if got := c.expectPublish("vss/Vehicle/Speed", "1"); got.retain || got.qos != 1 {
		t.Fatalf("got %+v", got)
	}
	other := connect(t, b, 5, "other") // receivers are found anew
	other.subscribe("vss/#", 0)
	other.expectPublish("vss/Vehicle/Speed", "1")
	_ = speed.Set([]byte("2"), "")
	other.expectPublish("vss/Vehicle/Speed", "2")
	c.expectPublish("vss/Vehicle/Speed", "2")
}

func TestClientCanNotClearLastValue(t *testing.T) {
	b := start(t, withProvider)
	_ = b.LastValue("vss/Vehicle/Speed").Set([]byte("31"), "")
	c := connect(t, b, 5, "c")
	for _, topic := range []string{"vss/Vehicle/Speed", "vss/Vehicle/CurrentLocation/Latitude"} {
		for _, payload := range []string{"", "99"} {
			c.publish(1, 3, topic, payload, retaining)
			want := wire.NotAuthorized
			if topic != "vss/Vehicle/Speed" {
				want = wire.Success
				if payload == "" {
					want = wire.PayloadFormatInvalid
				}
			}
			if got := c.expect(wire.Puback).reasons[0]; got != want {
				t.Fatalf("PUBACK 0x%02X for %q on %s, want 0x%02X", got, payload, topic, want)
			}
		}
	}
	if b.Stats().ValuesRefused != 1 || b.Stats().Retained != 0 {
		t.Fatalf("%+v", b.Stats())
	}
	c.subscribe("vss/Vehicle/Speed", 0)
	c.expectPublish("vss/Vehicle/Speed", "31")
	c.subscribe("vss/Vehicle/CurrentLocation/#", 0)
	c.expectPublish("vss/Vehicle/CurrentLocation/Latitude", "99")
}

func TestLastValueNeedsValue(t *testing.T) {
	b := start(t, loopback)
	if err := b.Publish(Message{Topic: "vss/Vehicle/Speed", Retain: true}); !errors.Is(err, ErrEmptyValue) {
		t.Fatalf("got %v", err)
	}
}

// TestSnapshotAndUpdatesLeaveNoGap subscribes while two topics count: what a
// client gets begins with the stored number and goes on without gap, overlap or
// step back.
func TestSnapshotAndUpdatesLeaveNoGap(t *testing.T) {
	b := start(t, loopback+"  limits: {session_messages: 10000000, session_bytes: 4GiB}\n")
	value := b.LastValue("vss/Vehicle/Speed")
	for topic, set := range map[string]func(payload []byte) error{
		"vss/Vehicle/Speed": func(p []byte) error { return value.Set(p, "") },
		"health/bus/can0": func(p []byte) error {
			return b.Publish(Message{Topic: "health/bus/can0", Payload: p, Retain: true, QoS: 1})
		},
	} {
		if err := set([]byte("0")); err != nil {
			t.Fatal(err)
		}
		stop, counted := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(counted)
			for i := 1; ; i++ {
				select {
				case <-stop:
					return
				default:
					_ = set(strconv.AppendInt(nil, int64(i), 10))
				}
			}
		}()
		for range 20 {
			c := connect(t, b, 5, "c")
			c.subscribe(topic, 1)
			last := -1
			for n := range 30 {
				got := c.expect(wire.Publish)
				c.ack(wire.Puback, got.id)
				number, _ := strconv.Atoi(got.payload)
				if got.retain != (n == 0) || last >= 0 && number != last+1 {
					t.Fatalf("%s: message %d after subscribing is %d, retain %v, after %d", topic, n, number, got.retain, last)
				}
				last = number
			}
			c.socket.Close()
		}
		close(stop)
		<-counted
	}
}

func BenchmarkLastValueNobodyListens(b *testing.B) {
	broker := start(b, loopback)
	value := broker.LastValue("vss/Vehicle/Speed")
	payload := []byte(`{"value":31.5,"ts":"2020-09-16T18:12:20.020Z"}`)
	b.ReportAllocs()
	for b.Loop() {
		_ = value.Set(payload, "")
	}
}

// The packet id of QoS 2 is stored though the value has no receiver that is.
func TestValueOfQoS2IsAnsweredWhenNobodyListens(t *testing.T) {
	b := start(t, provider)
	c := connect(t, b, 5, "c", keep)
	c.publish(2, 1, "vss/a", "1")
	if reason := c.expect(wire.Pubrec).reasons[0]; reason != wire.Success {
		t.Fatalf("PUBREC 0x%02X", reason)
	}
	c.ack(wire.Pubrel, 1)
	c.expect(wire.Pubcomp)
}

func TestForgottenValueReachesNobody(t *testing.T) {
	b := start(t, loopback)
	speed := b.LastValue("vss/Vehicle/Speed")
	for _, value := range []string{`{"value":1}`, `{"value":2}`} {
		if err := speed.Set([]byte(value), ""); err != nil {
			t.Fatal(err)
		}
		if value == `{"value":1}` {
			speed.Forget()
			cl := connect(t, b, 5, "early")
			cl.subscribe("vss/#", 1)
			cl.ping() // nothing comes before its answer
			cl.goodbye()
		}
	}
	late := connect(t, b, 5, "late")
	late.subscribe("vss/#", 1)
	late.expectPublish("vss/Vehicle/Speed", `{"value":2}`)
}
