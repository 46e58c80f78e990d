package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

// bothWays are two links to one far side with a topic that goes up by both and comes
// down by both.
const bothWays = `
links:
  - name: a
    url: mqtt://%[1]s
    client_id: a
    protocol: "%[2]s"
    rules:
      - {name: a-out, direction: up, local: "ivi/chat/+", remote: "chat/${1}"}
  - name: b
    url: mqtt://%[1]s
    client_id: b
    protocol: "%[2]s"
    rules:
      - {name: b-in, direction: down, remote: "chat/+", local: "ivi/chat/${1}"}
`

func TestCircleOverTwoLinksIsRefusedWithoutVersion5(t *testing.T) {
	cfg := parse(t, fmt.Sprintf(bothWays, "cloud", "3.1.1"))
	problems := Check(cfg, Vehicle{}, vehicle.NewState(), nil)
	if len(problems) != 1 || fmt.Sprint(problems[0].Path) != "[links 1 rules 0]" || problems[0].Warning {
		t.Fatalf("got %v, want one error at links[1].rules[0]", problems)
	}
	if text := problems[0].Text; !strings.Contains(text, `"a-out" of link a`) || !strings.Contains(text, `"b-in"`) {
		t.Errorf("%q does not name both rules", text)
	}
	if _, err := New(cfg, Options{State: vehicle.NewState(), Vehicle: Vehicle{Thing: "car"}, Clock: clock.New(clock.TrustAlways), Log: logger(t)}); err == nil || !strings.Contains(err.Error(), "a-out") {
		t.Errorf("the gateway starts with it: %v", err)
	}
	cfg.Links[1].URL = "mqtt://cloud:1884"
	if problems := Check(cfg, Vehicle{}, vehicle.NewState(), nil); len(problems) != 0 {
		t.Errorf("another far side: %v", problems)
	}
	cfg.Links[1].Endpoints = []string{"mqtt://CLOUD:1883"} // as cloud without a port
	if problems := Check(cfg, Vehicle{}, vehicle.NewState(), nil); len(problems) != 1 {
		t.Errorf("the same far side as second endpoint: %v", problems)
	}
}

// What goes up by one link comes down by another to the same broker, and would go up
// again: the way of the message ends it there.
func TestCircleOverTwoLinksEnds(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "chat/#")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(bothWays, m.address, "5"))
	eventually(t, "both links stand", func() bool { return up(c, "a") && up(c, "b") })
	local := 0
	if _, err := c.Subscribe("ivi/chat/+", func(message.Message) { local++ }); err != nil {
		t.Fatal(err)
	}
	loops := func() uint64 {
		for _, link := range c.bridge.Status() {
			for _, r := range link.Rules {
				if r.Rule == "b-in" {
					return r.Dropped["loop"]
				}
			}
		}
		return 0
	}
	for i := range uint64(3) {
		c.publish(t, "ivi/chat/x", fmt.Sprint(i))
		if got := cloud.next(t); string(got.Payload) != fmt.Sprint(i) {
			t.Errorf("the far side has %q, want %d", got.Payload, i)
		}
		eventually(t, "it has come round", func() bool { return loops() > i })
	}
	if local != 3 || len(cloud.got) != 0 {
		t.Errorf("%d messages in the vehicle, %d more at the far side; want 3 and none", local, len(cloud.got))
	}
}

// A link that carries a topic both ways hears nothing of its own (No Local), and what
// others publish there does not go back.
func TestTopicSharedBothWaysDoesNotEcho(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "chat/#")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(`
links:
  - name: cloud
    url: mqtt://%s
    rules:
      - {direction: up, local: "ivi/chat/+", remote: "chat/${1}"}
      - {direction: down, remote: "chat/+", local: "ivi/chat/${1}"}
`, m.address))
	local := make(chan string, 100)
	if _, err := c.Subscribe("ivi/chat/+", func(m message.Message) { local <- string(m.Payload) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the far side is heard", func() bool {
		cloud.publish(t, message.Message{Topic: "chat/x", Payload: []byte("first")})
		select {
		case text := <-local:
			return text == "first"
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
	c.publish(t, "ivi/chat/x", "up")
	cloud.publish(t, message.Message{Topic: "chat/x", Payload: []byte("last")})
	ups := 0
	for {
		text := <-local
		if text == "up" {
			ups++
		}
		if text == "last" {
			break
		}
	}
	eventually(t, "the far side has it", func() bool {
		for len(cloud.got) > 0 {
			switch m := <-cloud.got; string(m.Payload) {
			case "up":
				return true
			case "first", "last": // its own, and nothing that the vehicle has sent back
				if property(m, "fascia-way") != "" {
					t.Errorf("%q has gone back to the far side", m.Payload)
				}
			}
		}
		return false
	})
	if ups != 1 {
		t.Errorf("what the vehicle has published was heard there %d times, want once", ups)
	}
}

func TestFarSideHearsTheAnswerToItsRequest(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "apps/7/answers")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(plain, m.address))
	if _, err := c.Subscribe("cmd/#", func(m message.Message) {
		answer := message.Message{Topic: m.ResponseTopic, Payload: []byte("done"), CorrelationData: m.CorrelationData, QoS: 1}
		if err := c.Publish(answer); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is answered", func() bool {
		cloud.publish(t, message.Message{Topic: "cmd/demo/g1/KMHGN4JE0FU000001/horn", ResponseTopic: "apps/7/answers", CorrelationData: []byte("17"), QoS: 1})
		select {
		case got := <-cloud.got:
			if string(got.Payload) != "done" || string(got.CorrelationData) != "17" {
				t.Errorf("answer: %+v", got)
			}
			return true
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
}

func TestVehicleHearsTheAnswerToItsRequest(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "dt/search")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(`
links:
  - name: cloud
    url: mqtt://%s
    rules:
      - {direction: up, local: "ivi/search", remote: "dt/search", responses: "dt/${vin}/answers"}
`, m.address))
	answers := make(chan message.Message, 10)
	if _, err := c.Subscribe("ivi/app/answers", func(m message.Message) { answers <- m }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link stands", func() bool { return up(c, "cloud") })
	eventually(t, "the request is answered", func() bool {
		c.publish(t, "ivi/search", "parking", func(m *message.Message) {
			m.ResponseTopic, m.CorrelationData = "ivi/app/answers", []byte("1")
		})
		request := cloud.next(t)
		if !strings.HasPrefix(request.ResponseTopic, "dt/KMHGN4JE0FU000001/answers/") {
			t.Fatalf("request at the far side: %+v", request)
		}
		cloud.publish(t, message.Message{Topic: request.ResponseTopic, Payload: []byte("here"), CorrelationData: request.CorrelationData, QoS: 1})
		select {
		case got := <-answers:
			if string(got.Payload) != "here" || string(got.CorrelationData) != "1" {
				t.Errorf("answer: %+v", got)
			}
			return true
		case <-time.After(50 * time.Millisecond):
			return false // the subscription to answers was not there yet
		}
	})
}

func up(c *car, name string) bool {
	for _, link := range c.bridge.Status() {
		if link.Name == name {
			return link.State == "up"
		}
	}
	return false
}

func property(m message.Message, name string) string {
	for _, u := range m.UserProperties {
		if u.Name == name {
			return u.Value
		}
	}
	return ""
}
