package streammgr

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/streammgr/export"
)

const (
	// numbersEvery is how often numbers that move are told; states are at once.
	numbersEvery = 10 * time.Second
	// fullFor is for how long a stream that has refused something counts as full.
	fullFor = 5 * time.Second
)

// said is what was told of a stream last.
type said struct {
	states  string // of the stream and its exporters
	payload []byte
	at      time.Time
	since   time.Time // the states are so
	refused uint64    // of the stream then
	fullTo  time.Time // until which it counts as full
}

// statePayload is what is published on stream/<name>/state.
type statePayload struct {
	State     string          `json:"state"`
	Since     string          `json:"since"` // of the state
	Messages  uint64          `json:"messages"`
	Bytes     int64           `json:"bytes"`
	Oldest    int64           `json:"oldest_s"`
	Exporters []exporterState `json:"exporters"`
}

type exporterState struct {
	Name  string       `json:"name"`
	State export.State `json:"state"`
	Lag   uint64       `json:"lag_messages"`
	Age   int64        `json:"lag_s"`
	Error string       `json:"error,omitempty"` // while it is retrying or refused
}

// tell publishes the state of each stream that has changed.
func (m *Manager) tell() {
	for _, s := range m.inOrder() {
		s.look()
		s.tell()
	}
}

// look notes whether the stream has refused something.
func (s *stream) look() {
	select {
	case <-s.made:
	default:
		return
	}
	refused, now := s.log.Info().Refused, time.Now()
	if refused > s.said.refused {
		s.said.fullTo = now.Add(fullFor)
	}
	s.said.refused = refused
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = now.Before(s.said.fullTo)
}

func (s *stream) tell() {
	st := s.status(s.manager.ctx)
	p := statePayload{State: st.State, Messages: st.Messages, Bytes: st.Bytes, Oldest: int64(st.Oldest), Exporters: []exporterState{}}
	states := st.State
	for _, x := range st.Exporters {
		e := exporterState{Name: x.Name, State: lasting(x.State), Lag: x.LagMessages, Age: int64(x.LagSeconds), Error: x.Problem}
		if x.State == export.Retrying || x.State == export.Refused {
			e.Error = x.LastError
		}
		states += " " + string(e.State)
		p.Exporters = append(p.Exporters, e)
	}
	now := time.Now()
	if states == s.said.states && now.Sub(s.said.at) < numbersEvery {
		return
	}
	if states != s.said.states {
		s.said.since = now
	}
	p.Since = s.said.since.UTC().Format(stampLayout)
	s.said.states, s.said.at = states, now
	payload, err := json.Marshal(p)
	if err != nil || bytes.Equal(payload, s.said.payload) {
		return
	}
	s.said.payload = payload
	s.publish(payload)
}

// lasting is the state of an exporter without what changes with each batch.
func lasting(s export.State) export.State {
	switch s {
	case export.Idle, export.Filling, export.Sending:
		return "ok"
	}
	return s
}

// gone takes back what was told: there is no such stream any more.
func (s *stream) gone() { s.publish(nil) }

func (s *stream) publish(payload []byte) {
	err := s.manager.options.Broker.Publish(message.Message{
		Topic: "stream/" + s.name + "/state", Payload: payload, ContentType: "application/json", QoS: 1, Retain: true})
	if err != nil {
		s.logger.Warn("the state of the stream can't be published", "error", err)
	}
}
