package outage

import "testing"

// The far side ends in mid-stream and keeps its sessions: with it, what it had
// acknowledged.
func TestNothingIsLostWhenTheFarSideRestarts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.drive(gateway{})
	s.running(200)
	for range 3 {
		s.passed(50)
		s.must(s.far.Stop())
		s.grown(50)
		s.must(s.far.Start(t.Context()))
	}
	s.passed(50)
	s.kept(Promise{MessageIDs: true})
}

// The far side comes back and knows nobody: what was under way to it when the link was
// cut has to be sent again, under a new session.
func TestNothingIsLostWhenTheFarSideForgetsTheSession(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.drive(gateway{})
	s.running(500)
	for range 3 {
		s.passed(50)
		s.network.Cut() // with messages on their way
		s.state("down", "connecting")
		// What it has acknowledged must have reached the recorder: it is about to forget it.
		s.must(s.recorder.Echo(t.Context()))
		s.must(s.far.Stop())
		s.must(Forget(s.far))
		s.must(s.far.Start(t.Context()))
		s.must(s.recorder.Subscribed(t.Context()))
		s.mend()
	}
	s.passed(50)
	s.kept(Promise{MessageIDs: true})
}
