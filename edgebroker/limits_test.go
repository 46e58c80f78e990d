package edgebroker

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestTooLargePacketEndsTheConnection(t *testing.T) {
	b := start(t, loopback+"  limits: {packet_size: 1KiB}\n")
	c := dial(t, b, 5)
	if ack := c.connect("c"); ack.props.MaximumPacketSize != 1024 || ack.props.TopicAliasMaximum != maxAliases || ack.props.ReceiveMaximum != 1024 {
		t.Fatalf("CONNACK announces %+v", ack.props)
	}
	c.publish(0, 0, "ivi/a", strings.Repeat("x", 1024))
	if reason := c.expect(wire.Disconnect).reasons[0]; reason != wire.PacketTooLarge {
		t.Fatalf("DISCONNECT 0x%02X", reason)
	}
	c.closed()
	old := connect(t, b, 4, "old")
	old.publish(0, 0, "ivi/a", strings.Repeat("x", 1024))
	old.closed()
	first := dial(t, b, 5) // before CONNECT nothing larger is read either
	first.send(byte(wire.Connect)<<4, 0xFF, 0xFF, 0xFF, 0x7F)
	first.closed()
	endless := dial(t, b, 5)
	endless.send(byte(wire.Connect)<<4, 0x80, 0x80, 0x80, 0x80, 0x80)
	endless.closed()
}

func TestPacketLimitOfTheClientHolds(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 100 })
	c.subscribe("ivi/#", 1)
	publish(t, b, "ivi/a", strings.Repeat("x", 100), 1)
	publish(t, b, "ivi/a", "small", 1)
	c.expectPublish("ivi/a", "small")
	if b.Stats().DroppedTooLarge != 1 {
		t.Fatal("not counted")
	}
}

func TestConnectionsAndSessionsAreCounted(t *testing.T) {
	b := start(t, loopback+"  limits: {connections: 2, sessions: 1}\n")
	first := connect(t, b, 5, "first")
	second := dial(t, b, 5)
	if ack := second.connect("second"); ack.reasons[0] != wire.QuotaExceeded {
		t.Fatalf("CONNACK 0x%02X", ack.reasons[0])
	}
	second.closed()
	eventually(t, "one connection", func() bool { return b.Stats().Connections == 1 })
	silent := dial(t, b, 4)
	eventually(t, "two connections", func() bool { return b.Stats().Connections == 2 })
	for version, want := range map[byte]wire.Reason{4: 3, 5: wire.ServerBusy} {
		c := dial(t, b, version)
		if ack := c.connect("more"); ack.reasons[0] != want {
			t.Fatalf("CONNACK 0x%02X, want 0x%02X", ack.reasons[0], want)
		}
		c.closed()
	}
	first.ping()
	silent.socket.Close()
}

func TestListenersOwnLimitsAreTold(t *testing.T) {
	b := start(t, `
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0"}
    - {name: single, address: "127.0.0.1:0", max_connections: 1}
    - {name: slow, address: "127.0.0.1:0", connect_rate: 1}
`)
	held := dialAt(t, address(t, b, "single"), 5)
	eventually(t, "the first connection", func() bool { return b.Stats().Connections == 1 })
	for version, want := range map[byte]wire.Reason{4: 3, 5: wire.QuotaExceeded} {
		if got := dialAt(t, address(t, b, "single"), version).connect("more").reasons[0]; got != want {
			t.Errorf("CONNACK 0x%02X, want 0x%02X", got, want)
		}
	}
	if got := held.connect("held").reasons[0]; got != wire.Success {
		t.Errorf("CONNACK 0x%02X to the client that has the place", got)
	}
	var storm []*client
	for range 12 {
		storm = append(storm, dialAt(t, address(t, b, "slow"), 5))
	}
	early := uint64(0)
	for _, c := range storm {
		switch got := c.connect("").reasons[0]; got {
		case wire.Success:
		case wire.ConnectRateExceeded:
			early++
		default:
			t.Errorf("CONNACK 0x%02X", got)
		}
	}
	connect(t, b, 5, "other")
	st := b.Stats()
	if single, slow := st.Listeners[1].Refused["listener_connections"], st.Listeners[2].Refused["connect_rate"]; single != 2 || early == 0 || slow != early || st.ConnectionsRefused != 2+early {
		t.Errorf("%d were early, counted %+v", early, st)
	}
}

