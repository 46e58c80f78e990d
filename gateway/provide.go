package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/vehicle"
)

// provide takes a value that a client with a provide grant sets: a GNSS
// receiver, an ECU on Ethernet, the infotainment. It becomes part of the
// vehicle's state, with the moment it came as its age, and what is derived from
// it is computed again.
func (g *Gateway) provide(m edgebroker.Message) error {
	v, err := parseProvided(m.Payload)
	if err != nil {
		return err
	}
	path := strings.ReplaceAll(strings.TrimPrefix(m.Topic, "vss/"), "/", ".")
	wall, boot := time.Now().UnixNano(), vehicle.BootNow()
	g.state.Slot(path).Set(v, wall, boot)
	g.buses.Changed(path, wall, boot)
	return nil
}

// parseProvided reads {"value":…,"ts":"…"}, the form that every subscriber of
// vss/# expects.
func parseProvided(payload []byte) (vehicle.Value, error) {
	var form struct {
		Value json.RawMessage `json:"value"`
		TS    *time.Time      `json:"ts"`
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if err := decoder.Decode(&form); err != nil || form.Value == nil || form.TS == nil {
		return vehicle.Value{}, fmt.Errorf(`payload %.60q: want {"value":…,"ts":"2006-01-02T15:04:05.000Z"}`, payload)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return vehicle.Value{}, fmt.Errorf("payload %.60q: want one JSON object and nothing behind it", payload)
	}
	return parseScalar(form.Value)
}

func parseScalar(text []byte) (vehicle.Value, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // integers stay exact
	var value any
	if err := decoder.Decode(&value); err != nil {
		return vehicle.Value{}, fmt.Errorf("value %.60s: %w", text, err)
	}
	switch x := value.(type) {
	case nil:
		return vehicle.Invalid(), nil
	case bool:
		return vehicle.Bool(x), nil
	case string:
		return vehicle.String(x), nil
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return vehicle.Int(i), nil
		}
		f, err := x.Float64()
		if err != nil {
			return vehicle.Value{}, fmt.Errorf("value %.60s: want a number that fits 64 bits", text)
		}
		return vehicle.Float(f), nil
	}
	return vehicle.Value{}, fmt.Errorf("value %.60s: want a number, a boolean, a string or null", text)
}
