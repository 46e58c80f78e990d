package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/bench/load"
	"github.com/fascia-edge/fascia/soak/outage"
)

// idle is how long nothing may move before a run is given up. The peer's bridge tries
// again every second or two.
const idle = 15 * time.Second

// scene is one run: a far side with a recorder, a network, the local broker and its
// publishers.
type scene struct {
	subject    subject
	ledger     *outage.Ledger
	far        *outage.Broker
	network    *outage.Network
	recorder   *outage.Recorder
	local      *outage.Broker // nil for a bare publisher
	publishers []*outage.Publisher
	idle       uint64 // memory of the local broker when nothing was published yet
}

// open starts everything, and waits until the bridge carries.
func open(ctx context.Context, s subject, far brokers.Broker, dir string) (c *scene, err error) {
	c = &scene{subject: s, ledger: outage.NewLedger()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.far, err = outage.NewBroker(far, filepath.Join(dir, "far"), outage.Far); err != nil {
		return c, err
	}
	if err = c.far.Start(ctx); err != nil {
		return c, err
	}
	if c.recorder, err = outage.Record(ctx, c.ledger, outage.TCP(c.far.Address()), "far/#"); err != nil {
		return c, err
	}
	if c.network, err = outage.NewNetwork(c.far.Address()); err != nil {
		return c, err
	}
	if s.config == nil {
		return c, nil
	}
	if c.local, err = outage.NewBroker(s.program, filepath.Join(dir, "local"), s.config(c.network.Address)); err != nil {
		return c, err
	}
	if err = c.local.Start(ctx); err != nil {
		return c, err
	}
	return c, c.carries()
}

// carries waits until a message gets through, and notes the memory.
func (c *scene) carries() (err error) {
	first := c.publish("first", "up/first", 100, 0)
	first.Send(1)
	if err := c.all(); err != nil {
		return err
	}
	c.idle, err = load.ResidentMemory(c.local.PID())
	return err
}

// publish starts a publisher.
func (c *scene) publish(id, topic string, size, rate int) *outage.Publisher {
	to := c.far
	if c.local != nil {
		to = c.local
	}
	dial := outage.TCP(to.Address())
	if c.local == nil {
		dial = outage.TCP(c.network.Address) // the same way as the bridges go
	}
	p := outage.NewPublisher(c.ledger, dial, outage.PublisherOptions{ID: id, Topics: []string{topic}, Size: size, Rate: rate})
	c.publishers = append(c.publishers, p)
	return p
}

// settled waits until all that was published is acknowledged.
func (c *scene) settled() error {
	for _, p := range c.publishers {
		if err := p.Settled(idle); err != nil {
			return err
		}
	}
	return nil
}

// all waits until all that was published has arrived. What is lost shows in that
// nothing moves any more.
func (c *scene) all() error {
	if err := c.settled(); err != nil {
		return err
	}
	return c.ledger.AwaitArrived(c.ledger.Counts().Acknowledged, idle)
}

// memory is what the local broker has more than when it was idle.
func (c *scene) memory() (float64, error) {
	now, err := load.ResidentMemory(c.local.PID())
	return float64(now) - float64(c.idle), err
}

func (c *scene) close() (err error) {
	for _, p := range c.publishers {
		p.Close()
	}
	if c.recorder != nil {
		c.recorder.Close()
	}
	if c.network != nil {
		c.network.Close()
	}
	for _, broker := range []*outage.Broker{c.local, c.far} {
		if broker != nil {
			err = errors.Join(err, broker.Stop())
		}
	}
	return err
}

// peak looks at the memory of a process until it is told to stop, and gives the most.
func peak(pid int) (stop func() uint64) {
	quit, most := make(chan struct{}), make(chan uint64)
	go func() {
		var seen uint64
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if now, err := load.ResidentMemory(pid); err == nil { // else it has just ended
					seen = max(seen, now)
				}
			case <-quit:
				most <- seen
				return
			}
		}
	}()
	return func() uint64 {
		close(quit)
		return <-most
	}
}
