package edgebroker

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/presence"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// watch is a client that hears what filter matches at QoS 1.
func watch(t testing.TB, b *Broker, filter string) *client {
	t.Helper()
	w := connect(t, b, 5, "watcher")
	if reason := w.subscribe(filter, 1); reason != 1 {
		t.Fatalf("SUBACK 0x%02X", reason)
	}
	return w
}

// expectEvent wants an event on a topic and gives its fields.
func (c *client) expectEvent(topic string) map[string]any {
	c.t.Helper()
	r := c.expect(wire.Publish)
	if r.topic != topic || r.qos != 1 || r.retain {
		c.t.Fatalf("got %s, QoS %d, RETAIN %v: %s, want %s at QoS 1", r.topic, r.qos, r.retain, r.payload, topic)
	}
	c.ack(wire.Puback, r.id)
	var event map[string]any
	if err := json.Unmarshal([]byte(r.payload), &event); err != nil {
		c.t.Fatalf("%s: %v", r.payload, err)
	}
	return event
}

// expectFields wants the event to have these, and no others.
func expectFields(t *testing.T, event map[string]any, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if event[name] != value {
			t.Errorf("%s is %v (%[2]T), want %v", name, event[name], value)
		}
	}
	for name := range event {
		if _, known := want[name]; !known && !slices.Contains([]string{"timestamp", "sessionIdentifier", "versionNumber", "topics"}, name) {
			t.Errorf("there is a field %s", name)
		}
	}
}

func TestPresenceTellsWhoComesAndGoesAsAWSDoes(t *testing.T) {
	b := start(t, loopback)
	w := watch(t, b, "$aws/events/presence/#")
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	var sessions []string
	last := 0.0
	for _, version := range []byte{4, 5} {
		before := time.Now().UnixMilli()
		connect(t, b, version, "phone").goodbye()
		came := w.expectEvent("$aws/events/presence/connected/phone")
		expectFields(t, came, map[string]any{
			"clientId": "phone", "eventType": "connected", "principalIdentifier": auth.Anonymous, "ipAddress": "127.0.0.1",
		})
		went := w.expectEvent("$aws/events/presence/disconnected/phone")
		expectFields(t, went, map[string]any{
			"clientId": "phone", "eventType": "disconnected", "principalIdentifier": auth.Anonymous, "ipAddress": "127.0.0.1",
			"clientInitiatedDisconnect": true, "disconnectReason": "CLIENT_INITIATED_DISCONNECT",
		})
		at, number := came["timestamp"].(float64), came["versionNumber"].(float64)
		if int64(at) < before || went["timestamp"].(float64) < at || int64(at) > time.Now().UnixMilli() {
			t.Errorf("came at %v and went at %v, want Unix milliseconds from %d on", at, went["timestamp"], before)
		}
		if number <= last || went["versionNumber"] != number || number != float64(uint64(number)) {
			t.Errorf("version %v and %v after %v, want the same higher integer", number, went["versionNumber"], last)
		}
		last = number
		id := came["sessionIdentifier"].(string)
		if !uuid.MatchString(id) || went["sessionIdentifier"] != id || slices.Contains(sessions, id) {
			t.Errorf("session %s and %v, want the same new UUID", id, went["sessionIdentifier"])
		}
		sessions = append(sessions, id)
	}
}

