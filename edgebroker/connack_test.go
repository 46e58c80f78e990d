package edgebroker

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// The properties of CONNACK (MQTT 5.0 §3.2.2.3).
const (
	sessionExpiry     = 0x11
	assignedClientID  = 0x12
	serverKeepAlive   = 0x13
	receiveMaximum    = 0x21
	topicAliasMaximum = 0x22
	maximumPacketSize = 0x27
)

// properties are those of a CONNACK by identifier, with the lengths of their
// values in the encoding of each.
func properties(t *testing.T, ack received) []byte {
	t.Helper()
	size := map[byte]int{sessionExpiry: 4, serverKeepAlive: 2, receiveMaximum: 2, topicAliasMaximum: 2, maximumPacketSize: 4}
	var list []byte
	for rest := ack.body[3:]; len(rest) > 0; {
		id := rest[0]
		list = append(list, id)
		n, fixed := size[id]
		if !fixed {
			n = 2 + int(rest[1])<<8 + int(rest[2])
		}
		rest = rest[1+n:]
	}
	return slices.Sorted(slices.Values(list))
}

// What is not there has the meaning that the broker keeps: Maximum QoS 2,
// retained messages, wildcards, subscription identifiers and shared
// subscriptions are available, and what the client asked for holds.
func TestConnackHasWhatDiffersAndNothingElse(t *testing.T) {
	limits := []byte{receiveMaximum, topicAliasMaximum, maximumPacketSize}
	b := start(t, loopback+"  limits: {session_expiry: 1h, keep_alive: 60s}\n")
	alive := func(seconds uint16) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Connect.Keepalive = seconds }
	}
	long := func(pk *packets.Packet) {
		keep(pk)
		pk.Properties.SessionExpiryInterval = 7200
	}
	for name, c := range map[string]struct {
		id     string
		change []func(*packets.Packet)
		want   []byte
	}{
		"all as asked":        {"c", []func(*packets.Packet){alive(60), keep}, nil},
		"no client id":        {"", []func(*packets.Packet){alive(30)}, []byte{assignedClientID}},
		"no keep alive":       {"c", nil, []byte{serverKeepAlive}},
		"a long keep alive":   {"c", []func(*packets.Packet){alive(61)}, []byte{serverKeepAlive}},
		"a long session":      {"c", []func(*packets.Packet){alive(60), long}, []byte{sessionExpiry}},
		"response and reason": {"c", []func(*packets.Packet){alive(60), withResponseInfo}, nil},
	} {
		ack := dial(t, b, 5).connect(c.id, c.change...)
		if got, want := properties(t, ack), slices.Sorted(slices.Values(slices.Concat(limits, c.want))); !slices.Equal(got, want) {
			t.Errorf("%s: properties % X, want % X", name, got, want)
		}
	}
	for version, size := range map[byte]int{3: 2, 4: 2} {
		if ack := dial(t, b, version).connect("old"); len(ack.body) != size {
			t.Errorf("version %d: CONNACK % X", version, ack.body)
		}
	}
}

func withResponseInfo(pk *packets.Packet) { pk.Properties.RequestResponseInfo = 1 }

// [MQTT-3.2.2-6].
func TestRefusingConnackHasNoSession(t *testing.T) {
	b := start(t, loopback)
	connect(t, b, 5, "c", keep).goodbye()
	c := dial(t, b, 5)
	if ack := c.connect("c", keep, withWill("act/x")); ack.reasons[0] != wire.NotAuthorized || ack.present {
		t.Fatalf("CONNACK %s, session present %v", ack.reasons[0].Name(), ack.present)
	}
}

// [MQTT-3.1.2-21, 3.1.2-22]: the server's keep alive holds in place of the
// client's. 3.1.1 has no way to tell it, so it holds for those that ask for none.
func TestServerKeepAliveHolds(t *testing.T) {
	b := start(t, loopback+"  limits: {keep_alive: 1s}\n")
	type asked struct {
		version byte
		seconds uint16
	}
	begin := time.Now()
	cut := map[asked]*client{}
	for _, a := range []asked{{5, 0}, {5, 1000}, {5, 1}, {4, 0}} {
		c := dial(t, b, a.version)
		ack := c.connect("", func(pk *packets.Packet) { pk.Connect.Keepalive = a.seconds })
		if told := a.version == 5 && a.seconds != 1; told != (ack.props.ServerKeepAlive == 1) {
			t.Errorf("%+v: Server Keep Alive %d", a, ack.props.ServerKeepAlive)
		}
		cut[a] = c
	}
	patient := connect(t, b, 4, "patient", func(pk *packets.Packet) { pk.Connect.Keepalive = 1000 })
	for _, a := range slices.Collect(maps.Keys(cut)) {
		if a.version == 5 {
			if got := cut[a].expect(wire.Disconnect).reasons[0]; got != wire.KeepAliveTimeout {
				t.Errorf("%+v: DISCONNECT %s", a, got.Name())
			}
		}
		cut[a].closed()
	}
	if took := time.Since(begin); took < 1400*time.Millisecond {
		t.Errorf("after %v of 1.5 s", took)
	}
	patient.ping()
}

func TestBytesReceivedAreCounted(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 4, "c")
	c.ping()
	before := b.Stats().BytesReceived
	for range 100 {
		c.ping()
	}
	if got := b.Stats().BytesReceived - before; got != 200 {
		t.Fatalf("%d bytes, want 200", got)
	}
}
