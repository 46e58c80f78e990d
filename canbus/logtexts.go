package canbus

import (
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/vehicle"
)

// logTexts writes the signals of a log's frames as JSON. From frame to frame most
// signals of a message stay as they are: it keeps the last text of each, and
// copies where another would format. On a recorded drive that is 1.6 times as many
// frames a second.
type logTexts struct {
	choices bool
	last    [][]signalText // by the message's index in the database and Signal.Index
}

// signalText is "NAME":value of the last frame that had the signal.
type signalText struct {
	raw  int64
	text []byte // empty before the first
}

func newLogTexts(db *dbc.Database, choices bool) *logTexts {
	t := &logTexts{choices: choices, last: make([][]signalText, len(db.Messages))}
	for i, m := range db.Messages {
		t.last[i] = make([]signalText, len(m.Signals))
	}
	return t
}

// appendSignals appends {"NAME":value,…} for values of the message with that
// index.
func (t *logTexts) appendSignals(dst []byte, message int, values []dbc.Value) []byte {
	dst = append(dst, '{')
	last := t.last[message]
	for i := range values {
		v := &values[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		s := &last[v.Signal.Index]
		if s.raw != v.Raw || len(s.text) == 0 {
			s.raw, s.text = v.Raw, appendSignal(s.text[:0], v, t.choices)
		}
		dst = append(dst, s.text...)
	}
	return append(dst, '}')
}

// appendSignal appends "NAME":value. Names of signals have letters, digits and
// underscores only: they need no escaping.
func appendSignal(dst []byte, v *dbc.Value, choices bool) []byte {
	dst = append(dst, '"')
	dst = append(dst, v.Signal.Name...)
	dst = append(dst, '"', ':')
	if choices {
		if name, ok := v.Choice(); ok {
			return vehicle.String(name).AppendJSON(dst)
		}
	}
	return v.AppendJSON(dst)
}
