package link

import (
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// version of a CONNECT's body (MQTT 5.0 §3.1.2.2).
func versionOf(body []byte) byte { return body[6] }

func TestFarSideWithoutVersion5IsSpokenToInTheOld(t *testing.T) {
	for name, refuse := range map[string][]byte{
		"CONNACK of 5, code 0x84":      {0x20, 3, 0, 0x84, 0},
		"CONNACK of 3.1.1, code 1":     {0x20, 2, 0, 1},
		"CONNACK of 3.1.1, other code": {0x20, 2, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			far := listenFar(t)
			l := start(t, "url: "+far.url+"\nbackoff: {min: 10ms, max: 10ms}")
			p := far.accept(t)
			if _, body := p.read(wire.Connect); versionOf(body) != 5 {
				t.Errorf("begins with version %d", versionOf(body))
			}
			p.write(refuse...)
			for range 2 { // at once, and it is remembered
				p = far.accept(t)
				if _, body := p.read(wire.Connect); versionOf(body) != 4 {
					t.Fatalf("goes on with version %d", versionOf(body))
				}
				p.write(0x20, 2, 1, 0)
				if c := next[connected](t, l.hand); c.Version != 4 || !c.Present {
					t.Errorf("session %+v", c.Session)
				}
				_ = p.Close()
				next[lost](t, l.hand)
			}
			// Now and then 5 is tried again.
			l.stop()
			e := l.endpoints[0]
			if _, old := l.dialectFor(e).(v311); !old {
				t.Error("it is forgotten")
			}
			l.versions[e.url].old = clock.Now() - 1
			if _, five := l.dialectFor(e).(v5); !five {
				t.Error("it is remembered for ever")
			}
		})
	}
}

// TestFarSideThatOnlyClosesIsAskedInTheOld: some that know no 5 close without a word.
func TestFarSideThatOnlyClosesIsAskedInTheOld(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url+"\nbackoff: {min: 10ms, max: 10ms}")
	for _, want := range []byte{5, 5, 5, 4, 5} { // it does not like the old one either
		p := far.accept(t)
		if _, body := p.read(wire.Connect); versionOf(body) != want {
			t.Fatalf("version %d, want %d", versionOf(body), want)
		}
		_ = p.Close()
	}
	if s := l.State(); !strings.Contains(s.LastError, "in place of a CONNACK") {
		t.Errorf("state %+v", s)
	}
	for range 2 {
		p := far.accept(t)
		p.read(wire.Connect)
		_ = p.Close()
	}
	p := far.accept(t)
	p.read(wire.Connect)
	p.write(0x20, 2, 0, 0)
	if c := next[connected](t, l.hand); c.Version != 4 {
		t.Errorf("session %+v", c.Session)
	}
	_ = p.Close()
	next[lost](t, l.hand)
	if _, body := far.accept(t).read(wire.Connect); versionOf(body) != 4 {
		t.Errorf("version %d, want that which it answered to", versionOf(body))
	}
}

// TestFlappingNetworkDoesNotLoseVersion5: who has spoken 5 does so again.
func TestFlappingNetworkDoesNotLoseVersion5(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url+"\nbackoff: {min: 10ms, max: 10ms}")
	p := far.accept(t)
	p.welcome(wire.Acceptance{})
	next[connected](t, l.hand)
	_ = p.Close()
	next[lost](t, l.hand)
	for range 2 * silentEnds {
		p := far.accept(t)
		if _, body := p.read(wire.Connect); versionOf(body) != 5 {
			t.Fatalf("version %d", versionOf(body))
		}
		_ = p.Close()
	}
}

func TestRefusalsSayWhatToDoAndWait(t *testing.T) {
	for name, c := range map[string]struct {
		url     string // of a mosquitto, "" for the test's own
		answer  []byte
		want    string
		lasting bool
	}{
		"credentials":        {"", []byte{0x20, 3, 0, 0x86, 0}, "check username and password", true},
		"credentials of old": {"3.1.1", []byte{0x20, 2, 0, 4}, "check username and password", true},
		"not authorised":     {"", []byte{0x20, 3, 0, 0x87, 0}, `what the far side allows client id "car"`, true},
		"client id of old":   {"3.1.1", []byte{0x20, 2, 0, 2}, `client id "car" not allowed`, true},
		"busy, with why":     {"", []byte{0x20, 9, 0, 0x89, 6, 31, 0, 3, 'n', 'o', 'w'}, `server busy ("now")`, false},
		"no broker":          {"", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "is that a broker?", false},
	} {
		t.Run(name, func(t *testing.T) {
			far := listenFar(t)
			protocol := "auto"
			if c.url != "" {
				protocol = c.url
			}
			l := start(t, "url: "+far.url+"\nprotocol: "+protocol+"\nbackoff: {min: 1s, max: 1h}")
			p := far.accept(t)
			p.read(wire.Connect)
			p.write(c.answer...)
			eventually(t, "the wait", func() bool { return l.State().Status == Down && l.State().Attempts > 0 })
			s := l.State()
			if !strings.Contains(s.LastError, c.want) {
				t.Errorf("%q does not say %q", s.LastError, c.want)
			}
			if long := time.Until(s.NextTry) > time.Minute; long != c.lasting {
				t.Errorf("next try in %s", time.Until(s.NextTry))
			}
		})
	}
}

func TestRefusalsOfMosquittoAreTold(t *testing.T) {
	m := startMosquitto(t, "allow_anonymous false\n")
	for protocol, want := range map[string]string{"5": "code 0x87, not authorised", "3.1.1": "code 0x05, not authorised"} {
		r, err := Test(t.Context(), parse(t, "url: mqtt://"+m.mqtt+"\nprotocol: \""+protocol+"\""), Options{Vars: vars})
		if err != nil || r.OK() || !strings.Contains(r.Endpoints[0].Err.Error(), want) {
			t.Errorf("%v, %v", r, err)
		}
	}
	m = startMosquitto(t, "acl_file /dev/null\n") // everybody may connect, nobody may do anything
	l := start(t, "url: mqtt://"+m.mqtt)
	c := next[connected](t, l.hand)
	send(t, c, up("a", 1))
	if a := next[ack](t, l.hand); a.id != 1 || a.code != 0x87 {
		t.Errorf("%+v", a)
	}
}
