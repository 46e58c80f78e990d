package rule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

const ms = clock.Second / 1000

// taken is what of a row of payloads, a millisecond apart, a rule takes on a topic.
func taken(t *testing.T, keys string, payloads ...string) string {
	t.Helper()
	u := compile(t, env(), `{direction: up, local: "#", remote: "x/${1}", `+keys+`}`).Ups()[0]
	var got []string
	for i, text := range payloads {
		if u.Take((&message.Message{Topic: "a", Payload: []byte(text)}).Publication(), clock.Time(i+1)*ms) {
			got = append(got, text)
		}
	}
	return strings.Join(got, " ")
}

func TestThinningOut(t *testing.T) {
	for _, c := range []struct{ keys, in, want string }{
		{"sample: 3", "1 2 3 4 5 6 7", "1 4 7"},
		{"on_change: true", "1 1 2 2 1 1.0", "1 2 1 1.0"},
		{"on_change: true", `{"value":1,"ts":"a"} {"value":1,"ts":"b"} {"ts":"c","value":2}`, `{"value":1,"ts":"a"} {"ts":"c","value":2}`},
		{"on_change: true", `{"ts":"a","value":1} {"ts":"b","value":1}`, `{"ts":"a","value":1}`},
		{"on_change: true", "\x82\x05\x01 \x82\x05\x02 \x82\x06\x03", "\x82\x05\x01 \x82\x06\x03"},
		{"on_change: true", `on on off`, `on off`},
		{"deadband: 0.5", "1 1.5 1.6 1.2 1.1 1.0 -3", "1 1.6 1.0 -3"},
		{"deadband: 0.5", `{"value":1,"ts":"a"} {"value":1.5,"ts":"b"} {"value":1.51,"ts":"c"}`, `{"value":1,"ts":"a"} {"value":1.51,"ts":"c"}`},
		{"deadband: 5", `1 "P" "P" 2 null`, `1 "P" 2 null`},
		{"min_interval: 3ms", "1 2 3 4 5 6", "1 4"},
		{"min_interval: 3ms, on_change: true", "1 2 1 1 2", "1 2"},
		{"sample: 2, on_change: true", "1 2 1 3 2 4", "1 2"},
	} {
		if got := taken(t, c.keys, strings.Split(c.in, " ")...); got != c.want {
			t.Errorf("%s: %q of %q, want %q", c.keys, got, c.in, c.want)
		}
	}
}

func TestRuleLooksAtTheClockItself(t *testing.T) {
	u := compile(t, env(), `{direction: up, local: "a", remote: "b", min_interval: 1h, when: "true"}`).Ups()[0]
	p := (&message.Message{Topic: "a"}).Publication()
	if !u.Take(p, 0) || u.Take(p, 0) {
		t.Error("the second message in an hour is taken, or the first is not")
	}
	if at := u.gate.topic("a").sentAt; at <= 0 || at > clock.Now() {
		t.Errorf("sent at %d", at)
	}
}

func TestTopicsAreThinnedOutEachForItself(t *testing.T) {
	u := compile(t, env(), `{direction: up, local: "#", remote: "x/${1}", on_change: true}`).Ups()[0]
	for _, name := range []string{"a", "b"} {
		p := (&message.Message{Topic: name, Payload: []byte("1")}).Publication()
		if !u.Take(p, 1) || u.Take(p, 2) {
			t.Errorf("topic %s", name)
		}
	}
}

// model is what min_interval promises, for one topic: at most one message in an
// interval, the newest always comes out, and none overtakes.
func TestNewestMessageAlwaysComesOut(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := newGate(thinning{sample: 1, interval: 10 * ms, onChange: seed%2 == 0}, make(chan struct{}, 1))
		now := clock.Second
		var out []string
		var at []clock.Time
		emit := func(p *message.Publication) { out, at = append(out, string(p.Payload)), append(at, now) }
		last := ""
		for range 200 {
			now += clock.Time(r.Int64N(int64(8 * ms)))
			if r.IntN(3) == 0 {
				g.due(now, false, emit)
				continue
			}
			last = fmt.Sprint(r.IntN(4))
			p := (&message.Message{Topic: "a", Payload: []byte(last)}).Publication()
			if g.pass(p, now) == passes {
				emit(p)
			}
		}
		now += 10 * ms
		g.due(now, false, emit)
		if out[len(out)-1] != last {
			t.Fatalf("seed %d: the newest is %q, the last that came out %q", seed, last, out[len(out)-1])
		}
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < 10*ms {
				t.Fatalf("seed %d: two messages %d µs apart", seed, (at[i]-at[i-1])/1000)
			}
			if g.onChange && out[i] == out[i-1] {
				t.Fatalf("seed %d: %q came out twice", seed, out[i])
			}
		}
		if g.heldBytes.Load() != 0 || len(g.holding) != 0 {
			t.Fatalf("seed %d: %d bytes held, %d topics", seed, g.heldBytes.Load(), len(g.holding))
		}
	}
}