func TestDisconnectReasonTellsHowAConnectionEnded(t *testing.T) {
	const config = `
broker:
  listeners: [{name: local, address: "127.0.0.1:0"}, {name: web, protocol: websocket, address: "127.0.0.1:0"}]
  limits: {publish_rate: 1, retained_messages: 1}
`
	ended := func(reason wire.Reason) func(*testing.T, *Broker, *client) {
		return func(_ *testing.T, b *Broker, _ *client) {
			b.sessions.mu.Lock()
			owner := b.sessions.byID["phone"].owner
			b.sessions.mu.Unlock()
			owner.end(reason)
		}
	}
	for name, c := range map[string]struct {
		version byte
		end     func(t *testing.T, b *Broker, c *client)
		want    presence.Reason
	}{
		"DISCONNECT": {5, func(_ *testing.T, _ *Broker, c *client) { c.send(byte(wire.Disconnect)<<4, 0) }, presence.ClientInitiated},
		"DISCONNECT with the will": {5, func(_ *testing.T, _ *Broker, c *client) {
			c.send(byte(wire.Disconnect)<<4, 1, byte(wire.DisconnectWithWill))
		}, presence.ClientInitiated},
		"a packet that is wrong":     {5, func(_ *testing.T, _ *Broker, c *client) { c.send(byte(wire.Publish)<<4|6, 0) }, presence.ClientError},
		"a topic that is wrong":      {5, func(_ *testing.T, _ *Broker, c *client) { c.publish(0, 0, "a/#", "x") }, presence.ClientError},
		"a second CONNECT":           {4, func(_ *testing.T, _ *Broker, c *client) { c.send(byte(wire.Connect)<<4, 0) }, presence.ClientError},
		"the socket closes":          {5, func(_ *testing.T, _ *Broker, c *client) { c.socket.Close() }, presence.ConnectionLost},
		"the socket takes no bytes":  {5, ended(wire.Unspecified), presence.ConnectionLost},
		"another takes its place":    {5, func(t *testing.T, b *Broker, _ *client) { connect(t, b, 4, "phone") }, presence.DuplicateClient},
		"silence":                    {5, func(*testing.T, *Broker, *client) {}, presence.KeepAliveTimeout},
		"the gateway stops":          {5, ended(wire.ShuttingDown), presence.ServerInitiated},
		"an operator ends it":        {5, func(t *testing.T, b *Broker, _ *client) { mustKick(t, b, "phone") }, presence.ServerInitiated},
		"it authenticates no more":   {5, ended(wire.NotAuthorized), presence.AuthError},
		"it publishes too fast":      {5, func(_ *testing.T, _ *Broker, c *client) { c.flood() }, presence.Throttled},
		"what it sends has no place": {4, func(_ *testing.T, _ *Broker, c *client) { c.overfill() }, presence.ServerError},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, config)
			w := watch(t, b, "$aws/events/presence/disconnected/phone")
			phone := connect(t, b, c.version, "phone", func(pk *packets.Packet) {
				if name == "silence" {
					pk.Connect.Keepalive = 1
				}
			})
			c.end(t, b, phone)
			event := w.expectEvent("$aws/events/presence/disconnected/phone")
			if got := event["disconnectReason"]; got != string(c.want) {
				t.Errorf("got %v, want %s", got, c.want)
			}
			if got, want := event["clientInitiatedDisconnect"], c.want == presence.ClientInitiated; got != want {
				t.Errorf("clientInitiatedDisconnect is %v, want %v", got, want)
			}
		})
	}
}

func mustKick(t testing.TB, b *Broker, client string) {
	t.Helper()
	if err := b.Kick(client); err != nil {
		t.Fatal(err)
	}
}

// flood publishes more than a client may that has publish_rate 1.
func (c *client) flood() {
	for range 3 {
		c.publish(0, 0, "ivi/a", "x")
	}
}

// overfill asks for two retained messages where one has room.
func (c *client) overfill() {
	c.publish(1, 1, "ivi/a", "x", retaining)
	c.expect(wire.Puback)
	c.publish(1, 2, "ivi/b", "x", retaining)
}

