package edgebroker

import (
	"strconv"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

const sharedFilter = "$share/g/ivi/#"

func TestAbsentGroupsQueueGoesToWhoComesFirst(t *testing.T) {
	b := start(t, loopback)
	for _, id := range []string{"a", "b"} {
		c := connect(t, b, 5, id, keep)
		c.subscribe(sharedFilter, 1)
		c.goodbye()
	}
	eventually(t, "absence", func() bool { return b.Stats().Clients == 0 })
	for i := range 10 {
		publish(t, b, "ivi/n", strconv.Itoa(i), 1)
	}
	c := connect(t, b, 5, "b", keep)
	for i := range 10 {
		c.expectPublish("ivi/n", strconv.Itoa(i))
	}
	publish(t, b, "ivi/n", "live", 1)
	c.expectPublish("ivi/n", "live")
	c.goodbye()
	connect(t, b, 5, "a", keep).ping() // nothing is left for the other
}

func TestMemberThatDiesLeavesItsMessagesToTheOthers(t *testing.T) {
	b := start(t, loopback)
	kept := connect(t, b, 5, "kept", keep)
	kept.subscribe(sharedFilter, 2)
	kept.goodbye()
	eventually(t, "absence", func() bool { return b.Stats().Clients == 0 })
	dying := connect(t, b, 5, "dying")
	dying.subscribe(sharedFilter, 2)
	publish(t, b, "ivi/n", "acknowledged", 1)
	dying.expectPublish("ivi/n", "acknowledged")
	publish(t, b, "ivi/n", "once", 2)
	dying.expect(wire.Publish)
	publish(t, b, "ivi/n", "left", 1)
	dying.expect(wire.Publish) // and never acknowledged
	dying.socket.Close()
	eventually(t, "its end", func() bool { return b.Stats().Sessions == 1 })
	kept = connect(t, b, 5, "kept", keep)
	kept.expectPublish("ivi/n", "left") // QoS 2 goes to nobody else [MQTT-4.8.2-5]
	kept.ping()
}

func TestSessionThatEndsLeavesWhatMovedToItToTheOthers(t *testing.T) {
	b := start(t, loopback)
	one, other := connect(t, b, 5, "one", keep), connect(t, b, 5, "other", keep)
	one.subscribe(sharedFilter, 1)
	publish(t, b, "ivi/n", "left", 1)
	one.expect(wire.Publish)
	other.subscribe(sharedFilter, 1)
	one.socket.Close()
	connect(t, b, 5, "one").ping() // a clean start ends the session
	other.expectPublish("ivi/n", "left")
	other.ping()
}

func TestGroupsQueueSurvivesTheProcess(t *testing.T) {
	cfg := decode(t, loopback)
	folder := t.TempDir()
	first, stop := startOn(t, cfg, folder)
	c := connect(t, first, 5, "a", keep)
	c.subscribe(sharedFilter, 1)
	c.goodbye()
	eventually(t, "absence", func() bool { return first.Stats().Clients == 0 })
	for i := range 5 {
		publish(t, first, "ivi/n", strconv.Itoa(i), 1)
	}
	stop()
	second, stop := startOn(t, cfg, folder)
	defer stop()
	c = connect(t, second, 5, "a", keep)
	for i := range 5 {
		c.expectPublish("ivi/n", strconv.Itoa(i))
	}
	c.ping()
}
