package link

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestBackOffDoublesWithChance(t *testing.T) {
	b := backOff{config: BackOff{Min: config.Duration(time.Second), Max: config.Duration(10 * time.Second)}}
	for round := range 2 {
		for _, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
			if got := b.pause(); got < want*time.Second/2 || got > want*time.Second {
				t.Errorf("round %d: %s, want from half to all of %d s", round, got, want)
			}
		}
		b.reset()
	}
	b.longest()
	if got := b.pause(); got < 5*time.Second {
		t.Errorf("%s, want the longest wait", got)
	}
	seen := map[time.Duration]bool{}
	for range 10 {
		seen[b.pause()] = true
	}
	if len(seen) == 1 {
		t.Error("a whole fleet would come back at once")
	}
}

// TestFarSideThatClosesAtOnceIsNotHammered: what was accepted was not stable, so the
// waits go on doubling.
func TestFarSideThatClosesAtOnceIsNotHammered(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url+"\nbackoff: {min: 10ms, max: 40ms, stable: 1h}")
	for range 4 {
		p := far.accept(t)
		p.welcome(wire.Acceptance{})
		next[connected](t, l.hand)
		_ = p.Close()
		next[lost](t, l.hand)
	}
	eventually(t, "the wait", func() bool { return l.State().Status != Up })
	l.stop()
	if l.back.next != 40*time.Millisecond {
		t.Errorf("the next wait is %s: want the longest", l.back.next)
	}
}

func TestStableConnectionBeginsTheWaitsAnew(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url+"\nbackoff: {min: 10ms, max: 1h, stable: 0s}")
	for range 5 {
		p := far.accept(t)
		p.welcome(wire.Acceptance{})
		next[connected](t, l.hand)
		_ = p.Close()
		next[lost](t, l.hand)
	}
	l.stop()
	if l.back.next > 20*time.Millisecond {
		t.Errorf("the next wait is %s: want the first or second", l.back.next)
	}
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestNextAddressIsTriedAndTheFirstTakenBack(t *testing.T) {
	m := startMosquitto(t, "")
	first := refused(t)
	l := start(t, fmt.Sprintf("url: mqtt://%s\nendpoints: [\"mqtt://%s\", \"mqtt://%s\"]\nfail_back: 20ms\nbackoff: {min: 1h, max: 1h}", first, refused(t), m.mqtt))
	if c := next[connected](t, l.hand); c.Endpoint != "mqtt://"+m.mqtt {
		t.Errorf("connected to %s", c.Endpoint)
	}
	if s := l.State(); s.Endpoint != "mqtt://"+m.mqtt || s.Status != Up {
		t.Errorf("state %+v", s)
	}
	back, err := net.Listen("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	far := &farSide{Listener: back}
	defer far.Close()
	looking := far.accept(t) // TCP is there: that is enough without TLS
	looking.ended()
	if end := next[lost](t, l.hand); !strings.Contains(end.err.Error(), "first address") {
		t.Errorf("%v", end.err)
	}
	p := far.accept(t)
	p.welcome(wire.Acceptance{})
	if c := next[connected](t, l.hand); c.Endpoint != "mqtt://"+first {
		t.Errorf("connected to %s", c.Endpoint)
	}
}

func TestWakeEndsAWait(t *testing.T) {
	at := refused(t)
	l := start(t, "url: mqtt://"+at+"\nbackoff: {min: 1h, max: 1h}")
	eventually(t, "the wait", func() bool { return l.State().Status == Down && l.State().Attempts == 1 })
	if s := l.State(); !strings.Contains(s.LastError, "connection refused") || time.Until(s.NextTry) < 25*time.Minute {
		t.Errorf("state %+v", s)
	}
	back, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	far := &farSide{Listener: back}
	defer far.Close()
	l.Link.mu.Lock()
	began := l.tried
	l.Link.mu.Unlock()
	for range 100 { // as a network that comes and goes does
		l.Wake()
	}
	p := far.accept(t)
	if since := time.Since(began); since < wakeEvery {
		t.Errorf("tried again after %s: want at least %s between", since, wakeEvery)
	}
	p.welcome(wire.Acceptance{})
	next[connected](t, l.hand)
}

// TestWakeBeginsATryAnew: what hangs in the network of before is given up, but not
// again and again.
func TestWakeBeginsATryAnew(t *testing.T) {
	far := listenFar(t)
	l := start(t, "url: "+far.url+"\nconnect_timeout: 10m")
	far.accept(t).read(wire.Connect) // and says nothing
	l.Link.mu.Lock()
	l.tried = l.tried.Add(-wakeEvery) // as if a second had passed
	l.Link.mu.Unlock()
	l.Wake()
	p := far.accept(t)
	p.read(wire.Connect)
	l.Link.mu.Lock()
	l.tried = l.tried.Add(-wakeEvery)
	l.Link.mu.Unlock()
	l.Wake()
	l.Wake()
	p.write((&wire.Acceptance{Version: 5}).Append(nil)...)
	next[connected](t, l.hand)
}

func TestStopEndsEveryPhase(t *testing.T) {
	far := listenFar(t)
	for name, c := range map[string]struct {
		url   string
		until func(l *running)
	}{
		"waiting": {"mqtt://" + refused(t), func(l *running) {
			eventually(t, "the wait", func() bool { return l.State().Status == Down && l.State().Attempts > 0 })
		}},
		"without CONNACK": {far.url, func(l *running) { far.accept(t).read(wire.Connect) }},
		"in TLS":          {"mqtts://" + far.Addr().String(), func(l *running) { far.accept(t).begun() }},
		"in WebSocket":    {"ws://" + far.Addr().String(), func(l *running) { far.accept(t).begun() }},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, "url: "+c.url+"\nbackoff: {min: 1h, max: 1h}\nconnect_timeout: 10m")
			c.until(l)
			l.stop()
			if s := l.State(); s.Status != Down {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func TestEachStepOfConnectingHasItsTime(t *testing.T) {
	far := listenFar(t)
	for _, scheme := range []string{"mqtt", "mqtts", "ws"} {
		c := parse(t, "url: "+scheme+"://"+far.Addr().String()+"\nconnect_timeout: 100ms")
		r, err := Test(context.Background(), c, Options{Vars: vars})
		if err != nil || r.OK() || !strings.Contains(r.Endpoints[0].Err.Error(), "no answer within 100ms") {
			t.Errorf("%s: %v, %v", scheme, r, err)
		}
	}
}