func TestClosingTheWebSocketIsTheClientsWish(t *testing.T) {
	b := start(t, `
broker:
  listeners: [{name: local, address: "127.0.0.1:0"}, {name: web, protocol: websocket, address: "127.0.0.1:0"}]
`)
	w := watch(t, b, "$aws/events/presence/disconnected/+")
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	page, answer, err := dialer.Dial("ws://"+address(t, b, "web")+"/mqtt", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	defer page.Close()
	connectPacket := []byte("\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x04page")
	if err := page.WriteMessage(websocket.BinaryMessage, connectPacket); err != nil {
		t.Fatal(err)
	}
	if _, _, err := page.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	text := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	if err := page.WriteControl(websocket.CloseMessage, text, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	event := w.expectEvent("$aws/events/presence/disconnected/page")
	if event["disconnectReason"] != string(presence.ClientInitiated) {
		t.Errorf("got %v", event["disconnectReason"])
	}
}

func TestSubscriptionEventsListWhatWasNotRefused(t *testing.T) {
	b := start(t, loopback+"auth: {roles: {local: {publish: ['#'], subscribe: ['ivi/#', '$aws/#']}}}\n")
	w := watch(t, b, "$aws/events/subscriptions/+/phone")
	phone := connect(t, b, 5, "phone")
	phone.sendPacket(&packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1,
		Filters: packets.Subscriptions{{Filter: "ivi/a"}, {Filter: "secret/#"}, {Filter: "$share/g/ivi/b"}, {Filter: "ivi/#/c"}},
	})
	phone.expect(wire.Suback)
	phone.subscribe("secret/a", 0) // no event: nothing of it was taken
	phone.sendPacket(&packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 2,
		Filters: packets.Subscriptions{{Filter: "ivi/a"}, {Filter: "ivi/never"}},
	})
	phone.expect(wire.Unsuback)
	for _, c := range []struct{ kind, topics string }{
		{"subscribed", "ivi/a $share/g/ivi/b"},
		{"unsubscribed", "ivi/a"},
	} {
		event := w.expectEvent("$aws/events/subscriptions/" + c.kind + "/phone")
		expectFields(t, event, map[string]any{"clientId": "phone", "eventType": c.kind, "principalIdentifier": auth.Anonymous})
		if event["versionNumber"] != nil {
			t.Error("AWS has no versionNumber here")
		}
		var topics []string
		for _, name := range event["topics"].([]any) {
			topics = append(topics, name.(string))
		}
		if got := strings.Join(topics, " "); got != c.topics {
			t.Errorf("%s: got %s, want %s", c.kind, got, c.topics)
		}
	}
}

func TestNoEventForAClientIDThatIsNoTopicLevel(t *testing.T) {
	b := start(t, loopback)
	w := watch(t, b, "$aws/events/#")
	w.expectEvent("$aws/events/subscriptions/subscribed/watcher") // its own
	for _, id := range []string{"a/b", "a+b", "a#b"} {
		c := connect(t, b, 5, id)
		c.subscribe("ivi/#", 0)
		c.goodbye()
	}
	connect(t, b, 5, "good")
	w.expectEvent("$aws/events/presence/connected/good")
}

