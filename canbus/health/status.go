package health

import "time"

// Status is the health of all messages and signals.
type Status struct {
	Buses    []BusCounts `json:"buses"`
	Troubles []Trouble   `json:"troubles"` // what is neither ok nor unseen
}

// BusCounts counts the messages and signals of a bus by state. A signal that
// several buses feed counts for the first of them.
type BusCounts struct {
	Bus       string        `json:"bus"`
	Messages  map[State]int `json:"messages"`
	Signals   map[State]int `json:"signals"`
	Miscounts uint64        `json:"miscounts"` // frames whose counter was wrong, since the start
}

// Trouble is one message or signal that is not as it should be.
type Trouble struct {
	Kind   string    `json:"kind"` // message or signal
	Name   string    `json:"name"` // bus/message, or the VSS path
	State  State     `json:"state"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Last   time.Time `json:"last,omitzero"` // frame
	// Cause is "bus" or "message" where that is what failed, "" where it is
	// the thing itself.
	Cause string `json:"cause,omitempty"`
}

var causeNames = [...]string{itself: "", itsBus: "bus", itsMessage: "message"}

// Status describes the state at the last look, buses and entries in the order
// of the plan; safe for concurrent use.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Buses: []BusCounts{}, Troubles: []Trouble{}}
	at := map[string]int{}
	for _, e := range m.entries {
		bus := e.buses[0].name
		if _, known := at[bus]; !known {
			at[bus] = len(s.Buses)
			s.Buses = append(s.Buses, BusCounts{Bus: bus, Messages: map[State]int{}, Signals: map[State]int{}})
		}
		counts := &s.Buses[at[bus]]
		if e.signal != nil {
			counts.Signals[e.state]++
		} else {
			counts.Messages[e.state]++
			counts.Miscounts += e.miscounts.count.Load()
		}
		if e.state == OK || e.state == Unseen {
			continue
		}
		t := Trouble{
			Kind: e.kind(), Name: e.name, State: e.state, Reason: e.reason(), Cause: causeNames[e.cause],
			Since: time.Unix(0, e.since+m.wallMinus),
		}
		if last := e.last(); last > 0 {
			t.Last = time.Unix(0, last+m.wallMinus)
		}
		s.Troubles = append(s.Troubles, t)
	}
	return s
}
