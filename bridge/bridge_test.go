package bridge

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// plain is a link with one rule in each direction.
const plain = `
links:
  - name: cloud
    url: mqtt://%s
    backoff: {min: 20ms, max: 100ms}
    rules:
      - {direction: up, local: "ivi/alerts/#", remote: "dt/demo/g1/${vin}/alerts/${1}", qos: 1}
      - {direction: down, remote: "cmd/demo/g1/${vin}/+", local: "cmd/demo/g1/${vin}/${1}", qos: 1}
`

func TestMessagesCrossTheLinkInBothDirections(t *testing.T) {
	m := farBroker(t, "")
	cloud := connectFar(t, m.address, "cloud", "dt/#")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(plain, m.address))
	c.publish(t, "ivi/alerts/lane", "left")
	if got := cloud.next(t); got.Topic != "dt/demo/g1/KMHGN4JE0FU000001/alerts/lane" || string(got.Payload) != "left" {
		t.Errorf("up: %s %q", got.Topic, got.Payload)
	}
	eventually(t, "the spool is empty", func() bool { return c.spooled() == 0 })

	commands := make(chan message.Message, 1<<16)
	if _, err := c.Subscribe("cmd/#", func(m message.Message) { commands <- m }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command arrives", func() bool {
		cloud.publish(t, message.Message{Topic: "cmd/demo/g1/KMHGN4JE0FU000001/horn", Payload: []byte("on"), QoS: 1})
		select {
		case got := <-commands:
			if got.Origin.Role != "link:cloud" || got.Origin.Link != "cloud" || string(got.Payload) != "on" {
				t.Errorf("down: %+v", got)
			}
			return true
		default:
			return false
		}
	})
}

func TestLinkStateIsRetainedAsDocumented(t *testing.T) {
	m := farBroker(t, "")
	c, _ := drive(t, t.TempDir(), fmt.Sprintf(plain, m.address))
	states := make(chan map[string]any, 1000)
	if _, err := c.Subscribe("link/cloud/state", func(m message.Message) {
		var p map[string]any
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			t.Error(err)
		}
		states <- p
	}); err != nil {
		t.Fatal(err)
	}
	for p := range states {
		if p["state"] != "up" {
			continue
		}
		for _, key := range []string{"since", "rtt_ms", "spool_messages", "spool_bytes", "oldest_s"} {
			if _, there := p[key]; !there {
				t.Errorf("%v: %s is missing", p, key)
			}
		}
		break
	}
	if r, ok := c.state.Get("Link.cloud.up"); !ok || r.Value.String() != "true" {
		t.Errorf("Link.cloud.up is %v", r.Value)
	}
	m.stop(t)
	for p := range states {
		if p["state"] != "up" {
			break
		}
	}
	eventually(t, "Link.cloud.up is false", func() bool {
		r, ok := c.state.Get("Link.cloud.up")
		return ok && r.Value.String() == "false"
	})
}
