package batch

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/fascia-edge/fascia/vehicle"
)

// appendString appends a JSON string.
func appendString(dst []byte, s string) []byte { return vehicle.String(s).AppendJSON(dst) }

// isText reports whether a payload can stand in a JSON string.
func isText(payload []byte) bool { return utf8.Valid(payload) }

// isPlainJSON reports whether a payload can stand in a batch of JSON as it is, and
// is found there again to the byte: without space around it.
func isPlainJSON(payload []byte) bool {
	return json.Valid(payload) && utf8.Valid(payload) && len(bytes.TrimSpace(payload)) == len(payload)
}

// isPrintable reports whether a text stands in a JSON string as it is.
func isPrintable(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
