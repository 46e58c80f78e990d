package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// stage is a vehicle whose link is played by the test: the broker, the store and the
// sender are real, and the far side says what no real one can be brought to say.
type stage struct {
	*car
	w       *worker
	present bool // the far side keeps the session
	window  int  // Receive Maximum; 0 for any
	at      *played
}

// played is one connection to the far side that the test plays.
type played struct {
	mu    sync.Mutex // guards the fields below
	sent  []link.Publish
	woken chan struct{}
	limit int // bytes of a packet; 0 for any
	ended bool
}

func (p *played) Publish(m *link.Publish) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := len(m.Topic) + len(m.Payload) + 10
	switch {
	case p.ended:
		return 0, errors.New("the connection is lost")
	case p.limit > 0 && size > p.limit:
		return 0, fmt.Errorf("%w: %d bytes", link.ErrTooLarge, size)
	}
	p.sent = append(p.sent, *m)
	select {
	case p.woken <- struct{}{}:
	default:
	}
	return size, nil
}

func (p *played) Subscribe(context.Context, []link.Subscription) ([]byte, error) {
	return nil, errors.New("not played")
}

func (p *played) Unsubscribe(context.Context, []string) error { return errors.New("not played") }

// take waits for the next n packets.
func (p *played) take(t testing.TB, n int) []link.Publish {
	t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		if len(p.sent) >= n {
			list := slices.Clone(p.sent[:n])
			p.sent = p.sent[n:]
			p.mu.Unlock()
			return list
		}
		p.mu.Unlock()
		select {
		case <-p.woken:
		case <-deadline:
			t.Fatalf("%d packets were not sent within %s: %v", n, patience, texts(p.sent))
		}
	}
}

// nothing holds that no packet waits, once the sender has had time to send one.
func (p *played) nothing(t testing.TB) {
	t.Helper()
	time.Sleep(30 * time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) > 0 {
		t.Errorf("sent too early: %v", texts(p.sent))
	}
}

// texts are the payloads of packets.
func texts(list []link.Publish) (payloads []string) {
	for _, p := range list {
		payloads = append(payloads, string(p.Payload))
	}
	return payloads
}

// perform begins a stage. text is what stands under the link but its name and address.
func perform(t testing.TB, text string) *stage { return performOn(t, t.TempDir(), text) }

func performOn(t testing.TB, folder, text string) *stage {
	t.Helper()
	c, _ := driveOff(t, folder, "links: [{name: cloud, url: \"mqtt://127.0.0.1:1\", "+text+"}]")
	return runStage(t, c)
}

// runStage runs the sender of a car that does not go to its far side.
func runStage(t testing.TB, c *car) *stage {
	s := &stage{car: c, w: c.bridge.workers[0]}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.w.sender.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s
}

// connect begins a connection.
func (s *stage) connect() *played {
	s.at = &played{woken: make(chan struct{}, 1)}
	s.w.sender.Connected(s.at, link.Session{Version: 5, Present: s.present, MaximumQoS: 2, RetainAvailable: true, ReceiveMaximum: s.window})
	return s.at
}

// lose ends it.
func (s *stage) lose() {
	s.at.mu.Lock()
	s.at.ended = true
	s.at.mu.Unlock()
	s.w.sender.Lost(errors.New("cut"))
}

// answer acknowledges packets with a reason code.
func (s *stage) answer(code byte, list ...link.Publish) {
	for _, p := range list {
		s.w.sender.Acknowledged(p.ID, code, "")
	}
}

// say publishes payloads on a topic.
func (s *stage) say(t testing.TB, topic string, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		s.publish(t, topic, p)
	}
}

func (s *stage) letters(t testing.TB) (list []DeadLetter) {
	t.Helper()
	if err := s.bridge.Dead("cloud", 0, func(d DeadLetter) bool { list = append(list, d); return true }); err != nil {
		t.Fatal(err)
	}
	return list
}

// wantSent holds that these payloads are sent next, in this order.
func (s *stage) wantSent(t testing.TB, want ...string) []link.Publish {
	t.Helper()
	got := s.at.take(t, len(want))
	if !slices.Equal(texts(got), want) {
		t.Fatalf("sent %v, want %v", texts(got), want)
	}
	return got
}

func atQoS0(m *message.Message) { m.QoS = 0 }
