package kinesis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// pointer is a JSON Pointer (RFC 6901), by its tokens.
type pointer []string

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func parsePointer(text string) (pointer, error) {
	if !strings.HasPrefix(text, "/") {
		return nil, fmt.Errorf("want a JSON Pointer such as /vehicle/vin")
	}
	tokens := strings.Split(text[1:], "/")
	for i := range tokens {
		tokens[i] = unescape.Replace(tokens[i])
	}
	return tokens, nil
}

// find is the single value at the pointer in a document: a string without its
// quotes, a number or a boolean as it stands there. It is "" for null, for lists and
// objects, where nothing is, and where payload is no JSON.
func (p pointer) find(payload []byte) string {
	at := json.RawMessage(payload)
	for _, token := range p {
		var object map[string]json.RawMessage
		var list []json.RawMessage
		switch at = bytes.TrimLeft(at, " \t\r\n"); {
		case bytes.HasPrefix(at, []byte{'{'}) && json.Unmarshal(at, &object) == nil:
			at = object[token]
		case bytes.HasPrefix(at, []byte{'['}) && json.Unmarshal(at, &list) == nil:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(list) {
				return ""
			}
			at = list[i]
		default:
			return ""
		}
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(at))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return ""
	}
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	}
	return ""
}