func TestRoomsHearPresenceInOrder(t *testing.T) {
	b := start(t, loopback)
	events := make(chan presence.Event, 10)
	cancel := b.OnPresence(func(e presence.Event) { events <- e })
	const id = "rear/left" // no topic has it, rooms hear of it
	first := connect(t, b, 5, id)
	first.subscribe("ivi/#", 0)
	connect(t, b, 5, id).goodbye()
	var got []string
	var versions []uint64
	for range 5 {
		select {
		case e := <-events:
			if e.Origin.Client != id || e.Origin.Role != auth.Local || e.Address != "127.0.0.1" || e.At.IsZero() {
				t.Errorf("got %+v", e)
			}
			got = append(got, strings.TrimSpace(string(e.Kind)+" "+string(e.Reason)+strings.Join(e.Topics, " ")))
			versions = append(versions, e.Version)
		case <-time.After(patience):
			t.Fatalf("only %q came", got)
		}
	}
	want := []string{"connected", "subscribed ivi/#", "disconnected DUPLICATE_CLIENTID", "connected", "disconnected CLIENT_INITIATED_DISCONNECT"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.IsSorted(versions) || versions[0] != versions[2] || versions[2] == versions[3] {
		t.Errorf("versions %v, want one a connection, rising", versions)
	}
	cancel()
	connect(t, b, 5, id).goodbye()
	select {
	case e := <-events:
		t.Errorf("got %+v after cancel", e)
	default:
	}
}

func TestNobodyForgesPresence(t *testing.T) {
	b := start(t, loopback+"auth: {roles: {local: {publish: ['#'], subscribe: ['#']}}}\n")
	c := connect(t, b, 5, "forger")
	c.publish(1, 1, "$aws/events/presence/connected/driver", "{}")
	if reason := c.expect(wire.Puback).reasons[0]; reason != wire.NotAuthorized {
		t.Errorf("PUBACK 0x%02X", reason)
	}
}

// diedWith starts a broker on what another has on disk at this moment, as if that
// one were killed now.
func diedWith(t *testing.T, path string) *Broker {
	t.Helper()
	var left string
	eventually(t, "a copy, with no file replaced meanwhile", func() bool {
		left = t.TempDir()
		return os.CopyFS(left, os.DirFS(path)) == nil
	})
	return onStore(t, left)
}

// onStore runs a broker on what a folder holds until the test ends.
func onStore(t *testing.T, path string) *Broker {
	t.Helper()
	b, stop := startOn(t, decode(t, loopback), path)
	t.Cleanup(stop)
	return b
}

// TestRestartTellsWhoWasLost has a watcher that keeps its session and one that
// was never told of anything; a client that is connected when the broker dies, one
// that had gone, and one that is absent with a session of its own.
func TestRestartTellsWhoWasLost(t *testing.T) {
	path := t.TempDir()
	b := onStore(t, path)
	connect(t, b, 5, "absent", keep).goodbye()
	before := connect(t, b, 5, "before", keep)
	before.ping() // nobody has it that this one came: its event went before the watcher's filter
	w := connect(t, b, 5, "watcher", keep)
	w.subscribe("$aws/events/presence/#", 1)
	connect(t, b, 4, "gone").goodbye()
	connect(t, b, 4, "lost")
	for _, topic := range []string{"connected/gone", "disconnected/gone", "connected/lost"} {
		w.expectEvent("$aws/events/presence/" + topic)
	}
	w.ping() // its acknowledgements were taken
	w.socket.Close()
	before.ping()
	eventually(t, "the record that lost is there, and gone is not", func() bool {
		return b.store.Get(record.PresenceKeys+"lost") != nil && b.store.Get(record.PresenceKeys+"gone") == nil && b.Stats().Clients == 2
	})

	died := time.Now()
	after := diedWith(t, path)
	for _, info := range after.Clients() {
		if info.ID == "absent" && !info.Since.Before(died) {
			t.Errorf("absent since %v, want since before %v", info.Since, died)
		}
	}
	w = connect(t, after, 5, "watcher", keep)
	var went map[string]any
	for went == nil {
		r := w.expect(wire.Publish) // what was not acknowledged on disk comes twice
		w.ack(wire.Puback, r.id)
		if !r.dup && strings.HasPrefix(r.topic, "$aws/events/presence/disconnected/") && r.topic != "$aws/events/presence/disconnected/gone" && r.topic != "$aws/events/presence/disconnected/watcher" {
			if err := json.Unmarshal([]byte(r.payload), &went); err != nil || went["clientId"] != "lost" {
				t.Fatalf("got %s %s, %v", r.topic, r.payload, err)
			}
		}
	}
	if went["disconnectReason"] != string(presence.ServerError) || went["clientInitiatedDisconnect"] != false || went["ipAddress"] != "127.0.0.1" {
		t.Errorf("got %v", went)
	}
	connect(t, after, 4, "lost")
	for {
		r := w.expect(wire.Publish)
		w.ack(wire.Puback, r.id)
		var came map[string]any
		if err := json.Unmarshal([]byte(r.payload), &came); err != nil {
			t.Fatal(err)
		}
		if came["clientId"] == "before" || came["clientId"] == "absent" {
			t.Fatalf("a false event: %s", r.payload)
		}
		if r.topic == "$aws/events/presence/connected/lost" {
			if came["versionNumber"].(float64) <= went["versionNumber"].(float64) {
				t.Errorf("version %v after %v, want a higher one", came["versionNumber"], went["versionNumber"])
			}
			break
		}
	}
	eventually(t, "the record of the lost connection gives way", func() bool {
		return strings.Contains(string(after.store.Get(record.PresenceKeys+"lost")), `"connected"`)
	})
}
