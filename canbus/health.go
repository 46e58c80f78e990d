package canbus

import (
	"encoding/json"
	"sync"
	"time"
)

// States of a bus on health/bus/<bus>.
const (
	busActive  = "active"
	busWarning = "warning" // the controller counts errors
	busPassive = "passive" // so many that it may no longer stop a faulty frame
	busOff     = "bus_off" // the controller takes no part in the bus
	busDown    = "down"
	busEnded   = "ended" // a replayed log has ended
)

// BusStates are the states that a bus may have.
var BusStates = [...]string{busActive, busWarning, busPassive, busOff, busDown, busEnded}

// health keeps the state of one bus and publishes its changes, retained.
type health struct {
	broker Broker
	topic  string

	mu     sync.Mutex // guards the fields below
	state  string
	reason string
	since  time.Time
}

type healthPayload struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Since  string `json:"since"`
}

// set reports whether the state is another one than before.
func (h *health) set(state, reason string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == state {
		return false
	}
	h.state, h.reason, h.since = state, reason, time.Now()
	payload, err := json.Marshal(healthPayload{state, reason, h.since.UTC().Format(stampLayout)})
	if err == nil { // strings always marshal
		h.broker.Publish(h.topic, payload, "application/json", true)
	}
	return true
}

func (h *health) get() (state, reason string, since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state, h.reason, h.since
}
