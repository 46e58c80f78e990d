package link

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// relay passes bytes on until it is told to pass none: then it takes what comes and
// is silent, as a network that has lost one direction, or a NAT its entry.
type relay struct {
	net.Listener
	mu    sync.Mutex
	mute  bool
	conns []net.Conn
}

func startRelay(t testing.TB, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	var pumps sync.WaitGroup
	pump := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				to.Close()
				return
			}
			r.mu.Lock()
			mute := r.mute
			r.mu.Unlock()
			if !mute {
				_, _ = to.Write(buf[:n])
			}
		}
	}
	pumps.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			pumps.Go(func() { pump(in, out) })
			pumps.Go(func() { pump(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		pumps.Wait()
	})
	return r
}

func (r *relay) silence(mute bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mute = mute
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func TestHalfOpenConnectionIsNoticed(t *testing.T) {
	for name, ask := range map[string]func(t *testing.T, l *running, c Conn){
		"by a ping": func(t *testing.T, l *running, c Conn) {},
		"by an unacknowledged message": func(t *testing.T, l *running, c Conn) {
			send(t, c, up("a", 1))
		},
		"by a ping after the network changed": func(t *testing.T, l *running, c Conn) { l.Wake() },
	} {
		t.Run(name, func(t *testing.T) {
			m := startMosquitto(t, "")
			r := startRelay(t, m.mqtt)
			keepAlive := "1h"
			if name == "by a ping" {
				keepAlive = "1s"
			}
			l := start(t, "url: mqtt://"+r.Addr().String()+"\nping_timeout: 200ms\nbackoff: {min: 10ms}\nkeep_alive: "+keepAlive)
			c := next[connected](t, l.hand)
			r.silence(true)
			ask(t, l, c)
			if end := next[lost](t, l.hand); !strings.Contains(end.err.Error(), "no answer for") {
				t.Errorf("%v", end.err)
			}
			r.silence(false)
			next[connected](t, l.hand)
		})
	}
}

func TestFarSidesKeepAliveIsObeyed(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url)
	p := far.accept(t)
	second := uint16(1)
	p.welcome(wire.Acceptance{ServerKeepAlive: &second})
	next[connected](t, l.hand)
	for range 2 {
		p.read(wire.Pingreq)
		p.write(0xD0, 0)
	}
}

// TestPulse is the reckoning, without waiting for it.
func TestPulse(t *testing.T) {
	const second = clock.Second
	at := func(p *pulse, when clock.Time) (ping, dead bool) {
		ping, silence, _ := p.check(when)
		return ping, silence > 0
	}
	begin := func() (*pulse, clock.Time) {
		p := newPulse(5*time.Minute, 30*time.Second, time.Millisecond)
		return p, p.sent
	}
	t.Run("nothing to do", func(t *testing.T) {
		p, start := begin()
		if ping, dead := at(p, start+299*second); ping || dead {
			t.Error("a ping, or the end, before the keep-alive")
		}
		if ping, _ := at(p, start+300*second); !ping {
			t.Error("no ping when nothing was sent for the keep-alive")
		}
	})
	t.Run("a ping is out", func(t *testing.T) {
		p, start := begin()
		p.ping()
		if _, _, again := p.check(start); again > looks {
			t.Errorf("looks again in %s, when much may have happened", again)
		}
		p.interval = second
		if _, _, again := p.check(start); again > time.Second {
			t.Errorf("looks again in %s: the answer comes before, and the next ping is due", again)
		}
	})
	t.Run("nothing heard", func(t *testing.T) {
		p, start := begin()
		p.wrote(10) // QoS 0: no answer is owed
		if ping, _ := at(p, start+300*second); !ping {
			t.Error("no ping when nothing was heard for the keep-alive")
		}
	})
	t.Run("an answer is owed", func(t *testing.T) {
		p, _ := begin()
		p.expect(1, 100)
		if _, dead := at(p, p.since+30*second); dead {
			t.Error("dead, though 100 bytes may take a moment")
		}
		if _, dead := at(p, p.since+31*second); !dead {
			t.Error("alive without an answer")
		}
		p.answered(1)
		if _, dead := at(p, p.since+40*second); dead {
			t.Error("dead, though nothing is owed")
		}
	})
	t.Run("a large message on a slow link", func(t *testing.T) {
		p, _ := begin()
		p.expect(1, 128<<10) // 105 s at 10 kbit/s
		p.expect(2, 10)
		p.read()
		if _, dead := at(p, p.heard+140*second); dead {
			t.Error("dead before a slow link can have carried it")
		}
		if _, dead := at(p, p.heard+170*second); !dead {
			t.Error("alive without an answer")
		}
	})
	t.Run("a ping behind much", func(t *testing.T) {
		p, _ := begin()
		p.wrote(1 << 30)
		p.ping()
		if _, dead := at(p, p.since+329*second); dead {
			t.Error("dead while the queue may be on its way")
		}
		if _, dead := at(p, p.since+331*second); !dead {
			t.Error("the wait is without bound")
		}
	})
	t.Run("reading rests", func(t *testing.T) {
		p, _ := begin()
		p.expect(1, 100)
		p.hold(true)
		if _, dead := at(p, p.since+1000*second); dead {
			t.Error("dead, though it is we who do not read")
		}
		p.hold(false)
		if _, dead := at(p, p.heard+31*second); !dead {
			t.Error("alive without an answer")
		}
	})
	t.Run("round-trip time", func(t *testing.T) {
		p, _ := begin()
		p.expect(7, 1)
		p.sampled -= 80 * clock.Time(time.Millisecond)
		p.expect(8, 1)
		p.answered(8) // not the one that is timed
		p.answered(7)
		if rtt := p.rtt(); rtt < 10*time.Millisecond || rtt > 15*time.Millisecond {
			t.Errorf("%s, want 1 ms and an eighth of the 79 more", rtt)
		}
		p.ping()
		if !p.ping() {
			t.Error("two pings at once")
		}
		p.ponged()
		p.ponged() // that was not asked for
		if _, dead := at(p, p.since+100*second); dead {
			t.Error("dead, though nothing is owed")
		}
	})
}

// TestLargeMessagesReturnTheirMemory: one of a megabyte must not leave its buffers
// behind for as long as the connection stands.
func TestLargeMessagesReturnTheirMemory(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	large := make([]byte, 1<<20)
	go func() {
		out := wire.Outgoing{Topic: "a", Payload: large}
		_, _ = there.Write(append(out.Append(nil), 0xD0, 0))
		there.Close()
	}()
	r := newReader(here, 2<<20)
	for _, want := range []byte{0x30, 0xD0} {
		if first, _, err := r.next(); err != nil || first != want {
			t.Fatalf("%x, %v", first, err)
		}
	}
	if _, _, err := r.next(); !errors.Is(err, io.EOF) || len(r.buf) != readBuffer {
		t.Errorf("%v, a buffer of %d bytes", err, len(r.buf))
	}
}
