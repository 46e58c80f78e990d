package listen

import (
	"sync"
	"time"
)

// sparePlaces are for connections over a limit that are told so.
const sparePlaces = 16

// Limit is a limit that a connection is over.
type Limit uint8

// The limits on connections. NoLimit is none of them.
const (
	NoLimit       Limit = iota
	AllListeners        // Options.Connections
	OneListener         // Config.MaxConnections
	ConnectRate         // Config.ConnectRate
	limitsCounted       // how many values there are
)

// String is the limit's name in metrics and logs.
func (l Limit) String() string {
	return [...]string{"none", "connections", "listener_connections", "connect_rate"}[l]
}

// places are the connections that there may be at once. One that finds a limit
// reached gets a spare place, if there is one, so that it can be told.
type places struct {
	limit int // over all listeners

	mu     sync.Mutex // guards what follows, and the listeners' held and pace
	held   int
	spares int
}

// enter takes a place for a connection to l. When a limit is in its way, over
// names it, and ok says whether the connection has a spare place; over the rate
// it has none with TLS, since telling it would cost the handshake that the rate
// is there to save. wait is how long the connection has to be held back.
func (p *places) enter(l *listener, now time.Time) (wait time.Duration, over Limit, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if over = p.take(l); over == NoLimit {
		if wait, ok = l.pace.next(now); ok {
			return wait, NoLimit, true
		}
		p.give(l)
		over = ConnectRate
	}
	if p.spares == sparePlaces || over == ConnectRate && l.certs != nil {
		return 0, over, false
	}
	p.spares++
	return 0, over, true
}

// retry takes a place for a connection that has a spare one.
func (p *places) retry(l *listener) (over Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if over = p.take(l); over == NoLimit {
		p.spares--
	}
	return over
}

func (p *places) take(l *listener) Limit {
	switch {
	case p.held >= p.limit:
		return AllListeners
	case l.cfg.MaxConnections > 0 && l.held >= l.cfg.MaxConnections:
		return OneListener
	}
	p.held++
	l.held++
	return NoLimit
}

func (p *places) give(l *listener) {
	p.held--
	l.held--
}

// leave gives back the place of a connection, a spare one if it is over a limit.
func (p *places) leave(l *listener, over Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if over == NoLimit {
		p.give(l)
		return
	}
	p.spares--
}

// open is how many connections there are.
func (p *places) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held + p.spares
}

// pace is how fast connections may come. Those of a burst may come at once; then
// one that is early is held back, no longer than hold, and more are over the limit.
type pace struct {
	interval time.Duration // between two connections, 0 for any
	burst    time.Duration // whose connections may come at once
	hold     time.Duration
	due      time.Time // of the next connection, were they all in step
}

// newPace is that of Config.ConnectRate: no more are held back than come in a
// second.
func newPace(perSecond int) pace {
	if perSecond == 0 {
		return pace{}
	}
	return pace{interval: time.Second / time.Duration(perSecond), burst: 2 * time.Second, hold: time.Second}
}

// acceptPace is how fast connections are taken from a socket's queue, where the
// rest wait. A thousand that come at once take a second in place of the processor,
// and four with TLS, whose handshakes cost much more.
func acceptPace(tls bool) pace {
	p := pace{interval: time.Millisecond, hold: time.Hour}
	if tls {
		p.interval *= 4
	}
	p.burst = 16 * p.interval
	return p
}

// next lets a connection through after wait, or not at all.
func (p *pace) next(now time.Time) (wait time.Duration, ok bool) {
	if p.interval == 0 {
		return 0, true
	}
	due := p.due
	if first := now.Add(-p.burst); due.Before(first) {
		due = first
	}
	wait = due.Sub(now)
	if wait > p.hold {
		return 0, false
	}
	p.due = due.Add(p.interval)
	return max(wait, 0), true
}
