package link

import (
	"sync"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

const (
	// slowest is the slowest network that still counts as alive, in bytes a second: an
	// answer may be late by what stands before it in the queues on the way, of a proxy
	// for example, which confirms what it has not yet passed on.
	slowest = 1000
	// latest is how much later an answer may be for that.
	latest = 5 * 60 * clock.Second
	// looks is the longest time between looks at the clock: timers stand still while
	// the machine sleeps, and a connection that slept through its keep-alive is dead.
	looks = 15 * time.Second
)

// pulse tells whether a connection lives: when a ping is due, and when an answer has
// been out for too long. It also measures the round-trip time. It is safe for
// concurrent use.
type pulse struct {
	interval clock.Time // keep-alive
	patience clock.Time // for an answer

	mu       sync.Mutex // guards what follows
	sent     clock.Time // when something was written last
	heard    clock.Time // when something was read last
	held     bool       // nobody reads: a far side that must wait is not silent
	owed     int        // answers that are out: PUBACK, SUBACK, UNSUBACK, PINGRESP
	since    clock.Time // when the first of them was asked for
	queued   int        // bytes written since something was read
	largest  int        // bytes of the largest packet since nothing was owed
	pinged   clock.Time // when the PINGREQ that is out was written, 0 for none
	sample   uint16     // packet id whose PUBACK is timed, 0 for none
	sampled  clock.Time
	smoothed clock.Time // round-trip time
}

func newPulse(interval, patience time.Duration, connecting time.Duration) *pulse {
	at := clock.Now()
	return &pulse{interval: clock.Time(interval), patience: clock.Time(patience), sent: at, heard: at, smoothed: clock.Time(connecting)}
}

// wrote notes that n bytes went out.
func (p *pulse) wrote(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = clock.Now()
	p.queued += n
}

// read notes that something came.
func (p *pulse) read() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = clock.Now()
	p.queued = 0
}

// hold notes whether reading rests.
func (p *pulse) hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.heard = held, clock.Now()
}

// expect notes that an answer is owed to a packet of n bytes; id is that of a
// PUBLISH, else 0.
func (p *pulse) expect(id uint16, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owed == 0 {
		p.since, p.largest = clock.Now(), 0
	}
	p.owed++
	p.largest = max(p.largest, n)
	if p.sample == 0 && id != 0 {
		p.sample, p.sampled = id, clock.Now()
	}
}

// answered notes the answer, to the PUBLISH with that id or to something else.
func (p *pulse) answered(id uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owed = max(p.owed-1, 0)
	if id != 0 && id == p.sample {
		p.smooth(clock.Now() - p.sampled)
		p.sample = 0
	}
}

// ping notes that a PINGREQ goes out; it reports whether one is out already.
func (p *pulse) ping() (already bool) {
	p.mu.Lock()
	already = p.pinged != 0
	if !already {
		p.pinged = clock.Now()
	}
	p.mu.Unlock()
	if !already {
		p.expect(0, 2)
	}
	return already
}

// ponged notes the PINGRESP.
func (p *pulse) ponged() {
	p.mu.Lock()
	asked := p.pinged != 0
	if asked {
		p.smooth(clock.Now() - p.pinged)
		p.pinged = 0
	}
	p.mu.Unlock()
	if asked {
		p.answered(0)
	}
}

// smooth follows RFC 6298 §2: an eighth of each new measurement.
func (p *pulse) smooth(rtt clock.Time) {
	if p.smoothed == 0 {
		p.smoothed = rtt
		return
	}
	p.smoothed += (rtt - p.smoothed) / 8
}

func (p *pulse) rtt() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.smoothed)
}

// check says what to do now, and when to look again. silence is how long an answer
// has been out when that is too long, else 0.
func (p *pulse) check(now clock.Time) (ping bool, silence, again time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := min(clock.Time(looks), p.patience, p.interval) // meanwhile a message goes out, or an answer comes
	if p.owed > 0 && !p.held {
		allowed := p.patience + min(clock.Time(max(p.queued, p.largest))*clock.Second/slowest, latest)
		silent := now - max(p.heard, p.since)
		if silent >= allowed {
			return false, time.Duration(silent), 0
		}
		next = min(next, allowed-silent)
	}
	if p.pinged == 0 {
		// Nothing sent is the rule [MQTT-3.1.2-20]; nothing heard finds the far side that
		// left without a word while we went on sending.
		due := min(p.sent, p.heard) + p.interval - now
		if due <= 0 {
			return true, 0, time.Duration(next)
		}
		next = min(next, due)
	}
	return false, 0, time.Duration(next)
}
