package canbus

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/vehicle"
)

// path is one VSS path on its way out: the vehicle's state gets every value,
// the topic those that the mapping's limits let through.
type path struct {
	slot    *vehicle.Slot
	topic   string
	cbor    bool
	broker  Broker
	last    LastValue
	sweeper *sweeper

	mu      sync.Mutex // guards the fields below
	filter  mapping.Filter
	payload []byte // buffer of the last one
	held    bool   // by the sweeper
}

func newPath(name string, publish mapping.Limits, cbor bool, timeout int64, to *outlet) *path {
	p := &path{
		slot:    to.state.Slot(name),
		topic:   "vss/" + strings.ReplaceAll(name, ".", "/"),
		cbor:    cbor,
		broker:  to.broker,
		sweeper: to.sweeper,
		filter:  mapping.NewFilter(publish),
	}
	p.slot.Expire(time.Duration(timeout))
	p.last = to.broker.LastValue(p.topic)
	return p
}

// outlet is where paths put their values.
type outlet struct {
	state   *vehicle.State
	broker  Broker
	sweeper *sweeper
}

// set takes a new value. wait says that the publisher can wait for its readers;
// the error is then that ctx ended first.
func (p *path) set(ctx context.Context, v vehicle.Value, wall, boot int64, wait bool) error {
	p.slot.Set(v, wall, boot)
	p.mu.Lock()
	defer p.mu.Unlock()
	emit, recheckAt := p.filter.Pass(boot, v)
	if recheckAt > 0 && !p.held {
		p.held = true
		p.sweeper.hold(p)
	}
	if !emit {
		return nil
	}
	return p.publish(ctx, v, wall, wait)
}

// publish is called with mu held, so that values leave in the order in which
// they came.
func (p *path) publish(ctx context.Context, v vehicle.Value, wall int64, wait bool) error {
	contentType := contentTypeJSON
	if p.cbor {
		contentType = contentTypeCBOR
		p.payload = appendValueCBOR(p.payload[:0], v, wall)
	} else {
		p.payload = appendValueJSON(p.payload[:0], v, wall)
	}
	if wait {
		return p.broker.PublishWait(ctx, p.topic, p.payload, contentType)
	}
	p.last.Set(p.payload, contentType)
	return nil
}

// due publishes a held value if its time has come and reports whether the
// sweeper is done with the path.
func (p *path) due(boot int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, at, emit := p.filter.Due(boot)
	if emit {
		// at is by CLOCK_BOOTTIME; the payload says when by the wall clock.
		wall := time.Now().UnixNano() - (vehicle.BootNow() - at)
		_ = p.publish(context.Background(), v, wall, false) // fails only when it may wait
	}
	p.held = p.filter.Holds()
	return !p.held
}

// sweepEvery is how late a value that min_interval held back may come out.
const sweepEvery = 10 * time.Millisecond

// sweeper publishes values that min_interval held back once the interval ends.
// One goroutine serves all paths; it sleeps while nothing is held.
type sweeper struct {
	wake chan struct{}

	mu   sync.Mutex // guards the field below
	held []*path    // each at most once: bounded by the number of paths
}

func newSweeper() *sweeper { return &sweeper{wake: make(chan struct{}, 1)} }

func (s *sweeper) hold(p *path) {
	s.mu.Lock()
	s.held = append(s.held, p)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sweeper) run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.sweep(vehicle.BootNow()) > 0 {
			continue
		}
		ticker.Stop()
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		ticker.Reset(sweepEvery)
	}
}

// sweep returns how many paths are still held.
func (s *sweeper) sweep(boot int64) int {
	s.mu.Lock()
	paths := s.held
	s.held = nil
	s.mu.Unlock()
	var still []*path
	for _, p := range paths {
		if !p.due(boot) {
			still = append(still, p)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, still...)
	return len(s.held)
}
