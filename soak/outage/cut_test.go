package outage

import (
	"testing"
	"time"
)

// Each case disturbs the network while messages are published at a steady rate; after
// it the network is whole again. What has to hold is the same for all.
func TestNothingIsLostOnALinkThatFails(t *testing.T) {
	const (
		usual = ""
		// hasty is what notices a dead connection within the time of a test.
		hasty = "keep_alive: 1s, ping_timeout: 1s"
	)
	for name, c := range map[string]struct {
		link    string
		disturb func(*stage)
	}{
		"cut for seconds":           {usual, cutForSeconds},
		"cut for long":              {usual, cutForLong},
		"half-open":                 {hasty, halfOpen},
		"3 s latency":               {usual, slowAnswers},
		"10 kbit per s":             {hasty, narrow},
		"ends in middle of packets": {usual, torn},
		"reset":                     {usual, reset},
		"flaps":                     {usual, flaps},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.drive(gateway{link: c.link})
			s.state("up")
			s.running(100)
			s.passed(20)
			c.disturb(s)
			s.kept(Promise{MessageIDs: true})
		})
	}
}

func cutForSeconds(s *stage) {
	for range 2 {
		s.network.Cut()
		s.state("down", "connecting")
		s.stuck(150)
		s.mend()
		s.state("up")
		s.passed(200)
	}
}

// cutForLong has more in the spool than any window, buffer or ring would hold. Hours
// are TestOutageOfHours.
func cutForLong(s *stage) {
	backlog := 5_000
	if *longFlag {
		backlog = 200_000
	}
	s.network.Cut()
	flood := NewPublisher(s.ledger, TCP(s.vehicle.Address()), PublisherOptions{ID: "flood", Topics: []string{"up/c"}, Size: 200})
	s.t.Cleanup(flood.Close)
	flood.Send(backlog)
	s.must(flood.Settled(idle))
	s.mend()
}

// halfOpen is a tunnel without an end of the connection: the vehicle has to notice by
// itself that nobody answers.
func halfOpen(s *stage) {
	s.must(s.network.Blackhole())
	s.state("down", "connecting")
	s.stuck(50)
	s.must(s.network.Calm())
	s.state("up")
	s.passed(50)
}

// slowAnswers has a round trip of three seconds: slow is not dead, and nothing is paid
// for twice.
func slowAnswers(s *stage) {
	s.must(s.network.Delay(1500))
	s.passed(250)
	s.state("up")
	if again := s.ledger.Counts().Again; again > 0 {
		s.t.Errorf("%d messages were paid for twice", again)
	}
	s.must(s.network.Calm())
}

// narrow gives the spool more than a second's worth of what gets through, so that what
// was written lies before every ping. A byte that gets through is a sign of life.
func narrow(s *stage) {
	s.hush()
	s.must(s.network.Narrow(1))
	before := s.ledger.Counts().Again
	messages := 60
	if *longFlag {
		messages = 1200
	}
	s.publisher.Send(messages)
	s.passed(messages)
	if again := s.ledger.Counts().Again - before; again > messages/4 {
		s.t.Errorf("of %d messages %d were paid for twice", messages, again)
	}
	s.must(s.network.Calm())
}

// torn ends connections after ever more bytes, so that some end in the middle of
// CONNECT, some between two packets and most in a PUBLISH.
func torn(s *stage) {
	rounds := 30
	if *longFlag {
		rounds = 500
	}
	for round := range rounds {
		s.must(s.network.Tear(20 + 37*round))
		s.grown(5)
		s.must(s.network.Calm())
		s.grown(2)
	}
	s.state("up")
}

func reset(s *stage) {
	rounds := 15
	if *longFlag {
		rounds = 300
	}
	for range rounds {
		s.must(s.network.Reset())
		s.grown(5)
		s.must(s.network.Calm())
		s.grown(2)
	}
	s.state("up")
}

// flaps lets the link come and go, sometimes before it could connect.
func flaps(s *stage) {
	for flap := range *flapsFlag {
		s.network.Cut()
		time.Sleep(time.Duration(flap%5) * 5 * time.Millisecond)
		s.mend()
		time.Sleep(time.Duration(flap%7) * 20 * time.Millisecond)
	}
	s.state("up")
}
