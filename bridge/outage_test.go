package bridge

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// An outage with a restart of the gateway in the middle: all that was accepted arrives
// at the far side, in order.
func TestOutageAndRestartLoseNothing(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "far/#")
	text := fmt.Sprintf(`links: [{name: cloud, url: "mqtt://%s", backoff: {min: 20ms, max: 100ms}, rules: [{direction: up, local: "a/#", remote: "far/${1}"}]}]`, m.address)
	folder := t.TempDir()
	var want []string
	say := func(c *car, n int) {
		for range n {
			text := fmt.Sprint(len(want))
			want = append(want, text)
			c.publish(t, "a/x", text)
		}
	}
	c, stop := drive(t, folder, text)
	eventually(t, "the link is up", func() bool { return c.bridge.Status()[0].State == "up" })
	say(c, 200)
	m.stop(t)
	say(c, 200)
	stop()
	c, _ = drive(t, folder, text)
	say(c, 200)
	if n := c.spooled(); n < 400 {
		t.Errorf("%d messages are spooled", n)
	}
	m.start()
	var got []string
	seen := map[string]bool{}
	for len(got) < len(want) {
		if text := string(cloud.next(t).Payload); !seen[text] {
			seen[text] = true
			got = append(got, text)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("out of order: %v", got)
	}
	eventually(t, "the spool is empty", func() bool { return c.spooled() == 0 })
}

// The far side learns from the will that the vehicle has gone, and hears when it is
// back.
func TestFarSideIsToldWhetherTheVehicleIsThere(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "dt/#")
	relay, cut := relayTo(t, m.address)
	text := fmt.Sprintf(`links: [{name: cloud, url: "mqtt://%s", backoff: {min: 20ms, max: 100ms}, will: {topic: "dt/${vin}/link"}}]`, relay)
	drive(t, t.TempDir(), text)
	want := func(payload string) {
		t.Helper()
		if got := cloud.next(t); got.Topic != "dt/KMHGN4JE0FU000001/link" || string(got.Payload) != payload {
			t.Fatalf("%s %s, want %s", got.Topic, got.Payload, payload)
		}
	}
	want(`{"state":"up"}`)
	cut()
	want(`{"state":"down"}`)
	want(`{"state":"up"}`)
}

// relayTo passes connections on to an address; cut ends those there are.
func relayTo(t testing.TB, address string) (relay string, cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var passing sync.WaitGroup
	cut = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			c.Close()
		}
		open = nil
	}
	passing.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			open = append(open, near, far)
			mu.Unlock()
			passing.Go(func() { _, _ = io.Copy(near, far); near.Close() })
			passing.Go(func() { _, _ = io.Copy(far, near); far.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); cut(); passing.Wait() })
	return l.Addr().String(), cut
}

// What the role of the link may not publish, and what no rule takes, is acknowledged and
// goes nowhere; commands behind it arrive.
func TestWhatMayNotComeDownBlocksNothing(t *testing.T) {
	m := farBroker(t, "max_inflight_messages 1")
	cloud := connectFar(t, m.address, "cloud", "none")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(`links: [{name: cloud, url: "mqtt://%s", rules: [{name: all, direction: down, remote: "down/#", local: "${1}"}]}]`, m.address))
	got := make(chan message.Message, 100)
	if _, err := c.Subscribe("#", func(m message.Message) {
		if m.Origin.Link != "" {
			got <- m
		}
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link has subscribed", func() bool { return len(c.store.Get("bridge/cloud/subscribed")) > 2 })
	id := uint16(0)
	for _, topic := range []string{"act/Vehicle/Body/Horn/IsActive", "cabin/driver/lock/set", "cmd/first", "vss/Vehicle/Speed", "cmd/second"} {
		id++
		if _, err := cloud.at.Publish(&link.Publish{ID: id, Message: message.Message{Topic: "down/" + topic, Payload: []byte("x"), QoS: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"cmd/first", "cmd/second"} {
		select {
		case m := <-got:
			if m.Topic != want || m.Origin.Role != "link:cloud" {
				t.Errorf("%s by %+v, want %s", m.Topic, m.Origin, want)
			}
		case <-time.After(patience):
			t.Fatalf("%s did not come", want)
		}
	}
	i := slices.IndexFunc(c.bridge.Status()[0].Rules, func(r RuleStatus) bool { return r.Rule == "all" })
	if r := c.bridge.Status()[0].Rules[i]; r.Messages != 2 || r.Dropped["not_allowed"] != 3 {
		t.Errorf("%+v", r)
	}
}

// Rules change without a message lost or the spool touched; what a rule had taken that
// is gone becomes a dead letter.
func TestRulesChangeUnderwayWithoutLoss(t *testing.T) {
	const text = `links: [{name: cloud, url: "mqtt://127.0.0.1:1", classes: [{name: a}, {name: b}], rules: [%s]}]`
	const one = `{name: one, direction: up, local: "a/#", remote: "%s/${1}", class: %s, way: false}`
	const two = `{name: two, direction: up, local: "b/#", remote: "far/b", way: false}`
	c, _ := driveOff(t, t.TempDir(), fmt.Sprintf(text, fmt.Sprintf(one, "old", "a")+", "+two))
	s := runStage(t, c)
	s.say(t, "a/x", "1")
	s.say(t, "b/x", "lost rule")
	stop, published := make(chan struct{}), make(chan int)
	go func() {
		n := 1
		for {
			select {
			case <-stop:
				published <- n
				return
			default:
				n++
				s.say(t, "a/x", fmt.Sprint(n))
			}
		}
	}()
	for i := range 20 {
		if err := c.bridge.Use(parse(t, fmt.Sprintf(text, fmt.Sprintf(one, "new", string("ab"[i%2]))))); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	n := <-published
	s.connect()
	seen := map[string]bool{}
	for len(seen) < n {
		p := s.at.take(t, 1)[0]
		if !strings.HasPrefix(p.Topic, "new/") {
			t.Fatalf("%s goes to %s", p.Payload, p.Topic)
		}
		seen[string(p.Payload)] = true
		s.answer(0, p)
	}
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
	if letters := s.letters(t); len(letters) != 1 || string(letters[0].Payload) != "lost rule" || !strings.Contains(letters[0].Reason, "not configured") {
		t.Errorf("dead letters: %+v", letters)
	}
}

// A link that is not configured any more leaves its spool in the store, until it is
// purged.
func TestLinkThatIsGoneLeavesItsSpoolUntilItIsPurged(t *testing.T) {
	text := `links: [{name: cloud, url: "mqtt://127.0.0.1:1", ` + oneRule + `}]`
	c, _ := drive(t, t.TempDir(), text)
	c.publish(t, "a/x", "1")
	if err := c.bridge.Use(Config{}); err != nil {
		t.Fatal(err)
	}
	if err := c.bridge.Use(parse(t, text)); err != nil {
		t.Fatal(err)
	}
	if n := c.spooled(); n != 1 {
		t.Errorf("%d messages after it was away, want 1", n)
	}
	if err := c.bridge.Use(Config{}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.bridge.Purge("cloud"); n != 1 || err != nil {
		t.Errorf("purged %d: %v", n, err)
	}
	if _, err := c.bridge.Purge("cloud"); err == nil {
		t.Error("purged twice")
	}
}