func TestNewerMessageDoesNotOvertakeWhatIsOnItsWay(t *testing.T) {
	g := newGate(thinning{sample: 1, interval: 10 * ms}, make(chan struct{}, 1))
	send := func(text string, now clock.Time) outcome {
		return g.pass((&message.Message{Topic: "a", Payload: []byte(text)}).Publication(), now)
	}
	var out []string
	now := clock.Second
	send("1", now)
	send("2", now+ms)
	emit := func(p *message.Publication) {
		out = append(out, string(p.Payload))
		if string(p.Payload) == "2" && send("3", now+100*ms) == passes {
			t.Error("3 went up while 2 was on its way")
		}
	}
	next := g.due(now+10*ms, false, emit)
	g.due(next, false, emit)
	if strings.Join(out, " ") != "2 3" {
		t.Errorf("came out: %v", out)
	}
}

func TestWhatCameMeanwhileAndSaysTheSameIsLeft(t *testing.T) {
	g := newGate(thinning{sample: 1, interval: 10 * ms, onChange: true}, make(chan struct{}, 1))
	send := func(text string, now clock.Time) {
		g.pass((&message.Message{Topic: "a", Payload: []byte(text)}).Publication(), now)
	}
	var out []string
	now := clock.Second
	send("1", now)
	send("2", now+ms)
	emit := func(p *message.Publication) {
		if out = append(out, string(p.Payload)); len(out) == 1 {
			send("2", now+10*ms)
		}
	}
	next := g.due(now+10*ms, false, emit)
	g.due(next, true, emit)
	if strings.Join(out, " ") != "2" || g.heldBytes.Load() != 0 {
		t.Errorf("came out: %v, %d bytes held", out, g.heldBytes.Load())
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	g := newGate(thinning{sample: 1, interval: clock.Second, onChange: true}, make(chan struct{}, 1))
	for i := range maxTopics + 10 {
		p := (&message.Message{Topic: fmt.Sprint("t/", i), Payload: []byte("1")}).Publication()
		for range 2 {
			if out := g.pass(p, 1); i >= maxTopics && out != passes {
				t.Fatalf("topic %d: %d, want it as it is", i, out)
			}
		}
	}
	if len(g.topics) != maxTopics || g.unthinned.Load() != 20 {
		t.Errorf("%d topics, %d as they were", len(g.topics), g.unthinned.Load())
	}
	large := make([]byte, maxHeldBytes/4)
	for i := range 10 {
		large[0] = byte(i)
		p := (&message.Message{Topic: fmt.Sprint("t/", i), Payload: append([]byte(nil), large...)}).Publication()
		g.pass(p, 2)
	}
	if n := g.heldBytes.Load(); n > maxHeldBytes {
		t.Errorf("%d bytes held", n)
	}
	if g.unthinned.Load() != 27 {
		t.Errorf("%d as they were, want 7 more: three were held", g.unthinned.Load())
	}
}

func TestBorrowedMessageIsCopiedToBeHeld(t *testing.T) {
	g := newGate(thinning{sample: 1, interval: clock.Second}, make(chan struct{}, 1))
	buffer := []byte("first")
	p := &message.Publication{Topic: "a", Payload: buffer, Borrowed: true}
	g.pass(p, 1)
	p = &message.Publication{Topic: "a", Payload: buffer, Borrowed: true}
	g.pass(p, 2)
	copy(buffer, "OTHER")
	g.due(1, true, func(p *message.Publication) {
		if string(p.Payload) != "first" {
			t.Errorf("the buffer's next owner shows through: %q", p.Payload)
		}
	})
}

func TestGateIsForManyAtOnce(t *testing.T) {
	s := compile(t, env(), `{direction: up, local: "#", remote: "x/${1}", min_interval: 1us, on_change: true, when: "true"}`)
	u := s.Ups()[0]
	var wait sync.WaitGroup
	for g := range 4 {
		wait.Go(func() {
			for i := range 2000 {
				u.Take((&message.Message{Topic: fmt.Sprint("t/", i%10), Payload: []byte{byte(g), byte(i)}}).Publication(), clock.Now())
			}
		})
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	for {
		s.due(clock.Now(), false, func(*Up, *message.Publication) {})
		select {
		case <-done:
			s.due(clock.Now(), true, func(*Up, *message.Publication) {})
			if u.gate.heldBytes.Load() != 0 {
				t.Errorf("%d bytes held", u.gate.heldBytes.Load())
			}
			return
		default:
		}
	}
}
