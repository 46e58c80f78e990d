package link

import (
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// TestSessionOutlivesTheLink: what comes while the vehicle is away comes when it is
// back, and an orderly end sends no will.
func TestSessionOutlivesTheLink(t *testing.T) {
	for _, protocol := range []string{"5", "3.1.1"} {
		t.Run(protocol, func(t *testing.T) {
			m := startMosquitto(t, "")
			other := start(t, "url: mqtt://"+m.mqtt+"\nclient_id: other")
			o := next[connected](t, other.hand)
			subscribe(t, o, "dt/link")

			will := &message.Message{Topic: "dt/link", Payload: []byte(`{"state":"down"}`), QoS: 1}
			text := "url: mqtt://" + m.mqtt + "\nprotocol: \"" + protocol + "\""
			l := start(t, text, func(o *Options) { o.Will = will })
			c := next[connected](t, l.hand)
			if c.Present {
				t.Error("a session is present at the first connection")
			}
			subscribe(t, c, "cmd/#")
			l.stop()

			down := Publish{ID: 1, Message: message.Message{Topic: "cmd/x", Payload: []byte("y"), QoS: 1}}
			send(t, o, down)
			if a := next[ack](t, other.hand); a.id != 1 {
				t.Errorf("%+v", a)
			}

			l = start(t, text, func(o *Options) { o.Will = will })
			if c := next[connected](t, l.hand); !c.Present {
				t.Error("the session is not present")
			}
			first := next[got](t, l.hand)
			if first.Topic != "cmd/x" {
				t.Errorf("got %+v", first)
			}

			// What was not acknowledged comes again.
			l.stop()
			l = start(t, text, func(o *Options) { o.Will = will })
			next[connected](t, l.hand)
			next[got](t, l.hand).done()
			l.stop()
			l = start(t, text, func(o *Options) { o.Will = will })
			live := next[connected](t, l.hand)

			// Nothing of the will so far, but now.
			live.Conn.(*connection).end(errClosed)
			if m := next[got](t, other.hand); m.Topic != "dt/link" || string(m.Payload) != `{"state":"down"}` {
				t.Errorf("got %+v", m.Message)
			}
		})
	}
}

func TestFarSideThatRestartsFindsItsSession(t *testing.T) {
	m := startMosquitto(t, "autosave_on_changes true\nautosave_interval 1\n")
	l := start(t, "url: mqtt://"+m.mqtt+"\nbackoff: {min: 10ms, max: 50ms}")
	c := next[connected](t, l.hand)
	subscribe(t, c, "cmd/#")
	if err := m.process.Stop(); err != nil {
		t.Fatal(err)
	}
	next[lost](t, l.hand)
	m.process = m.start()
	if c := next[connected](t, l.hand); !c.Present {
		t.Error("the session is not present")
	}
}