func TestSubscriptionsAreCounted(t *testing.T) {
	b := start(t, loopback+"  limits: {subscriptions: 1, topic_levels: 3}\n")
	c := connect(t, b, 5, "c")
	for _, s := range []struct {
		filter string
		reason wire.Reason
	}{{"a", 0}, {"b", wire.QuotaExceeded}, {"a", 0}, {"a/b/c/d", wire.FilterInvalid}} {
		if got := c.subscribe(s.filter, 0); got != s.reason {
			t.Fatalf("%s: SUBACK 0x%02X", s.filter, got)
		}
	}
	c.publish(0, 0, "a/b/c/d", "x")
	if reason := c.expect(wire.Disconnect).reasons[0]; reason != wire.TopicInvalid {
		t.Fatalf("DISCONNECT 0x%02X", reason)
	}
}

func TestSilentConnectionIsClosed(t *testing.T) {
	b := start(t, loopback+"  limits: {connect_timeout: 100ms}\n")
	dial(t, b, 5).closed()
	c := connect(t, b, 5, "c") // the deadline ends with CONNECT
	half := dial(t, b, 5)
	half.send(byte(wire.Connect) << 4)
	half.closed()
	c.ping()
}

func TestKeepAliveEndsTheConnection(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", func(pk *packets.Packet) { pk.Connect.Keepalive = 1 })
	long := connect(t, b, 4, "long", func(pk *packets.Packet) { pk.Connect.Keepalive = 65535 })
	begin := time.Now()
	if reason := c.expect(wire.Disconnect).reasons[0]; reason != wire.KeepAliveTimeout {
		t.Fatalf("DISCONNECT 0x%02X", reason)
	}
	if took := time.Since(begin); took < 1400*time.Millisecond {
		t.Fatalf("after %v of 1.5 s", took)
	}
	long.ping()
}

func TestWrongPacketsEndTheConnectionOnly(t *testing.T) {
	b := start(t, loopback)
	good := connect(t, b, 5, "good")
	for name, p := range map[string][]byte{
		"SUBSCRIBE cut after a filter": {0x82, 6, 0, 1, 0, 0, 1, 'a'},
		"SUBSCRIBE without filters":    {0x82, 3, 0, 1, 0},
		"second CONNECT":               {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 0},
		"PUBLISH to a wildcard":        {0x30, 4, 0, 1, '#', 0},
		"PUBLISH with an unset alias":  {0x30, 6, 0, 0, 3, 35, 0, 1},
		"AUTH":                         {0xF0, 2, 0x18, 0},
		"SUBACK":                       {0x90, 3, 0, 1, 0},
		"PUBACK cut short":             {0x40, 1, 0},
		"wrong flags":                  {0xC1, 0},
	} {
		c := connect(t, b, 5, "bad")
		c.send(p...)
		if reason := c.expect(wire.Disconnect).reasons[0]; reason < wire.Unspecified {
			t.Errorf("%s: DISCONNECT 0x%02X", name, reason)
		}
		c.closed()
	}
	good.ping()
}

