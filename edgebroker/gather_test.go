package edgebroker

import (
	"fmt"
	"testing"
)

// hearers are clients that get what is published to ivi/n, and have got one
// message of it.
func hearers(t *testing.T, b *Broker, n int) (list []*client, publisher *client) {
	t.Helper()
	for i := range n {
		c := connect(t, b, 4, fmt.Sprint("hears", i))
		c.subscribe("ivi/n", 0)
		list = append(list, c)
	}
	publisher = connect(t, b, 4, "tells")
	publisher.publish(0, 0, "ivi/n", "0")
	for _, c := range list {
		c.expectPublish("ivi/n", "0") // at once: none was written to before
	}
	return list, publisher
}

func resting(b *Broker) int {
	b.gather.mu.Lock()
	defer b.gather.mu.Unlock()
	return len(b.gather.resting)
}

// noRound is long enough that what the clients get, they get without a round.
const noRound = loopback + "  write_delay: 10s\n"

func TestQuickMessagesForManyClientsAreWrittenTogether(t *testing.T) {
	b := start(t, loopback+"  write_delay: 500ms\n")
	list, publisher := hearers(t, b, crowd)
	for i := 1; i <= 3; i++ {
		publisher.publish(0, 0, "ivi/n", fmt.Sprint(i))
	}
	publisher.ping()
	if n := resting(b); n != crowd {
		t.Errorf("%d clients rest, want %d", n, crowd)
	}
	for _, c := range list {
		for i := 1; i <= 3; i++ {
			c.expectPublish("ivi/n", fmt.Sprint(i))
		}
	}
	if n := resting(b); n != 0 {
		t.Errorf("%d clients rest after the round", n)
	}
}

func TestFewClientsAreWrittenToAtOnce(t *testing.T) {
	b := start(t, noRound)
	list, publisher := hearers(t, b, crowd-1)
	for i := range 3 {
		publisher.publish(0, 0, "ivi/n", fmt.Sprint(i))
	}
	publisher.ping()
	if n := resting(b); n != 0 {
		t.Errorf("%d clients rest", n)
	}
	for _, c := range list {
		for i := range 3 {
			c.expectPublish("ivi/n", fmt.Sprint(i))
		}
	}
}

func TestAnswerTakesAlongWhatRests(t *testing.T) {
	b := start(t, noRound)
	list, publisher := hearers(t, b, crowd)
	publisher.publish(0, 0, "ivi/n", "1")
	publisher.ping()
	for _, c := range list {
		c.send(0xC0, 0)
		c.expectPublish("ivi/n", "1")
		if r, err := c.read(); err != nil || r.first != 0xD0 {
			t.Fatalf("got %v, %v: want PINGRESP", r, err)
		}
	}
	if n := resting(b); n != crowd {
		t.Errorf("a round has come: %d rest", n)
	}
}

func TestManyBytesDoNotRest(t *testing.T) {
	b := start(t, noRound)
	list, publisher := hearers(t, b, crowd)
	long := string(make([]byte, gatherBytes))
	for _, payload := range []string{"1", long} {
		publisher.publish(0, 0, "ivi/n", payload)
		publisher.ping()
	}
	for _, c := range list {
		c.expectPublish("ivi/n", "1")
		c.expectPublish("ivi/n", long)
	}
	if n := resting(b); n != crowd {
		t.Errorf("a round has come: %d rest", n)
	}
}

func TestWhatRestsIsWrittenWhenTheBrokerCloses(t *testing.T) {
	b, stop := startOn(t, decode(t, noRound), t.TempDir())
	list, publisher := hearers(t, b, crowd)
	publisher.publish(0, 0, "ivi/n", "last")
	publisher.ping()
	stop()
	for _, c := range list {
		c.expectPublish("ivi/n", "last")
	}
}
