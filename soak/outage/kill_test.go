package outage

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The gateway is killed again and again while the link is cut and messages are
// published, and then while they drain: what was acknowledged is with the kernel.
func TestKilledGatewayLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.drive(gateway{})
	s.running(400)
	s.passed(50)
	s.network.Cut()
	kill := func() {
		t.Helper()
		time.Sleep(time.Duration(rand.Int64N(int64(300 * time.Millisecond))))
		s.must(s.vehicle.Kill())
		s.must(s.vehicle.Start(t.Context()))
	}
	for range *killsFlag {
		s.grown(20)
		kill()
	}
	s.mend()
	for range 1 + *killsFlag/5 {
		s.passed(1)
		kill()
	}
	s.kept(Promise{MessageIDs: true})
}
