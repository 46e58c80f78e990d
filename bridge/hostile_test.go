package bridge

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Who asks across a link names where the answer is published, by the link's role: it
// must not reach what the asker itself may not publish on.
func TestAnswerGoesOnlyWhereTheAskerMayPublish(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "dt/search")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(`
links:
  - name: cloud
    url: mqtt://%s
    rules:
      - {name: search, direction: up, local: "ivi/search", remote: "dt/search", responses: "dt/${vin}/answers"}
`, m.address))
	heard := make(chan message.Message, 10)
	for _, filter := range []string{"cmd/#", "ivi/app/#"} {
		if _, err := c.Subscribe(filter, func(m message.Message) { heard <- m }); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the link has subscribed", func() bool { return len(c.store.Get("bridge/cloud/subscribed")) > 2 })
	ask := func(where string) message.Message {
		c.publish(t, "ivi/search", "?", func(m *message.Message) {
			m.ResponseTopic, m.Origin = where, message.Origin{Client: "app", Role: "local"}
		})
		return cloud.next(t)
	}
	answer := func(id uint16, request message.Message, text string) {
		if _, err := cloud.at.Publish(&link.Publish{ID: id, Message: message.Message{Topic: request.ResponseTopic, Payload: []byte(text), QoS: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	answer(1, ask("cmd/demo/g1/KMHGN4JE0FU000001/ride"), "forged") // the link's role may, the asker's may not
	answer(2, ask("ivi/app/answers"), "right")
	if got := <-heard; got.Topic != "ivi/app/answers" || string(got.Payload) != "right" {
		t.Errorf("%s came on %s", got.Payload, got.Topic)
	}
	for _, r := range c.bridge.Status()[0].Rules {
		if strings.HasPrefix(r.Rule, "answers on") && (r.Messages != 1 || r.Dropped["not_allowed"] != 1) {
			t.Errorf("%+v", r)
		}
	}
}

// A far side with thousands of retained messages sends them all at once, when a rule
// subscribes.
func TestThousandsOfRetainedMessagesArrive(t *testing.T) {
	const n = 3000
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "last")
	for i := range n {
		cloud.publish(t, message.Message{Topic: fmt.Sprint("settings/", i), Payload: []byte("x"), Retain: true})
	}
	cloud.publish(t, message.Message{Topic: "last"})
	cloud.next(t)
	c, _ := driveOff(t, t.TempDir(), fmt.Sprintf(`links: [{name: cloud, url: "mqtt://%s", rules: [{direction: down, remote: "settings/+", local: "ivi/settings/${1}"}]}]`, m.address))
	var got atomic.Int64
	if _, err := c.Subscribe("ivi/settings/+", func(message.Message) { got.Add(1) }); err != nil {
		t.Fatal(err)
	}
	c.bridge.Start(context.Background())
	eventually(t, "all have come", func() bool { return got.Load() == n })
	if st := c.bridge.Status()[0]; len(st.Ignored) > 0 {
		t.Errorf("ignored: %v", st.Ignored)
	}
}

func TestAnswersToWhatWasNotSentEndNothing(t *testing.T) {
	s := perform(t, `rules: [{name: all, direction: up, local: "a/#", remote: "far/${1}"}]`)
	s.connect()
	s.say(t, "a/x", "1", "2")
	sent := s.wantSent(t, "1", "2")
	for _, id := range []uint16{0, 99, 100, 101, link.MaxID, 65535} {
		for _, code := range []byte{0, 0x10, 0x87, 0x97, 0xFF} {
			s.w.sender.Acknowledged(id, code, "")
		}
	}
	s.at.nothing(t)
	if n := s.spooled(); n != 2 || len(s.letters(t)) != 0 {
		t.Errorf("%d wait, want 2; %d dead letters", n, len(s.letters(t)))
	}
	s.answer(0, sent...)
	s.answer(0x87, sent...) // once more, and no
	s.say(t, "a/x", "3")
	s.answer(0, s.wantSent(t, "3")...)
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
	if letters := s.letters(t); len(letters) != 0 {
		t.Errorf("dead letters of what was taken: %+v", letters)
	}
}

// What a client in the vehicle makes up harms its own messages alone.
func TestHostileClientHoldsUpNobody(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "dt/#")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(`
links:
  - name: cloud
    url: mqtt://%s
    rules:
      - {direction: up, local: "ivi/#", remote: "dt/demo/car/${vin}/of/the/vehicle/${1}", message_id: true}
`, m.address))
	with := func(name, value string) func(*message.Message) {
		return func(m *message.Message) {
			m.UserProperties = append(m.UserProperties, message.UserProperty{Name: name, Value: value})
		}
	}
	c.publish(t, "ivi/"+strings.Repeat("x", 65_500), "its topic has no room for the prefix")
	c.publish(t, "ivi/way", "its way is longer than any", with("fascia-way", strings.Repeat("x", 65_530)))
	c.publish(t, "ivi/hops", "it has come far", with("fascia-way", strings.Repeat("x,", 30_000)))
	c.publish(t, "ivi/lie", "who sent it", with("vin", "WVWZZZ1JZXW000001"), with("vin", "WVWZZZ1JZXW000002"), with("message-id", "17"), with("fascia-way", "short"))
	c.publish(t, "ivi/next", "not held up")

	lie := cloud.next(t)
	count := map[string]int{}
	for _, u := range lie.UserProperties {
		count[u.Name]++
	}
	if count["vin"] != 1 || property(lie, "vin") != "KMHGN4JE0FU000001" || count["message-id"] != 1 || property(lie, "message-id") == "17" || !strings.HasPrefix(property(lie, "fascia-way"), "short,") {
		t.Errorf("at the far side: %+v", lie.UserProperties)
	}
	if next := cloud.next(t); string(next.Payload) != "not held up" {
		t.Errorf("then came %q", next.Payload)
	}
	st := c.bridge.Status()[0]
	if st.Dead.Messages != 1 || st.Rules[0].Dropped["loop"] != 2 {
		t.Errorf("%d dead letters, want 1; dropped %v", st.Dead.Messages, st.Rules[0].Dropped)
	}
}
