package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/bench/load"
	"github.com/fascia-edge/fascia/soak/outage"
)

// row is a scenario, the subjects that it is of, and the figures that it gives.
type row struct {
	name     string
	subjects []string
	scenario func(ctx context.Context, c *scene) (map[string]float64, error)
	figures  []figure
}

// String is the name that -rows has for it.
func (r row) String() string { return r.name }

// run opens a scene for the scenario and closes it.
func (r *row) run(ctx context.Context, s subject, far brokers.Broker, dir string) (map[string]float64, error) {
	c, err := open(ctx, s, far, dir)
	if err != nil {
		return nil, err
	}
	figures, err := r.scenario(ctx, c)
	return figures, errors.Join(err, c.close())
}

// publishers is how many publish side by side in the vehicle.
const publishers = 4

// allRows are the rows of the comparison.
func allRows(o options) []row {
	bridges := []string{peer, ours}
	return []row{
		{"outage", []string{peer, ours, none}, inOutage(o.messages, o.size, (*outage.Broker).Stop), []figure{
			{"lost", fmt.Sprintf("%d messages in an outage, local broker restarted: acknowledged and lost", o.messages), count, 1, most(0)},
			{"twice", "the same: came twice", count, 1, goal{}},
			{"acknowledged", "the same: acknowledged while the link was cut", perSecond, 1, goal{}},
			{"drained", "the same: drained", perSecond, 1, ofBare(.8, 1)},
			{"cpu", "the same: CPU of the local broker a message while it drains", micros, 1e6, goal{}},
			{"held", "the same: memory above idle before it drains", mebi, 1e-6, goal{}},
			{"peak", "the same: most memory above idle while it drains", mebi, 1e-6, goal{}},
		}},
		{"killed", bridges, inOutage(o.messages, o.size, (*outage.Broker).Kill), []figure{
			{"lost", "the same with kill -9 in place of the restart: acknowledged and lost", count, 1, most(0)},
			{"twice", "the same: came twice", count, 1, goal{}},
		}},
		{"latency", bridges, atRate(o.rate, o.size, o.duration), []figure{
			{"p99", fmt.Sprintf("local publish to far subscriber, %d/s: p99", o.rate), millis, 1e3, within(10, 3)},
			{"p50", "the same: median", millis, 1e3, goal{}},
		}},
		{"backlog", bridges, inOutage(o.backlog, o.size, nil), []figure{
			{"held", fmt.Sprintf("backlog of %d: memory above idle", o.backlog), mebi, 1e-6, within(32, 16)},
			{"peak", "the same: most while it drains", mebi, 1e-6, goal{}},
			{"drained", "the same: drained", perSecond, 1, goal{}},
			{"lost", "the same: acknowledged and lost", count, 1, most(0)},
		}},
		{"up", bridges, comesUp, []figure{
			{"first", "network up to first message", millis, 1e3, within(1000, 200)},
		}},
	}
}

// inOutage publishes in an outage, ends and starts the local broker in the middle
// unless end is nil, and lets the link come back.
func inOutage(messages, size int, end func(*outage.Broker) error) func(context.Context, *scene) (map[string]float64, error) {
	return func(ctx context.Context, c *scene) (map[string]float64, error) {
		if c.local == nil {
			return c.flatOut(messages, size)
		}
		figures := make(map[string]float64)
		c.network.Cut()
		began, before := c.ledger.Now(), c.ledger.Counts()
		for i := range publishers {
			c.publish(fmt.Sprintf("publisher-%d", i), fmt.Sprintf("up/%d", i), size, 0).Send(messages / publishers)
		}
		if end != nil {
			if err := c.ledger.AwaitAcknowledged(before.Acknowledged+messages/2, idle); err != nil {
				return nil, err
			}
			if err := errors.Join(end(c.local), c.local.Start(ctx)); err != nil {
				return nil, err
			}
		}
		if err := c.settled(); err != nil {
			return nil, err
		}
		figures["acknowledged"] = float64(messages) / (c.ledger.Now() - began).Seconds()
		held, err := c.memory()
		if err != nil {
			return nil, err
		}
		figures["held"] = held

		most := peak(c.local.PID())
		spent, err := load.CPUTime(c.local.PID())
		if err != nil {
			return nil, err
		}
		back := c.ledger.Now()
		err = c.comeBack(ctx)
		if err == nil {
			_ = c.all() // what is lost makes it wait in vain, and is counted next
		}
		figures["peak"] = float64(most()) - float64(c.idle)
		came := c.ledger.Came(back)
		figures["drained"] = came.Rate()
		if now, err := load.CPUTime(c.local.PID()); err == nil { // else it has ended, which close tells
			figures["cpu"] = (now - spent).Seconds() / float64(came.Messages)
		}
		figures["lost"] = float64(c.ledger.Missing())
		figures["twice"] = float64(c.ledger.Counts().Again)
		return figures, err
	}
}

// flatOut is what the far side takes from one publisher by the same way.
func (c *scene) flatOut(messages, size int) (map[string]float64, error) {
	p := c.publish("bare", "far/bare", size, 0)
	p.Send(messages)
	err := c.all()
	return map[string]float64{"drained": c.ledger.Came(0).Rate()}, err
}

// comeBack mends the link, and says so to a bridge that listens.
func (c *scene) comeBack(ctx context.Context) error {
	if err := c.network.Mend(); err != nil {
		return err
	}
	if c.subject.wake == nil {
		return nil
	}
	return c.subject.wake(ctx, c.local.Dir)
}

// atRate publishes at a rate over a link that stands.
func atRate(rate, size int, d time.Duration) func(context.Context, *scene) (map[string]float64, error) {
	return func(_ context.Context, c *scene) (map[string]float64, error) {
		const warm = time.Second
		began := c.ledger.Now()
		p := c.publish("steady", "up/steady", size, rate)
		p.Send(int(float64(rate) * (warm + d).Seconds()))
		if err := c.all(); err != nil {
			return nil, err
		}
		came := c.ledger.Came(began + warm)
		return map[string]float64{"p99": came.Percentile(99).Seconds(), "p50": came.Percentile(50).Seconds()}, nil
	}
}

// comesUp ends an outage of some seconds, in which the bridge has tried in vain.
func comesUp(ctx context.Context, c *scene) (map[string]float64, error) {
	c.network.Cut()
	p := c.publish("waits", "up/waits", 100, 0)
	p.Send(10)
	if err := c.settled(); err != nil {
		return nil, err
	}
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	back := c.ledger.Now()
	if err := c.comeBack(ctx); err != nil {
		return nil, err
	}
	if err := c.all(); err != nil {
		return nil, err
	}
	return map[string]float64{"first": c.ledger.Came(back).First.Seconds()}, nil
}
