package outage

import "testing"

// What floods a spool of 64 KiB.
const (
	flood     = 500
	floodSize = 400 // bytes
)

// A spool that has no room for what is published in an outage does what its class
// says, and tells how often.
func TestFullSpoolDropsItsOldestAndSaysHowMany(t *testing.T) {
	t.Parallel()
	s := cutOff(t, gateway{link: "spool: {size: 64KiB}"}, "up/a")
	s.flood("up/b")
	dropped := s.class("normal").dropped()
	if dropped == 0 {
		t.Error("nothing was dropped: nothing was proved")
	}
	s.comesBack("up/a")
	s.emptied()
	s.judge(Promise{MessageIDs: true, Dropped: dropped})
}

func TestFullSpoolRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := cutOff(t, gateway{link: "spool: {size: 64KiB}, classes: [{name: normal, when_full: reject}]"}, "up/a")
	s.flood("up/b")
	counts := s.ledger.Counts()
	if counts.Refused == 0 || counts.Acknowledged < 50 {
		t.Errorf("got %+v: want some acknowledged and the others refused", counts)
	}
	if c := s.class("normal"); c.dropped() > 0 || c.Dropped["refused"] != counts.Refused {
		t.Errorf("a class that refused %d messages tells of %v", counts.Refused, c.Dropped)
	}
	s.comesBack("up/a")
	s.kept(Promise{MessageIDs: true})
}

func TestFullSpoolDropsTheLowestClassFirst(t *testing.T) {
	t.Parallel()
	s := cutOff(t, gateway{
		link: "spool: {size: 320KiB}, classes: [{name: urgent, size: 64KiB, when_full: drop_lowest}, {name: bulk, size: 256KiB}]",
		rules: []string{
			`{direction: up, local: "up/urgent", remote: far/urgent, qos: 1, class: urgent, message_id: true}`,
			`{direction: up, local: "up/bulk", remote: far/bulk, qos: 1, class: bulk, message_id: true}`,
		},
	}, "up/bulk")
	s.flood("up/bulk")
	before := s.class("bulk").dropped()
	s.flood("up/urgent")
	dropped := s.class("bulk").dropped()
	if dropped <= before {
		t.Errorf("of bulk %d messages were dropped, and %d before there was anything urgent", dropped, before)
	}
	if c := s.class("urgent"); c.dropped() > 0 {
		t.Errorf("of urgent %v was dropped while there was bulk", c.Dropped)
	}
	s.comesBack("up/bulk")
	s.emptied()
	s.judge(Promise{MessageIDs: true, Dropped: dropped})
}

// cutOff is a stage whose link was up, and is cut, with nothing in the spool.
func cutOff(t *testing.T, g gateway, topic string) *stage {
	t.Helper()
	s := newStage(t)
	s.drive(g)
	s.running(100, topic)
	s.passed(10)
	s.hush()
	s.emptied() // what arrived and is not acknowledged would count as dropped
	s.network.Cut()
	s.state("down", "connecting")
	return s
}

// flood publishes more than there is room for, and waits for every answer.
func (s *stage) flood(topic string) {
	s.t.Helper()
	p := NewPublisher(s.ledger, TCP(s.vehicle.Address()), PublisherOptions{ID: "flood", Topics: []string{topic}, Size: floodSize})
	defer p.Close()
	p.Send(flood)
	s.must(p.Settled(idle))
}

// comesBack mends the link, and publishes what finds room again.
func (s *stage) comesBack(topic string) {
	s.t.Helper()
	s.mend()
	s.state("up")
	p := NewPublisher(s.ledger, TCP(s.vehicle.Address()), PublisherOptions{ID: "after", Topics: []string{topic}, Size: 64, Rate: 50})
	defer p.Close()
	p.Send(20)
	s.must(p.Settled(idle))
}