func TestWrongConnectIsRefused(t *testing.T) {
	b := start(t, loopback)
	for _, c := range []struct {
		name    string
		version byte // of the answer
		packet  []byte
		reason  wire.Reason // 0 for none
	}{
		{"level 6", 5, []byte("\x10\x0d\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00"), wire.UnsupportedVersion},
		{"level 2", 4, []byte("\x10\x0c\x00\x04MQTT\x02\x02\x00\x00\x00\x00"), 1},
		{"another protocol", 4, []byte("\x10\x0c\x00\x04HTTP\x04\x02\x00\x00\x00\x00"), 0},
		{"no id for a kept session", 4, []byte("\x10\x0c\x00\x04MQTT\x04\x00\x00\x00\x00\x00"), 2},
		{"reserved flag", 4, []byte("\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00"), 0},
		{"authentication method", 5, []byte("\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x04\x15\x00\x01x\x00\x00"), wire.BadAuthMethod},
		{"not CONNECT", 4, []byte("\xc0\x00"), 0},
	} {
		cl := dial(t, b, c.version)
		cl.send(c.packet...)
		if c.reason != 0 {
			if got := cl.expect(wire.Connack).reasons[0]; got != c.reason {
				t.Errorf("%s: CONNACK 0x%02X, want 0x%02X", c.name, got, c.reason)
			}
		}
		cl.closed()
	}
	c := dial(t, b, 5)
	if ack := c.connect(""); !strings.HasPrefix(ack.props.AssignedClientID, "auto-") {
		t.Fatalf("assigned id %q", ack.props.AssignedClientID)
	}
}

func TestSessionExpiryIsBounded(t *testing.T) {
	b := start(t, loopback+"  limits: {session_expiry: 1s}\n")
	c := dial(t, b, 5)
	if ack := c.connect("c", keep); ack.props.SessionExpiryInterval != 1 {
		t.Fatalf("announced %d s", ack.props.SessionExpiryInterval)
	}
	c.subscribe("ivi/#", 1)
	c.goodbye()
	eventually(t, "absence", func() bool { return b.Stats().Clients == 0 })
	b.expire(clock.Now())
	if b.Stats().Sessions != 1 {
		t.Fatal("the session ended before its time")
	}
	eventually(t, "expiry", func() bool { return b.Stats().Sessions == 0 && b.Stats().Subscriptions == 0 })
}

func TestCloseTellsClientsAndWaitsForNobody(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c")
	c.subscribe("ivi/#", 0)
	silent, err := net.Dial("tcp", address(t, b, "local"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	eventually(t, "both connections", func() bool { return b.Stats().Connections == 2 })
	publish(t, b, "ivi/a", "last", 0)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- b.Close(ctx) }()
	c.expectPublish("ivi/a", "last")
	if reason := c.expect(wire.Disconnect).reasons[0]; reason != wire.ShuttingDown {
		t.Fatalf("DISCONNECT 0x%02X", reason)
	}
	c.closed()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 3*linger {
		t.Fatalf("took %v", took)
	}
}

// Every message that a stopping broker has stored is answered, so that its publisher
// does not send it again.
func TestStopAnswersWhatWasTaken(t *testing.T) {
	for _, version := range []byte{4, 5} {
		cfg := decode(t, loopback)
		cfg.Broker.Durability.Sync = "always" // many are being committed at any moment
		b, stop := startOn(t, cfg, t.TempDir())
		q := openQueue(t, b, "q", QueueLimits{Bytes: 1 << 20, Messages: 1000})
		halfway := make(chan struct{})
		taken := 0
		feedInto(t, q, "ivi/#", false, func(*message.Publication) ([]byte, bool) {
			if taken++; taken == 200 {
				close(halfway)
			}
			return nil, true
		})
		c := connect(t, b, version, "c")
		for id := range uint16(500) {
			c.publish(1, id+1, "ivi/a", "x")
		}
		<-halfway
		stop()
		answered := uint64(0)
		for {
			r, err := c.read()
			if err != nil {
				break
			}
			if r.kind == wire.Puback {
				answered++
			}
		}
		if stored := q.Stats().Stored; answered != stored || stored < 200 {
			t.Errorf("version %d: %d messages were stored, and %d answered", version, stored, answered)
		}
	}
}
