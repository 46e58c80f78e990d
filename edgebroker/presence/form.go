package presence

import (
	"encoding/json"
	"time"
)

// form is an event as AWS writes it.
type form struct {
	Client          string   `json:"clientId"`
	Timestamp       int64    `json:"timestamp"` // Unix time in ms
	Kind            Kind     `json:"eventType"`
	ClientInitiated *bool    `json:"clientInitiatedDisconnect,omitempty"`
	Reason          Reason   `json:"disconnectReason,omitempty"`
	Session         string   `json:"sessionIdentifier"`
	Principal       string   `json:"principalIdentifier"`
	Address         string   `json:"ipAddress,omitempty"`
	Version         uint64   `json:"versionNumber,omitzero"`
	Topics          []string `json:"topics,omitempty"`
}

// Payload is the event in JSON, as AWS writes it.
func (e *Event) Payload() []byte {
	f := form{
		Client:    e.Origin.Client,
		Timestamp: e.At.UnixMilli(),
		Kind:      e.Kind,
		Session:   e.Session,
		Principal: e.Origin.Identity,
		Topics:    e.Topics,
	}
	switch e.Kind {
	case Disconnected:
		initiated := e.Reason == ClientInitiated
		f.ClientInitiated, f.Reason = &initiated, e.Reason
		fallthrough
	case Connected:
		f.Address, f.Version = e.Address, e.Version
	}
	return f.encode()
}

func (f *form) encode() []byte {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings, numbers and booleans always have a form
	}
	return text
}

// Lost turns the payload of the event that a client came into that of the
// event that its connection was lost at that time, with the server. The error says
// that came is no such payload.
func Lost(came []byte, at time.Time) ([]byte, error) {
	var f form
	if err := json.Unmarshal(came, &f); err != nil {
		return nil, err
	}
	f.Kind, f.Timestamp = Disconnected, at.UnixMilli()
	f.Reason, f.ClientInitiated = ServerError, new(bool)
	return f.encode(), nil
}
