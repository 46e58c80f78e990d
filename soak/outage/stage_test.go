package outage

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// idle is how long nothing may move before a test gives up: much longer than any
// back-off here.
const idle = 20 * time.Second

// stage is a vehicle, a network and a far side.
type stage struct {
	t         *testing.T
	dir       string
	ledger    *Ledger
	far       *Broker
	network   *Network
	recorder  *Recorder
	vehicle   *Broker
	states    *states
	publisher *Publisher
}

// newStage has a far side that listens and records, and a network that leads there.
func newStage(t *testing.T) *stage {
	s := emptyStage(t)
	s.beyond(Far)
	s.connect(s.far.Address())
	return s
}

func emptyStage(t *testing.T) *stage {
	return &stage{t: t, dir: t.TempDir(), ledger: NewLedger()}
}

// beyond starts the far side and its recorder.
func (s *stage) beyond(config func(port int, dir string) string) {
	s.t.Helper()
	var err error
	s.far, err = NewBroker(mosquitto(s.t), filepath.Join(s.dir, "far"), config)
	s.must(err)
	s.must(s.far.Start(s.t.Context()))
	s.t.Cleanup(func() { s.well(s.far.Stop()) })
	s.recorder, err = Record(s.t.Context(), s.ledger, TCP(s.far.Address()), "far/#")
	s.must(err)
	s.t.Cleanup(s.recorder.Close)
}

// connect makes the network to an address of the far side.
func (s *stage) connect(address string) {
	s.t.Helper()
	var err error
	s.network, err = NewNetwork(address)
	s.must(err)
	s.t.Cleanup(s.network.Close)
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) well(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

// local starts the broker in the vehicle.
func (s *stage) local(program brokers.Broker, config func(port int, dir string) string) {
	s.t.Helper()
	var err error
	s.vehicle, err = NewBroker(program, filepath.Join(s.dir, "vehicle"), config)
	s.must(err)
	s.must(s.vehicle.Start(s.t.Context()))
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the vehicle's broker said:\n%s", s.vehicle.Said())
		}
		s.well(s.vehicle.Stop())
	})
}

// publish starts the publisher with its first messages.
func (s *stage) publish(o PublisherOptions, messages int) {
	s.publisher = NewPublisher(s.ledger, TCP(s.vehicle.Address()), o)
	s.t.Cleanup(s.publisher.Close)
	s.publisher.Send(messages)
}

// settled waits until all that was published is acknowledged.
func (s *stage) settled() {
	s.t.Helper()
	s.must(s.publisher.Settled(idle))
}

// arrives waits until all that was published has arrived.
func (s *stage) arrives() {
	s.t.Helper()
	s.settled()
	s.must(s.ledger.AwaitAll(idle))
}

func (s *stage) mend() {
	s.t.Helper()
	s.must(s.network.Mend())
}
