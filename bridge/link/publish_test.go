package link

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// published reads a PUBLISH as the far side gets it.
func (p *peer) published() (m wire.Message) {
	p.t.Helper()
	first, body := p.read(wire.Publish)
	if err := m.Read(first, body, 5); err != nil {
		p.t.Fatal(err)
	}
	return m
}

func up(topic string, id uint16) Publish {
	p := Publish{ID: id, Message: message.Message{Topic: topic, Payload: []byte("x")}}
	if id != 0 {
		p.QoS = 1
	}
	return p
}

func TestTopicAliasesStandForTheTopicsUsedLast(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url)
	p := far.accept(t)
	p.welcome(wire.Acceptance{TopicAliasMaximum: 2})
	c := next[connected](t, l.hand)
	again := up("a", 3)
	again.Dup = true
	for _, step := range []struct {
		send  Publish
		topic string
		alias uint16
	}{
		{up("a", 0), "a", 1},
		{up("b", 1), "b", 2},
		{up("a", 2), "", 1},
		{again, "a", 0},      // what is sent again says its topic in full
		{up("c", 0), "c", 2}, // b was used longest ago
		{up("b", 0), "b", 1},
		{up("c", 0), "", 2},
	} {
		wire := send(t, c, step.send)
		got := p.published()
		if string(got.Topic) != step.topic || got.Alias != step.alias || got.ID != step.send.ID || got.Dup != step.send.Dup {
			t.Errorf("%s: sent as %+v", step.send.Topic, got)
		}
		want := 2 + 2 + len(step.topic) + 1 + 1 // header, topic, properties, payload
		if step.alias != 0 {
			want += 3
		}
		if step.send.ID != 0 {
			want += 2
		}
		if wire != want {
			t.Errorf("%s: said to be %d bytes, want %d", step.send.Topic, wire, want)
		}
	}

	// They are forgotten with the connection.
	_ = p.Close()
	next[lost](t, l.hand)
	l.Wake()
	p = far.accept(t)
	p.welcome(wire.Acceptance{TopicAliasMaximum: 2})
	c = next[connected](t, l.hand)
	send(t, c, up("c", 0))
	if got := p.published(); string(got.Topic) != "c" || got.Alias != 1 {
		t.Errorf("first on a new connection: %+v", got)
	}
}

func TestWhatTheFarSideDoesNotTakeIsRefusedHere(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url)
	p := far.accept(t)
	p.read(wire.Connect)
	// Maximum QoS 0, no retained messages, packets of at most 40 bytes (MQTT 5.0 §3.2.2.3).
	p.write(0x20, 12, 0, 0, 9, 36, 0, 37, 0, 39, 0, 0, 0, 40)
	c := next[connected](t, l.hand)
	if c.MaximumQoS != 0 || c.RetainAvailable || c.MaximumPacket != 40 || c.ReceiveMaximum != MaxID || c.TopicAliasMaximum != 0 {
		t.Errorf("session %+v", c.Session)
	}
	large, kept := up("a", 0), up("a", 0)
	large.Payload = []byte(strings.Repeat("x", 40))
	kept.Retain = true
	long := up(strings.Repeat("x", 1<<16), 0)
	for _, wrong := range []struct {
		send Publish
		want error
	}{{up("a", 1), ErrQoS}, {large, ErrTooLarge}, {long, ErrTooLarge}, {kept, ErrRetain}, {Publish{ID: 1}, ErrID}} {
		if _, err := c.Publish(&wrong.send); !errors.Is(err, wrong.want) {
			t.Errorf("%v, want %v", err, wrong.want)
		}
	}
	large.Payload = large.Payload[:40-2-3-1]
	if n := send(t, c, large); n != 40 {
		t.Errorf("%d bytes on the wire, want all 40 that are allowed", n)
	}
	if got := p.published(); len(got.Payload) != 34 {
		t.Errorf("got %+v", got)
	}
}

func TestReasonOfARefusedMessageIsTold(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url)
	p := far.accept(t)
	p.welcome(wire.Acceptance{ReceiveMaximum: 20})
	c := next[connected](t, l.hand)
	if c.ReceiveMaximum != 20 {
		t.Errorf("session %+v", c.Session)
	}
	send(t, c, up("a", 5))
	send(t, c, up("b", 6))
	p.write(wire.AppendRefusal(nil, wire.Puback, 5, wire.NotAuthorized, "not yours")...)
	p.write(wire.AppendAck(nil, wire.Puback, 6, wire.NoMatchingSubscriber, 5)...)
	p.write(wire.AppendRefusal(nil, wire.Puback, 7, wire.NotAuthorized, strings.Repeat("é", 30_000))...)
	for _, want := range []ack{{5, 0x87, "not yours"}, {6, 0x10, ""}, {7, 0x87, strings.Repeat("é", 100) + "…"}} {
		if a := next[ack](t, l.hand); a != want {
			t.Errorf("got %+v, want %+v", a, want)
		}
	}
}

// eager publishes from inside Connected, where what was in flight is sent again.
type eager struct{ *hand }

func (e eager) Connected(c Conn, s Session) {
	for id := range uint16(100) {
		p := up("again", id+1)
		p.Dup = true
		if _, err := c.Publish(&p); err != nil {
			e.events <- lost{err}
		}
	}
	if _, err := c.Subscribe(context.Background(), []Subscription{{Filter: "cmd"}}); err != nil {
		e.events <- lost{err}
	}
	e.hand.Connected(c, s)
}

func TestPUBACKsOfWhatConnectedSentComeAfterIt(t *testing.T) {
	far := listenFar(t)
	h := newHand()
	start(t, "url: "+far.url, func(o *Options) { o.Handler = eager{h} })
	p := far.accept(t)
	p.read(wire.Connect)
	out := (&wire.Acceptance{Version: 5, Present: true}).Append(nil)
	for id := range uint16(100) { // sooner than any far side could
		out = wire.AppendAck(out, wire.Puback, id+1, wire.Success, 5)
	}
	p.write(out...)
	for range 100 {
		p.read(wire.Publish)
	}
	_, body := p.read(wire.Subscribe)
	p.write(0x90, 4, body[0], body[1], 0, 0)
	if c := next[connected](t, h); !c.Present {
		t.Error("the session is not said to be present")
	}
	for id := range uint16(100) {
		if a := next[ack](t, h); a.id != id+1 {
			t.Fatalf("PUBACK %d, want %d", a.id, id+1)
		}
	}
}

func TestManyPublishersShareAConnection(t *testing.T) {
	m := startMosquitto(t, "")
	l := start(t, "url: mqtt://"+m.mqtt)
	c := next[connected](t, l.hand)
	const publishers, each = 4, 500
	errs := make(chan error, publishers)
	for k := range publishers {
		go func() {
			var err error
			for i := range each {
				p := up("many", uint16(k*each+i+1))
				_, e := c.Publish(&p)
				err = errors.Join(err, e)
			}
			errs <- err
		}()
	}
	for range publishers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	seen := map[uint16]bool{}
	for range publishers * each {
		seen[next[ack](t, l.hand).id] = true
	}
	if len(seen) != publishers*each {
		t.Errorf("%d of %d acknowledged", len(seen), publishers*each)
	}
	// What asks the far side itself has ids of its own.
	subscribe(t, c, "many")
	if err := c.Unsubscribe(t.Context(), []string{"many"}); err != nil {
		t.Error(err)
	}
}
