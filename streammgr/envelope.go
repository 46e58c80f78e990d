package streammgr

import (
	"encoding/binary"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Envelope is what goes into a stream for a published message with form: envelope. Of
// JSON, Text and Base64 there is one: JSON for a payload that is JSON, Text for other
// UTF-8, Base64 for the rest.
type Envelope struct {
	Topic       string          `json:"topic"`
	TS          string          `json:"ts"` // when the broker took it, RFC 3339, UTC
	Retained    bool            `json:"retained,omitempty"`
	ContentType string          `json:"content_type,omitempty"`
	Properties  [][2]string     `json:"properties,omitempty"` // user properties, in order
	JSON        json.RawMessage `json:"json,omitempty"`
	Text        *string         `json:"text,omitempty"`
	Base64      []byte          `json:"base64,omitempty"`
}

// stampLayout is RFC 3339 in UTC with milliseconds, as in all payloads.
const stampLayout = "2006-01-02T15:04:05.000Z"

// envelope packs a message.
func envelope(m *message.Message, at time.Time) []byte {
	e := Envelope{
		Topic:       m.Topic,
		TS:          at.UTC().Format(stampLayout),
		Retained:    m.Retain,
		ContentType: m.ContentType,
	}
	for _, p := range m.UserProperties {
		e.Properties = append(e.Properties, [2]string{p.Name, p.Value})
	}
	switch {
	case json.Valid(m.Payload):
		e.JSON = m.Payload
	case utf8.Valid(m.Payload):
		text := string(m.Payload)
		e.Text = &text
	default:
		e.Base64 = m.Payload
	}
	packed, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings, bytes and valid JSON can be encoded
	}
	return packed
}

// appendStamp and readStamp are the moment beside a message in the queue.
func appendStamp(to []byte, at time.Time) []byte {
	return binary.BigEndian.AppendUint64(to, uint64(at.UnixMilli()))
}

func readStamp(b []byte) time.Time {
	if len(b) < 8 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
}
