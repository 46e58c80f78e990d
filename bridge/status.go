package bridge

import (
	"maps"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// LinkStatus is what a link does and has done since the start.
type LinkStatus struct {
	Name      string    `json:"name"`
	State     string    `json:"state"` // up, connecting, down
	Since     time.Time `json:"since"`
	Endpoint  string    `json:"endpoint,omitempty"`
	Protocol  string    `json:"protocol,omitempty"` // 5 or 3.1.1, of the connection that stands
	RTT       float64   `json:"rtt_ms,omitempty"`
	Attempts  int       `json:"attempts,omitempty"` // to connect, since the link was up
	LastError string    `json:"last_error,omitempty"`
	Metered   bool      `json:"metered,omitempty"`
	BytesIn   uint64    `json:"bytes_in"` // on the wire, TLS included
	BytesOut  uint64    `json:"bytes_out"`

	Unacknowledged int               `json:"unacknowledged"` // sent, and the far side has not answered
	Classes        []ClassStatus     `json:"classes"`        // in order of priority
	Rules          []RuleStatus      `json:"rules"`
	Dead           DeadStatus        `json:"dead"`
	Budget         *BudgetStatus     `json:"budget,omitempty"`
	Refused        []string          `json:"refused_filters,omitempty"`    // that the far side does not let the link subscribe to
	Ignored        map[string]uint64 `json:"ignored,omitempty"`            // messages of the far side that came to no rule: no_rule, no_room
	Forgotten      uint64            `json:"forgotten_requests,omitempty"` // whose answers can't cross any more, for want of room
}

// Spooled are the messages that wait in all classes.
func (s *LinkStatus) Spooled() (messages int, bytes int64, oldest time.Duration) {
	for _, c := range s.Classes {
		messages += c.Messages
		bytes += c.Bytes
		oldest = max(oldest, time.Duration(c.Oldest*float64(time.Second)))
	}
	return messages, bytes, oldest
}

// ClassStatus is a class of a link's spool.
type ClassStatus struct {
	Name     string            `json:"name"`
	Messages int               `json:"messages"` // waiting, those sent and not acknowledged too
	Bytes    int64             `json:"bytes"`
	Oldest   float64           `json:"oldest_s"`          // age of the oldest message
	Held     string            `json:"held,omitempty"`    // why nothing of it is sent now
	Sent     uint64            `json:"sent"`              // acknowledged by the far side, or sent at QoS 0
	Again    uint64            `json:"again"`             // sent more than once
	Dropped  map[string]uint64 `json:"dropped,omitempty"` // by reason
}

// RuleStatus is what a rule has carried.
type RuleStatus struct {
	Rule      string            `json:"rule"`
	Direction string            `json:"direction"` // up, down
	Messages  uint64            `json:"messages"`
	Bytes     uint64            `json:"bytes"`               // of the packets
	Dropped   map[string]uint64 `json:"dropped,omitempty"`   // by reason
	Unthinned uint64            `json:"unthinned,omitempty"` // went up as they were: no room to remember more topics
}

// DeadStatus counts dead letters.
type DeadStatus struct {
	Messages int    `json:"messages"`
	Bytes    int64  `json:"bytes"`
	Dropped  uint64 `json:"dropped,omitempty"` // the oldest, because there was no room
}

// BudgetStatus is what the month has cost.
type BudgetStatus struct {
	Used  int64  `json:"used"`            // bytes on the wire, both directions
	Month int64  `json:"month"`           // bytes that it may be
	Since string `json:"since,omitempty"` // day on which the month began; empty while the date is not known
}

// DeadLetter is a message that was given up.
type DeadLetter struct {
	ID      uint64    `json:"id"`
	Time    time.Time `json:"time,omitzero"` // when it was given up; zero if the date was not known
	Reason  string    `json:"reason"`
	Rule    string    `json:"rule"`
	Class   string    `json:"class"`
	Topic   string    `json:"topic"`            // where it was published
	Remote  string    `json:"remote,omitempty"` // where it was to go
	Size    int       `json:"size"`
	Payload []byte    `json:"payload,omitempty"`
}

// status is the link as it stands now.
func (w *worker) status() LinkStatus {
	state, st := w.link.State(), w.sender.Stats()
	list := LinkStatus{
		Name:      w.name,
		State:     string(state.Status),
		Since:     state.Since,
		Endpoint:  state.Endpoint,
		RTT:       milliseconds(state.RTT),
		Attempts:  state.Attempts,
		LastError: state.LastError,
		Metered:   w.configuration().Metered,
		BytesIn:   state.BytesIn,
		BytesOut:  state.BytesOut,

		Unacknowledged: st.Unacknowledged,
		Dead:           DeadStatus{Messages: st.Dead, Bytes: st.DeadBytes, Dropped: st.DeadDropped},
		Budget:         w.cost.status(),
		Refused:        w.subscriptions.refusals(),
		Ignored:        w.down.ignored(state.Dropped),
		Forgotten:      w.rules.Load().Forgotten(),
	}
	switch state.Version {
	case 4:
		list.Protocol = "3.1.1"
	case 5:
		list.Protocol = "5"
	}
	for _, c := range st.Classes {
		class := ClassStatus{Name: c.Name, Messages: c.Messages, Bytes: c.Bytes, Held: c.Held, Sent: c.Sent, Again: c.Again, Dropped: c.Dropped}
		if c.Oldest != 0 {
			class.Oldest = time.Duration(clock.Now() - c.Oldest).Seconds()
		}
		list.Classes = append(list.Classes, class)
	}
	rules := w.rules.Load()
	for _, up := range rules.Ups() {
		t := w.sender.Traffic(up)
		maps.Copy(t.Dropped, up.NotTaken())
		list.Rules = append(list.Rules, RuleStatus{
			Rule: up.Name(), Direction: "up", Messages: t.Messages, Bytes: t.Bytes, Dropped: t.Dropped, Unthinned: up.Unthinned()})
	}
	for _, r := range rules.Downs() {
		list.Rules = append(list.Rules, w.down.status(r))
	}
	return list
}
