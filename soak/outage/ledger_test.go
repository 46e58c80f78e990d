package outage

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The peer, with its queue as it should be and with one that is too short: the ledger
// has to tell one from the other.
func TestLedgerSeesWhatABridgeLoses(t *testing.T) {
	for name, c := range map[string]struct {
		limit string
		lost  bool
	}{
		"all kept":       {"max_queued_messages 0\n", false},
		"queue of eight": {"max_queued_messages 8\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.local(mosquitto(t), func(port int, dir string) string {
				return strings.Replace(MosquittoBridge(s.network.Address)(port, dir), "max_queued_messages 0\n", c.limit, 1)
			})
			s.publish(PublisherOptions{Topics: []string{"up/a", "up/b"}, Size: 64}, 4)
			s.arrives()
			s.network.Cut()
			s.publisher.Send(200)
			s.settled()
			s.mend()
			if err := s.ledger.AwaitAll(3 * time.Second); c.lost == (err == nil) {
				t.Errorf("waiting for all came to %v", err)
			}
			if faults := s.ledger.Verdict(Promise{}); c.lost != (len(faults) > 0) {
				t.Errorf("the verdict is %q", faults)
			}
		})
	}
}

func TestVerdictNamesEachBrokenPromise(t *testing.T) {
	const topic = "up/a"
	second := instant(time.Second)
	message := func(l *Ledger, sent instant, acked bool, arrivals ...instant) {
		number, _ := l.send(topic, 0)
		p := l.page(topic)
		p.sent[number], p.acked[number] = sent, acked
		for _, at := range arrivals {
			l.arrive(payloadOf(topic, number, 0), fmt.Sprint("id", number))
			p.arrived[number] = at
		}
	}
	for name, c := range map[string]struct {
		promise Promise
		fill    func(*Ledger)
		want    string
	}{
		"kept": {Promise{MessageIDs: true}, func(l *Ledger) {
			message(l, 1, true, second, second)
			message(l, 2, false)
		}, ""},
		"lost":       {Promise{}, func(l *Ledger) { message(l, 1, true) }, "up/a: 1 acknowledged and lost: [0]"},
		"unknown":    {Promise{}, func(l *Ledger) { l.arrive([]byte("what is this"), "") }, "1 messages arrived that nobody had published"},
		"stale":      {Promise{TTL: time.Second}, func(l *Ledger) { message(l, 1, true, 2*second) }, "up/a: 1 older than 1s when they arrived: [0]"},
		"stale, but": {Promise{TTL: time.Second, Late: 2 * time.Second}, func(l *Ledger) { message(l, 1, true, 2*second) }, ""},
		"expired": {Promise{TTL: time.Second}, func(l *Ledger) {
			message(l, 1, true)
			message(l, 2*second, true, 2*second+1)
		}, ""},
		"lost before its time": {Promise{TTL: time.Second}, func(l *Ledger) {
			message(l, second, true)
			message(l, second+1, true, second+2)
		}, "up/a: 1 acknowledged and lost: [0]"},
		"no id": {Promise{MessageIDs: true}, func(l *Ledger) {
			number, payload := l.send(topic, 0)
			l.acknowledge(topic, number, false)
			l.arrive(payload, "")
		}, "up/a: 1 without a message id: [0]"},
		"two ids": {Promise{MessageIDs: true}, func(l *Ledger) {
			_, payload := l.send(topic, 0)
			l.arrive(payload, "one")
			l.arrive(payload, "two")
		}, "up/a: 1 twice, with two message ids: [0]"},
		"order": {Promise{}, func(l *Ledger) {
			_, first := l.send(topic, 0)
			_, second := l.send(topic, 0)
			l.arrive(second, "")
			l.arrive(first, "")
		}, "up/a: 1 out of order: [0]"},
		"oldest dropped": {Promise{Dropped: 2}, func(l *Ledger) {
			message(l, 1, true, 2)
			message(l, 3, true)
			message(l, 4, true)
			message(l, 5, true, 6)
		}, ""},
		"newer dropped": {Promise{Dropped: 2}, func(l *Ledger) {
			message(l, 1, true)
			message(l, 2, true, 3)
			message(l, 4, true)
		}, "up/a: 1 acknowledged and lost although newer than what was dropped: [2]"},
		"more than dropped": {Promise{Dropped: 1}, func(l *Ledger) {
			message(l, 1, true)
			message(l, 2, true)
		}, "2 acknowledged messages are missing, and the spool says it dropped 1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLedger()
			c.fill(l)
			if got := strings.Join(l.Verdict(c.promise), "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
