package transmit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/vehicle"
)

// TopicPrefix begins the topics of requests, ResultSuffix ends those on which
// answers come for who named no other.
const (
	TopicPrefix  = "act/"
	ResultSuffix = "/result"
)

// RoleOperator is the role of requests that come by the control socket.
const RoleOperator = "operator"

// Request asks to set an actuator. Origin is what the broker or the kernel knows
// of the sender; the gate decides by it alone, never by the payload.
type Request struct {
	Target  string // topic behind act/: a VSS path with slashes, or bus/message/signal
	Payload []byte
	Stored  bool   // a retained message, or one published to be
	Expiry  uint32 // seconds that the message has left to live, 0 for no end
	Origin  audit.Origin
}

// Status is what became of a request.
type Status string

// What becomes of requests.
const (
	Done     Status = "done"
	Refused  Status = "refused" // nothing was sent
	TimedOut Status = "timeout" // sent, and no proof came in time
	Allowed  Status = "allowed" // of a dry run only: it would be sent
)

// Answer tells who asked.
type Answer struct {
	Status Status `json:"status"`
	Rule   string `json:"rule,omitempty"` // that allowed or refused it
	Reason string `json:"reason,omitempty"`
	Frame  string `json:"frame,omitempty"` // of a dry run, as candump writes it
}

// mostPayload bounds a request: a number, a word or a boolean in JSON.
const mostPayload = 1024

var (
	errPayload     = errors.New(`want a bare JSON value or {"value":…}, a number, a boolean or a string`)
	errPayloadSize = errors.New("the payload is longer than 1024 bytes: " + errPayload.Error())
)

// parsePayload reads a bare JSON scalar or {"value":scalar}. An object has no
// other key, and that one once: what two readers could read differently is no
// request.
func parsePayload(payload []byte) (vehicle.Value, error) {
	if len(payload) > mostPayload {
		return vehicle.Value{}, errPayloadSize
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber() // integers stay exact
	next := func() json.Token {
		token, err := decoder.Token()
		if err != nil {
			return nil
		}
		return token
	}
	token := next()
	if token == json.Delim('{') {
		if next() != "value" {
			return vehicle.Value{}, errPayload
		}
		token = next()
		if next() != json.Delim('}') {
			return vehicle.Value{}, errPayload
		}
	}
	v, err := scalar(token)
	if err != nil {
		return vehicle.Value{}, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return vehicle.Value{}, errPayload
	}
	return v, nil
}

func scalar(token json.Token) (vehicle.Value, error) {
	switch x := token.(type) {
	case bool:
		return vehicle.Bool(x), nil
	case string:
		return vehicle.String(x), nil
	case json.Number:
		if i, err := strconv.ParseInt(string(x), 10, 64); err == nil {
			return vehicle.Int(i), nil
		}
		if f, err := x.Float64(); err == nil {
			return vehicle.Float(f), nil
		}
	}
	return vehicle.Value{}, errPayload
}
