package link

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestPUBACKsLeaveInTheOrderOfTheMessages(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url)
	p := far.accept(t)
	p.welcome(wire.Acceptance{})
	next[connected](t, l.hand)
	var all []got
	for id := uint16(1); id <= 4; id++ {
		p.publish(wire.Outgoing{Topic: "cmd", QoS: 1, ID: id})
		all = append(all, next[got](t, l.hand))
	}
	p.publish(wire.Outgoing{Topic: "cmd", QoS: 0})
	next[got](t, l.hand).done()
	all[3].done()
	all[1].done()
	l.Wake()
	p.read(wire.Pingreq)               // and no PUBACK before it
	for _, i := range []int{0, 0, 2} { // one twice
		all[i].done()
	}
	for id := uint16(1); id <= 4; id++ {
		first, body := p.read(wire.Puback)
		if a, err := wire.ReadAcknowledgement(first, body, 5); err != nil || a.ID != id {
			t.Fatalf("PUBACK %+v, %v, want of %d", a, err, id)
		}
	}
}

// TestBlockedHandlerStopsNothingElse: a local broker that is busy may hold downward
// messages back; PUBACKs and pings go on.
func TestBlockedHandlerStopsNothingElse(t *testing.T) {
	for _, version := range []byte{5, 4} {
		t.Run(versionName(version), func(t *testing.T) {
			far := listenFar(t)
			l := start(t, "url: "+far.url+"\nreceive_maximum: 2\nmax_packet: 1KiB\nprotocol: \""+versionName(version)+"\"")
			release, held := make(chan struct{}), make(chan struct{}, 100)
			l.holdBy(func(message.Message) {
				held <- struct{}{}
				<-release
			})
			p := far.accept(t)
			p.welcome(wire.Acceptance{Version: version})
			c := next[connected](t, l.hand)
			down := func(id uint16) {
				out := wire.Outgoing{Topic: "cmd", QoS: 1, ID: id, Version: version}
				p.write(out.Append(nil)...)
			}
			down(1)
			down(2)
			<-held
			for i := range 20 { // there is room for a few at QoS 0
				out := wire.Outgoing{Topic: "cmd", Payload: []byte{byte(i)}, Version: version}
				p.write(out.Append(nil)...)
			}
			send(t, c, up("a", 9))
			p.read(wire.Publish)
			p.write(wire.AppendAck(nil, wire.Puback, 9, wire.Success, version)...)
			if a := next[ack](t, l.hand); a.id != 9 {
				t.Errorf("got %+v", a)
			}
			l.Wake()
			p.read(wire.Pingreq)
			p.write(0xD0, 0)
			if s := l.State(); s.Dropped != 5 {
				t.Errorf("%d dropped at QoS 0, want 5: there is room for four of the largest", s.Dropped)
			}

			// 3.1.1 has no bound, and mosquitto 2.0 exceeds that of version 5: TCP holds the
			// far side back, and that is no silence.
			send(t, c, up("a", 10))
			p.read(wire.Publish)
			before := l.State().BytesIn
			down(3)
			down(4)
			p.write(wire.AppendAck(nil, wire.Puback, 10, wire.Success, version)...)
			eventually(t, "reading them", func() bool { return l.State().BytesIn > before })
			close(release)
			var waiting []got
			for len(waiting) < 2 { // the PUBACK is behind 3, which waits for one of them
				if m := next[got](t, l.hand); m.QoS == 1 {
					waiting = append(waiting, m)
				}
			}
			waiting[0].done()
			waiting[1].done()
			for taken := 0; taken < 2; { // 3 and 4, among others
				if m, ok := (<-l.events).(got); ok && m.QoS == 1 {
					m.done()
					taken++
				}
			}
			for id := uint16(1); id <= 4; id++ {
				first, body := p.read(wire.Puback)
				if a, _ := wire.ReadAcknowledgement(first, body, version); a.ID != id {
					t.Fatalf("PUBACK of %d, want %d", a.ID, id)
				}
			}
		})
	}
}

func (h *hand) holdBy(block func(message.Message)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.block = block
}

