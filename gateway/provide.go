package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
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
	name := strings.TrimPrefix(m.Topic, "vss/")
	if strings.Contains(name, ".") {
		// As a path it would lie deeper than the level that was granted.
		return fmt.Errorf("topic %.100q: want a VSS path with slashes, without dots", m.Topic)
	}
	path := strings.ReplaceAll(name, "/", ".")
	wall, boot := time.Now().UnixNano(), vehicle.BootNow()
	g.state.Slot(path).Set(v, wall, boot)
	g.buses.Changed(path, wall, boot)
	return nil
}

// parseProvided reads {"value":…,"ts":"…"}, the form that every subscriber of
// vss/# expects.
func parseProvided(payload []byte) (vehicle.Value, error) {
	var form map[string]json.RawMessage // a struct's keys would fit in any case
	var ts *time.Time
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if err := decoder.Decode(&form); err != nil || form["value"] == nil || json.Unmarshal(form["ts"], &ts) != nil || ts == nil {
		return vehicle.Value{}, fmt.Errorf(`payload %.60q: want {"value":…,"ts":"2006-01-02T15:04:05.000Z"}`, payload)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return vehicle.Value{}, fmt.Errorf("payload %.60q: want one JSON object and nothing behind it", payload)
	}
	return parseScalar(form["value"])
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
		if u, err := strconv.ParseUint(x.String(), 10, 64); err == nil {
			return vehicle.Uint(u), nil
		}
		f, err := x.Float64()
		if err != nil {
			return vehicle.Value{}, fmt.Errorf("value %.60s: want a number that fits 64 bits", text)
		}
		return vehicle.Float(f), nil
	}
	return vehicle.Value{}, fmt.Errorf("value %.60s: want a number, a boolean, a string or null", text)
}
