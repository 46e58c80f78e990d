package edgebroker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func takingAliases(most uint16) func(*packets.Packet) {
	return func(pk *packets.Packet) { pk.Properties.TopicAliasMaximum = most }
}

// resolver finds topics as a client does: it fails on an alias that was never set.
type resolver struct {
	t      testing.TB
	topics map[uint16]string
	short  int // packets without a topic
}

func newResolver(t testing.TB) *resolver { return &resolver{t: t, topics: map[uint16]string{}} }

func (r *resolver) topic(got received, most uint16) string {
	r.t.Helper()
	alias := got.props.TopicAlias
	switch {
	case alias > most || got.props.TopicAliasFlag && alias == 0: // [MQTT-3.1.2-26, 3.3.2-8]
		r.t.Fatalf("alias %d, want at most %d", alias, most)
	case got.topic == "" && r.topics[alias] == "":
		r.t.Fatalf("alias %d was never set", alias)
	case got.topic == "":
		r.short++
		return r.topics[alias]
	case alias > 0:
		r.topics[alias] = got.topic
	}
	return got.topic
}

// MQTT 5.0 §3.3.2.3.4, at every QoS and with the properties that a message has.
func TestTopicsThatRepeatAreSentByAlias(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", takingAliases(1))
	c.subscribe("ivi/#", 2, func(s *packets.Subscription) { s.Identifier = 9 })
	plain := connect(t, b, 5, "plain")
	plain.subscribe("ivi/#", 0)
	for i := range 6 {
		m := Message{Topic: "ivi/long/enough", Payload: []byte{byte('0' + i)}, QoS: byte(i % 3), ContentType: "text/plain", Expiry: 60}
		if err := b.Publish(m); err != nil {
			t.Fatal(err)
		}
		got := c.expect(wire.Publish)
		if i == 0 != (got.topic == m.Topic) || got.props.TopicAlias != 1 {
			t.Fatalf("message %d: topic %q, alias %d", i, got.topic, got.props.TopicAlias)
		}
		if got.payload != string(m.Payload) || got.qos != m.QoS || got.props.ContentType != m.ContentType || len(got.ids) != 1 || got.props.MessageExpiryInterval != 60 {
			t.Fatalf("message %d: %+v", i, got)
		}
		switch got.qos {
		case 1:
			c.ack(wire.Puback, got.id)
		case 2:
			c.ack(wire.Pubrec, got.id)
			c.expect(wire.Pubrel)
			c.ack(wire.Pubcomp, got.id)
		}
		if got := plain.expectPublish(m.Topic, string(m.Payload)); got.props.TopicAliasFlag {
			t.Fatal("an alias to a client that takes none")
		}
	}
	publish(t, b, "ivi/second", "x", 0)
	if got := c.expectPublish("ivi/second", "x"); got.props.TopicAliasFlag {
		t.Fatal("a second alias [MQTT-3.3.2-9]")
	}
}

// An alias that was set by a packet which then had to make room would name
// nothing, or something else.
func TestNoAliasIsLostWithWhatIsDropped(t *testing.T) {
	const most = 64
	b := start(t, loopback+"  limits: {queue_bytes: 32KiB}\n")
	c := connect(t, b, 5, "slow", takingAliases(most))
	c.subscribe("ivi/#", 1)
	filler := strings.Repeat("x", 4<<10)
	for i := 0; b.Stats().DroppedQoS0 < 500; i++ {
		name := fmt.Sprintf("ivi/topic/%d", i/50%200) // new ones come while others are dropped
		publish(t, b, name, name+" "+filler, byte(i%20/19))
	}
	publish(t, b, "ivi/end", "ivi/end ", 1)
	r := newResolver(t)
	for name := ""; name != "ivi/end"; {
		got := c.expect(wire.Publish)
		name = r.topic(got, most)
		if want, _, _ := strings.Cut(got.payload, " "); name != want {
			t.Fatalf("topic %q, want %q", name, want)
		}
		if got.qos == 1 {
			c.ack(wire.Puback, got.id)
		}
	}
	if r.short == 0 {
		t.Fatal("no alias was used")
	}
	eventually(t, "an empty queue", func() bool { return b.Clients()[0].QueueBytes == 0 })
}

// [MQTT-3.3.2-7]: a new connection knows no alias, and what is sent again has
// its topic.
func TestAliasesEndWithTheirConnection(t *testing.T) {
	b := start(t, loopback)
	c := connect(t, b, 5, "c", keep, takingAliases(10))
	c.subscribe("ivi/#", 1)
	for range 3 {
		publish(t, b, "ivi/long/enough", "x", 1)
	}
	for range 3 {
		c.expect(wire.Publish)
	}
	c.socket.Close()
	eventually(t, "absence", func() bool { return b.Stats().Clients == 0 })
	c = connect(t, b, 5, "c", keep, takingAliases(10))
	for range 3 {
		if got := c.expectPublish("ivi/long/enough", "x"); !got.dup || got.props.TopicAliasFlag {
			t.Fatalf("%+v", got)
		}
	}
	publish(t, b, "ivi/long/enough", "y", 1)
	if got := c.expectPublish("ivi/long/enough", "y"); got.props.TopicAlias != 1 {
		t.Fatalf("alias %d", got.props.TopicAlias)
	}
}

func TestAliasKeepsToTheMaximumPacketSize(t *testing.T) {
	b := start(t, loopback)
	const topic, limit = "ivi/long/enough", 100
	c := connect(t, b, 5, "c", takingAliases(10), func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = limit })
	c.subscribe("ivi/#", 0)
	payload := strings.Repeat("x", limit-2-2-len(topic)-1) // a packet of the limit, without an alias
	publish(t, b, topic, payload, 0)
	if got := c.expectPublish(topic, payload); got.props.TopicAliasFlag || len(got.body)+2 != limit {
		t.Fatalf("%d bytes, %+v", len(got.body)+2, got)
	}
	publish(t, b, topic, "small", 0)
	if got := c.expectPublish(topic, "small"); got.props.TopicAlias != 1 {
		t.Fatalf("%+v", got)
	}
}
