package health

import (
	"bytes"
	"time"
)

// Look finds and tells what has changed at a moment, given by the wall clock and
// by CLOCK_BOOTTIME, and returns after which time to look again.
func (m *Monitor) Look(wall, boot int64) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.looked > 0 && boot-m.looked > int64(stalledAfter) {
		// The machine slept, or this process stood still: so did receiving.
		m.resumed = boot
	}
	m.looked = boot
	if step := wall - boot - m.wallMinus; step > int64(lookEvery) || step < -int64(lookEvery) {
		m.wallMinus = wall - boot // the clock was set; for less the stamps need not waver
	}
	for _, b := range m.buses {
		up, why := m.options.Bus(b.name)
		if up && !b.up {
			b.upSince = boot
		}
		b.up, b.why = up, why
	}
	room := tellsALook
	for _, e := range m.entries {
		e.measure(boot)
		state, cause := e.verdict(m, boot)
		if state == e.state && cause == e.cause || state == Unseen {
			continue
		}
		if room--; room < 0 {
			continue // it is found again at the next look
		}
		m.change(e, state, cause, boot)
	}
	m.renew(boot, room)
	m.log.flush(boot)
	return max(leastLook, min(lookEvery, m.plan.shortest()))
}

// change makes state the entry's and tells of it.
func (m *Monitor) change(e *entry, state State, cause cause, boot int64) {
	before, blamed, since := e.state, e.cause, e.since
	e.state, e.cause = state, cause
	if state != before {
		e.since = boot
	}
	e.publish(m, boot)
	e.renewAt = boot + m.plan.interval
	if e.rate(boot) == nil {
		e.renewAt = boot + int64(time.Second) // when there is one
	}
	switch {
	case cause != itself:
		// The bus or the message is what failed, and is told of.
	case state != OK:
		m.log.add(boot, m.log.log.Warn, e.kind()+" is not as it should be",
			e.kind(), e.name, "state", string(state), "reason", e.reason())
	case before != Unseen && blamed == itself:
		m.log.add(boot, m.log.log.Info, e.kind()+" is ok again",
			e.kind(), e.name, "was", string(before), "after", time.Duration(boot-since).Round(time.Millisecond).String())
	}
}

func (e *entry) kind() string {
	if e.signal != nil {
		return "signal"
	}
	return "message"
}

// publish sets the topic unless it says the same already.
func (e *entry) publish(m *Monitor, boot int64) {
	text := e.render(boot, m.wallMinus)
	if !bytes.Equal(text, e.payload) {
		e.payload = text
		e.topic.Set(text, "application/json")
	}
}

// renew publishes entries whose time has come, at most room of them. It begins
// where it stopped, so that each has its turn.
func (m *Monitor) renew(boot int64, room int) {
	for range m.entries {
		if room <= 0 {
			return
		}
		m.next = (m.next + 1) % len(m.entries)
		e := m.entries[m.next]
		if e.state == Unseen || boot < e.renewAt {
			continue
		}
		e.renewAt = boot + m.plan.interval
		e.publish(m, boot)
		room--
	}
}
