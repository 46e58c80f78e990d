package outage

import (
	"fmt"
	"testing"
	"time"
)

// hours is how long the outage is. The gateway is stopped and started in the middle of
// it, in a name space of the kernel's clock that is so much later: for the gateway it
// is the same boot, hours later.
const hours = 5

// Of two rules, the messages of one live an hour: none of them may come. Those of the
// other wait as long as it takes.
func TestOutageOfHoursKeepsWhatLivesAndDropsWhatIsStale(t *testing.T) {
	asRoot(t)
	t.Parallel()
	s := newStage(t)
	config := gateway{rules: []string{
		`{direction: up, local: "up/news", remote: far/news, qos: 1, ttl: 1h}`,
		`{direction: up, local: "up/log", remote: far/log, qos: 1}`,
	}}
	s.drive(config)
	publish := func(id, topic string, messages int) {
		p := NewPublisher(s.ledger, TCP(s.vehicle.Address()), PublisherOptions{ID: id, Topics: []string{topic}, Size: 64})
		defer p.Close()
		p.Send(messages)
		s.must(p.Settled(idle))
	}
	publish("before", "up/news", 10)
	publish("before", "up/log", 10)
	s.emptied()

	s.network.Cut()
	s.state("down", "connecting")
	publish("early", "up/news", 100)
	publish("early", "up/log", 100)
	s.must(s.vehicle.Stop())
	s.vehicle.program = fascia.Within("unshare", "--time", "--boottime", fmt.Sprint(hours*3600), "--")
	s.must(s.vehicle.Start(t.Context()))
	publish("late", "up/news", 100)
	publish("late", "up/log", 100)
	s.mend()
	s.state("up")
	s.must(s.ledger.AwaitArrived(20+300, idle))
	publish("after", "up/news", 10)
	publish("after", "up/log", 10)
	s.must(s.ledger.AwaitArrived(40+300, idle))
	s.judge(Promise{Dropped: 100})
	for number := 10; number < 110; number++ {
		if s.ledger.has("up/news", number) {
			t.Fatalf("message %d came after %d hours, of the one that it had", number, hours)
		}
	}
	if dropped := s.class("normal").dropped(); dropped != 100 {
		t.Errorf("the spool says it dropped %d stale messages, want 100", dropped)
	}
}

// The same by a real clock and with the link's own times: what is left to live is told
// to the far side, and nothing older than its time to live arrives.
func TestNothingStaleArrivesAfterAnOutage(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	s := newStage(t)
	s.drive(gateway{rules: []string{`{direction: up, local: "up/#", remote: "far/${1}", qos: 1, ttl: 2s, message_id: true}`}})
	s.running(100)
	s.passed(20)
	s.network.Cut()
	s.state("down", "connecting")
	s.stuck(500) // five seconds
	s.mend()
	s.state("up")
	s.passed(250)
	s.hush()
	s.emptied()
	s.judge(Promise{TTL: ttl, MessageIDs: true})
	if dropped := s.class("normal").dropped(); dropped < 200 {
		t.Errorf("the spool says it dropped %d stale messages, want about 300", dropped)
	}
}
