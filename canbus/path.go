package canbus

import (
	"context"
	"math"
	"slices"
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
	broker  Broker
	last    LastValue
	sweeper *sweeper

	mu      sync.Mutex // guards the fields below
	cbor    bool
	filter  mapping.Filter
	payload []byte // buffer of the last one
	held    bool   // by the sweeper
	gone    bool   // no plan feeds it any more
}

// outlet is where paths put their values. It keeps them from plan to plan: of
// two paths of one name the older could publish behind the newer.
type outlet struct {
	state   *vehicle.State
	broker  Broker
	sweeper *sweeper
	paths   map[string]*path // by VSS path; used while a plan is bound, by one at a time
}

func newOutlet(state *vehicle.State, broker Broker) *outlet {
	return &outlet{state: state, broker: broker, sweeper: newSweeper(), paths: map[string]*path{}}
}

// path returns the path of that name, made if need be, with the rules of a plan.
func (to *outlet) path(name string, publish mapping.Limits, cbor bool, timeout int64) *path {
	p := to.paths[name]
	if p == nil {
		p = &path{
			slot:    to.state.Slot(name),
			topic:   "vss/" + strings.ReplaceAll(name, ".", "/"),
			broker:  to.broker,
			sweeper: to.sweeper,
		}
		p.last = to.broker.LastValue(p.topic)
		to.paths[name] = p
	}
	p.slot.Expire(time.Duration(timeout))
	p.use(publish, cbor)
	return p
}

// keep forgets the values of the paths that the plan in use no longer feeds: an
// old speed must not stand there for ever as the last known one.
func (to *outlet) keep(used map[string]bool) {
	for name, p := range to.paths {
		if used[name] {
			continue
		}
		delete(to.paths, name)
		p.forget()
	}
}

// forget ends the path. A frame that is on its way by the old plan sets nothing
// behind it.
func (p *path) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.filter = mapping.Filter{} // what it held back does not come out
	p.slot.Set(vehicle.Value{}, 0, 0)
	p.last.Forget()
}

// use takes over new rules. What the old ones hold back comes out before.
func (p *path) use(publish mapping.Limits, cbor bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(math.MaxInt64)
	p.cbor, p.filter = cbor, mapping.NewFilter(publish)
}

// set takes a new value and publishes it if its time has come.
func (p *path) set(v vehicle.Value, wall, boot int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.take(v, wall, boot) {
		p.publish(v, wall)
	}
}

// setWait is set for a source that can wait for its readers; the error is that
// ctx ended first, or the broker's. It waits without the lock: a reader may be
// setting what this path is computed from, and would never get to reading.
func (p *path) setWait(ctx context.Context, v vehicle.Value, wall, boot int64) error {
	p.mu.Lock()
	if !p.take(v, wall, boot) {
		p.mu.Unlock()
		return nil
	}
	contentType := p.render(v, wall)
	payload := slices.Clone(p.payload)
	p.mu.Unlock()
	return p.broker.PublishWait(ctx, p.topic, payload, contentType)
}

// take makes v the vehicle's value and reports whether to publish it now.
func (p *path) take(v vehicle.Value, wall, boot int64) bool {
	if p.gone {
		return false
	}
	p.slot.Set(v, wall, boot)
	emit, recheckAt := p.filter.Pass(boot, v)
	if recheckAt > 0 && !p.held {
		p.held = true
		p.sweeper.hold(p)
	}
	return emit
}

// publish is called with mu held, so that values leave in the order in which
// they came.
func (p *path) publish(v vehicle.Value, wall int64) {
	contentType := p.render(v, wall)
	p.last.Set(p.payload, contentType)
}

// render makes the payload and returns its content type.
func (p *path) render(v vehicle.Value, wall int64) string {
	if p.cbor {
		p.payload = appendValueCBOR(p.payload[:0], v, wall)
		return contentTypeCBOR
	}
	p.payload = appendValueJSON(p.payload[:0], v, wall)
	return contentTypeJSON
}

// due publishes a held value if its time has come and reports whether the
// sweeper is done with the path.
func (p *path) due(boot int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(boot)
	p.held = p.filter.Holds()
	return !p.held
}

// release publishes a held value that is due; it is called with mu held.
func (p *path) release(boot int64) {
	v, at, emit := p.filter.Due(boot)
	if !emit {
		return
	}
	// at is by CLOCK_BOOTTIME; the payload says when by the wall clock.
	wall := time.Now().UnixNano() - (vehicle.BootNow() - at)
	p.publish(v, wall)
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