func TestMessagesOfAnOldConnectionComeBeforeThoseOfTheNext(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url)
	release, held := make(chan struct{}), make(chan struct{}, 100)
	var at atomic.Int32
	l.holdBy(func(message.Message) {
		if at.Add(1) > 1 {
			t.Error("two messages are handed on at once")
		}
		held <- struct{}{}
		<-release
		at.Add(-1)
	})
	p := far.accept(t)
	p.welcome(wire.Acceptance{})
	c := next[connected](t, l.hand)
	p.publish(wire.Outgoing{Topic: "one", QoS: 1, ID: 1})
	p.publish(wire.Outgoing{Topic: "two", QoS: 1, ID: 2})
	p.publish(wire.Outgoing{Topic: "loose"})
	<-held
	send(t, c, up("up", 1))
	p.read(wire.Publish)
	_ = p.Close()
	next[lost](t, l.hand) // though the handler is at it still
	l.Wake()
	p = far.accept(t)
	p.welcome(wire.Acceptance{Present: true})
	c = next[connected](t, l.hand)
	p.publish(wire.Outgoing{Topic: "one", QoS: 1, ID: 1, Dup: true})
	p.publish(wire.Outgoing{Topic: "two", QoS: 1, ID: 2, Dup: true})
	for range 20 { // what is read behind them has its effect
		send(t, c, up("up", 1))
		p.read(wire.Publish)
		p.write(wire.AppendAck(nil, wire.Puback, 1, wire.Success, 5)...)
		next[ack](t, l.hand)
	}
	close(release)
	for _, want := range []string{"one", "loose", "one", "two"} { // two was not taken, so it comes once
		m := next[got](t, l.hand)
		if m.Topic != want {
			t.Fatalf("got %s, want %s", m.Topic, want)
		}
		m.done() // the first one's connection is gone: nobody is told
	}
	for id := uint16(1); id <= 2; id++ {
		first, body := p.read(wire.Puback)
		if a, _ := wire.ReadAcknowledgement(first, body, 5); a.ID != id {
			t.Fatalf("PUBACK of %d, want %d", a.ID, id)
		}
	}
}

func TestWhatIsNoMQTTEndsTheConnectionWithAReason(t *testing.T) {
	for name, c := range map[string]struct {
		sends []byte
		want  string
		code  byte // of DISCONNECT, 0 for none
	}{
		"too long a length":    {[]byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1}, "four bytes", 0x81},
		"too large a packet":   {[]byte{0x30, 0x80, 0x80, 0x80, 1}, "want at most", 0x95},
		"a wildcard":           {[]byte{0x30, 4, 0, 1, '#', 0}, "no topic name", 0x90},
		"no topic":             {[]byte{0x30, 4, 0, 0, 0, 'x'}, "no topic name", 0x90},
		"a topic with NUL":     {[]byte{0x30, 4, 0, 1, 0, 0}, "no topic name", 0x90},
		"a response topic +":   {[]byte{0x30, 8, 0, 1, 'a', 4, 8, 0, 1, '+'}, "response topic", 0x82},
		"properties cut short": {[]byte{0x30, 5, 0, 1, 'a', 9, 38}, "properties", 0x81},
		"QoS 2":                {[]byte{0x34, 6, 0, 1, 'a', 0, 1, 0}, "QoS 2", 0x82},
		"an alias":             {[]byte{0x30, 7, 0, 1, 'a', 3, 35, 0, 1}, "alias", 0x94},
		"CONNECT":              {[]byte{0x10, 0}, "packet type 1", 0x82},
		"a cut SUBACK":         {[]byte{0x90, 1, 0}, "packet type 9", 0x81},
		"DISCONNECT":           {[]byte{0xE0, 1, 0x8E}, "same client_id", 0},
		"DISCONNECT, with why": {[]byte{0xE0, 7, 0x98, 5, 31, 0, 2, 'n', 'o'}, `administrator ("no")`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			far := listenFar(t)
			l := start(t, "url: "+far.url)
			p := far.accept(t)
			p.welcome(wire.Acceptance{})
			next[connected](t, l.hand)
			p.write(c.sends...)
			if c.code != 0 {
				if _, body := p.read(wire.Disconnect); len(body) == 0 || body[0] != c.code {
					t.Errorf("DISCONNECT %x, want 0x%02X", body, c.code)
				}
			}
			if end := next[lost](t, l.hand); !strings.Contains(end.err.Error(), c.want) {
				t.Errorf("%q says nothing of %q", end.err, c.want)
			}
		})
	}
}
