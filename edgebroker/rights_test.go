package edgebroker

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/auth"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestRefusedPublishIsAnsweredByVersion(t *testing.T) {
	b := start(t, loopback)
	got := make(chan Message, 1)
	cancel, err := b.Subscribe("act/#", func(m Message) { got <- m })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	for _, c := range []struct {
		version, qos byte
		reason       wire.Reason
	}{{5, 1, wire.NotAuthorized}, {5, 2, wire.NotAuthorized}, {4, 1, 0}, {4, 2, 0}, {5, 0, 0}, {4, 0, 0}} {
		cl := connect(t, b, c.version, "c")
		cl.publish(c.qos, uint16(c.qos), "act/Vehicle/Body/Horn", "true")
		switch c.qos {
		case 1:
			if r := cl.expect(wire.Puback).reasons[0]; r != c.reason {
				t.Fatalf("%+v: PUBACK 0x%02X", c, r)
			}
		case 2:
			if r := cl.expect(wire.Pubrec).reasons[0]; r != c.reason {
				t.Fatalf("%+v: PUBREC 0x%02X", c, r)
			}
			if c.version == 4 {
				cl.ack(wire.Pubrel, 2)
				cl.expect(wire.Pubcomp)
			}
		}
		cl.ping()
	}
	select {
	case m := <-got:
		t.Fatalf("%+v came through", m)
	default:
	}
	if n := b.Stats().PublishesRefused; n != 6 {
		t.Fatalf("%d refused, want 6", n)
	}
}

func TestTopicAliasDoesNotEvadeRights(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	alias := func(pk *packets.Packet) { pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 3, true }
	for _, topic := range []string{"act/Vehicle/Body/Horn", ""} {
		c.publish(1, 1, topic, "true", alias)
		if r := c.expect(wire.Puback).reasons[0]; r != wire.NotAuthorized {
			t.Fatalf("PUBACK 0x%02X with topic %q", r, topic)
		}
	}
}

func TestSysTopicsAreTheBrokers(t *testing.T) {
	b := start(t, withProvider) // publishes #
	c := connect(t, b, 5, "c")
	c.publish(1, 1, "$SYS/broker/version", "mine")
	if r := c.expect(wire.Puback).reasons[0]; r != wire.NotAuthorized {
		t.Fatalf("PUBACK 0x%02X", r)
	}
	c.subscribe("$SYS/broker/version", 0)
	c.expectPublish("$SYS/broker/version", "test")
	c.subscribe("#", 0)
	c.subscribe("+/#", 0)
	c.ping() // and no $SYS in between
}

const rearSeat = `
broker:
  listeners: [{name: local, address: "127.0.0.1:0", role: rear_passenger}]
auth:
  roles:
    rear_passenger:
      publish: ["dev/${client}/#"]
      subscribe: ["vss/#", "dev/${client}/#"]
      deny_subscribe: ["vss/Vehicle/CurrentLocation/#"]
`

func TestSubscriptionsFollowTheGrants(t *testing.T) {
	b := start(t, rearSeat)
	c := connect(t, b, 5, "seat1")
	old := connect(t, b, 4, "seat2")
	for _, s := range []struct {
		filter string
		reason wire.Reason
	}{
		{"vss/#", 0},
		{"vss/+/Speed", 0},
		{"#", wire.NotAuthorized},
		{"+/Vehicle", wire.NotAuthorized},
		{"dev/seat1/a", 0},
		{"dev/+/a", wire.NotAuthorized},
		{"vss/Vehicle/CurrentLocation/Latitude", wire.NotAuthorized},
		{"$share/g/vss/#", 0},
		{"$share/g/ivi/#", wire.NotAuthorized},
		{"$share/g", wire.FilterInvalid},
		{"a#", wire.FilterInvalid},
		{"$SYS/#", wire.NotAuthorized},
	} {
		if got := c.subscribe(s.filter, 0); got != s.reason {
			t.Errorf("%s: SUBACK 0x%02X, want 0x%02X", s.filter, got, s.reason)
		}
		if s.filter == "dev/seat1/a" {
			continue
		}
		if got := old.subscribe(s.filter, 0); got != min(s.reason, wire.Unspecified) {
			t.Errorf("%s: 3.1.1 SUBACK 0x%02X", s.filter, got)
		}
	}
}

func TestDenialsAreKeptFromWiderSubscriptions(t *testing.T) {
	b := start(t, rearSeat)
	_ = b.LastValue("vss/Vehicle/CurrentLocation/Latitude").Set([]byte("1"), "")
	c := connect(t, b, 5, "seat1")
	c.subscribe("vss/#", 0)
	_ = b.LastValue("vss/Vehicle/CurrentLocation/Latitude").Set([]byte("2"), "")
	_ = b.LastValue("vss/Vehicle/Speed").Set([]byte("3"), "")
	c.expectPublish("vss/Vehicle/Speed", "3")
}

func TestNewPolicyHoldsForThoseConnected(t *testing.T) {
	b := start(t, rearSeat)
	c := connect(t, b, 5, "seat1")
	c.subscribe("vss/#", 0)
	c.publish(1, 1, "dev/seat1/a", "x")
	if r := c.expect(wire.Puback).reasons[0]; r != 0 {
		t.Fatalf("PUBACK 0x%02X", r)
	}
	publish(t, b, "vss/Vehicle/Speed", "1", 0)
	c.expectPublish("vss/Vehicle/Speed", "1")
	b.SetPolicy(auth.New(auth.Config{}))
	publish(t, b, "vss/Vehicle/Speed", "2", 0)
	c.publish(1, 2, "dev/seat1/a", "x")
	if r := c.expect(wire.Puback).reasons[0]; r != wire.NotAuthorized {
		t.Fatalf("PUBACK 0x%02X", r)
	}
}

func TestWillNeedsTheRightToPublish(t *testing.T) {
	b := start(t, loopback)
	for version, want := range map[byte]wire.Reason{4: 5, 5: wire.NotAuthorized} {
		c := dial(t, b, version)
		ack := c.connect("c", func(pk *packets.Packet) {
			pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "act/x", []byte("y")
		})
		if ack.reasons[0] != want {
			t.Fatalf("version %d: CONNACK 0x%02X", version, ack.reasons[0])
		}
		c.closed()
	}
}

func TestOriginIsTheBrokersWord(t *testing.T) {
	b := start(t, loopback)
	got := make(chan Message, 1)
	cancel, _ := b.Subscribe("ivi/#", func(m Message) { got <- m })
	c := connect(t, b, 5, "nav")
	c.publish(1, 1, "ivi/a", "x", func(pk *packets.Packet) {
		pk.Properties.User = []packets.UserProperty{{Key: "k", Val: "v"}}
		pk.Properties.ResponseTopic, pk.Properties.CorrelationData = "ivi/r", []byte{1}
		pk.Properties.MessageExpiryInterval, pk.Properties.PayloadFormat, pk.Properties.PayloadFormatFlag = 9, 1, true
	})
	c.expect(wire.Puback)
	m := <-got
	want := Origin{Client: "nav", Identity: "anonymous", Role: auth.Local, Listener: "local"}
	if m.Origin != want || m.UserProperties[0] != (UserProperty{Name: "k", Value: "v"}) || m.ResponseTopic != "ivi/r" ||
		len(m.CorrelationData) != 1 || m.Expiry != 9 || !m.PayloadUTF8 || m.QoS != 1 {
		t.Fatalf("got %+v", m)
	}
	cancel()
	c.publish(1, 2, "ivi/a", "x")
	c.expect(wire.Puback)
	if len(got) != 0 {
		t.Fatal("a message after cancel")
	}
}
