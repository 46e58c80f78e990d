package link

import (
	"errors"

	"github.com/fascia-edge/fascia/clock"
)

const (
	// oldFor is how long a far side that has refused MQTT 5 is spoken to in 3.1.1.
	oldFor = 24 * 3600 * clock.Second
	// silentFor is how long for one that was only found to answer to 3.1.1.
	silentFor = 3600 * clock.Second
	// silentEnds is how many times a far side may close the connection in place of a
	// CONNACK before it is tried with 3.1.1: some that know no 5 do just that.
	silentEnds = 3
)

// versions is what is known of an endpoint's versions of MQTT.
type versions struct {
	five   bool       // it has spoken 5
	old    clock.Time // until when it is spoken to in 3.1.1
	silent int        // tries with 5 in a row that it closed without a CONNACK
}

// dialectFor is what e is spoken to in.
func (l *Link) dialectFor(e endpoint) dialect {
	known := l.versions[e.url]
	switch l.config.Protocol {
	case "5":
		return v5{}
	case "3.1.1":
		return v311{}
	}
	if known.silent >= silentEnds || clock.Now() < known.old {
		return v311{}
	}
	return v5{}
}

// otherVersion learns from how a try ended, and reports whether another one is due at
// once, in the other version.
func (l *Link) otherVersion(e endpoint, err error) bool {
	if l.config.Protocol != "auto" {
		return false
	}
	known := l.versions[e.url]
	_, five := l.dialectFor(e).(v5)
	var refusal *Refusal
	refused := errors.As(err, &refusal)
	switch {
	case five && refused && (refusal.Version != 5 || refusal.Code == 0x84):
		l.log.Info("the far side speaks no MQTT 5: going on with 3.1.1", "endpoint", e.url)
		known.old = clock.Now() + oldFor
		return true
	case five && errors.Is(err, errUnanswered) && !known.five:
		known.silent++
		return known.silent >= silentEnds
	case five:
		known.silent = 0
	case known.silent >= silentEnds && !errors.Is(err, errUnanswered):
		known.silent, known.old = 0, clock.Now()+silentFor // something was heard in 3.1.1
	case known.silent >= silentEnds:
		known.silent = 0 // it likes that no better
	}
	return false
}
