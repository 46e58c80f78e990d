package bridge

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/bridge/budget"
	"github.com/fascia-edge/fascia/bridge/spool"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
)

// costEvery is how often what the link costs is counted.
const costEvery = time.Second

// cost counts what a link costs in a month, if it has a budget.
type cost struct {
	worker *worker

	mu      sync.Mutex // guards the fields below
	month   *budget.Month
	limit   config.Size
	counted uint64 // bytes of the link that are in a month, or came before there was one
}

func (c *cost) init(w *worker) { c.worker = w }

// use takes over a budget, nil for none. What was counted stays.
func (c *cost) use(cfg *budget.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case cfg == nil && c.month == nil:
		return
	case cfg == nil:
		c.keep()
		c.month = nil
		return
	case c.month != nil:
		c.month.Use(*cfg)
	default:
		month, err := budget.NewMonth(*cfg, c.worker.options.Keeper, queuePrefix+c.worker.name+"/budget", clock.Now())
		if err != nil {
			c.worker.log.Error("the month's count is lost", "error", err)
		}
		c.month, c.counted = month, c.onTheWire()
	}
	c.limit = cfg.Month
}

func (c *cost) onTheWire() uint64 {
	state := c.worker.link.State()
	return state.BytesIn + state.BytesOut
}

// run counts until ctx ends.
func (c *cost) run(ctx context.Context) {
	tick := time.NewTicker(costEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.count()
		case <-ctx.Done():
			c.count()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.keep()
			return
		}
	}
}

func (c *cost) count() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.month == nil {
		return
	}
	var wall time.Time
	if c.worker.options.Clock.Synchronised() {
		wall = time.Now()
	}
	total := c.onTheWire()
	warn, err := c.month.Count(int64(total-c.counted), clock.Now(), wall)
	c.counted = total
	if err != nil {
		c.worker.log.Error("what the link costs is not kept", "error", err)
	}
	if warn {
		used, since := c.month.Used()
		c.worker.log.Warn("most of the month's budget is used", "used", used, "month", int64(c.limit), "since", since)
	}
}

// keep writes the count. mu is held.
func (c *cost) keep() {
	if c.month == nil {
		return
	}
	if err := c.month.Save(clock.Now()); err != nil {
		c.worker.log.Error("what the link costs is not kept", "error", err)
	}
}

// stops says why nothing of a class may be sent, "" if it may be.
func (c *cost) stops(class string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.month == nil {
		return ""
	}
	return c.month.Stops(class)
}

// status is what the month has cost, nil without a budget.
func (c *cost) status() *BudgetStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.month == nil {
		return nil
	}
	used, since := c.month.Used()
	return &BudgetStatus{Used: used, Month: int64(c.limit), Since: since}
}

// unknownStops are the classes that a budget is to stop and that there are not.
func unknownStops(b *budget.Config, classes []spool.ClassConfig) (unknown []string) {
	for name := range b.Stop {
		if !slices.ContainsFunc(classes, func(c spool.ClassConfig) bool { return c.Name == name }) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
