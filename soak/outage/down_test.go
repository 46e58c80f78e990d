package outage

import (
	"path/filepath"
	"testing"
)

// Downward the gateway is the subscriber: what the far side accepted for it comes to a
// session in the vehicle, over cuts of the link and kills of the gateway. It
// acknowledges only what is stored.
func TestNothingIsLostDownward(t *testing.T) {
	t.Parallel()
	s := emptyStage(t)
	var err error
	s.far, err = NewBroker(mosquitto(t), filepath.Join(s.dir, "far"), Far)
	s.must(err)
	s.must(s.far.Start(t.Context()))
	t.Cleanup(func() { s.well(s.far.Stop()) })
	s.connect(s.far.Address())
	s.drive(gateway{rules: []string{`{direction: down, remote: "down/+", local: "cloud/far/${1}", qos: 1}`}})
	s.recorder, err = Record(t.Context(), s.ledger, TCP(s.vehicle.Address()), "cloud/far/#")
	s.must(err)
	t.Cleanup(s.recorder.Close)
	s.state("up")

	s.publisher = NewPublisher(s.ledger, TCP(s.far.Address()), PublisherOptions{ID: "cloud", Topics: []string{"down/a", "down/b"}, Size: 64, Rate: 200})
	t.Cleanup(s.publisher.Close)
	s.publisher.Send(1 << 30)
	for range 3 {
		s.passed(50)
		s.network.Cut()
		s.state("down", "connecting")
		s.grown(50)
		s.mend()
		s.passed(50)
		s.must(s.vehicle.Kill())
		s.grown(50)
		s.must(s.vehicle.Start(t.Context()))
	}
	s.passed(50)
	s.kept(Promise{})
}
