package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// Why a message of the far side is not taken by the time that it carries.
var (
	ErrStale  = errors.New("too old")
	ErrAhead  = errors.New("ahead of the vehicle's clock")
	ErrNoTime = errors.New("no time in it")
	ErrClock  = errors.New("the vehicle's clock is not synchronised")
)

// validity is a compiled ValidConfig.
type validity struct {
	config  *ValidConfig
	pointer []string
}

func newValidity(c *ValidConfig) *validity {
	v := &validity{config: c}
	if c.Payload != "" {
		v.pointer, _ = parsePointer(c.Payload) // Validate has told of the error
	}
	return v
}

// check holds the message's time against now, the zero time while the clock is not
// to be trusted.
func (v *validity) check(m *message.Message, now time.Time) error {
	if now.IsZero() {
		if v.config.Unsynchronised == "accept" {
			return nil
		}
		return ErrClock
	}
	text, err := v.find(m)
	if err != nil {
		return err
	}
	at, err := parseTime(text)
	if err != nil {
		return err
	}
	age := now.Sub(at)
	if age >= time.Duration(v.config.MaxAge) {
		return fmt.Errorf("%w: %s, want less than %s", ErrStale, age.Round(time.Millisecond), v.config.MaxAge)
	}
	if -age > time.Duration(v.config.MaxAhead) {
		return fmt.Errorf("%w: by %s, want at most %s", ErrAhead, (-age).Round(time.Millisecond), v.config.MaxAhead)
	}
	return nil
}

// find is the text of the time.
func (v *validity) find(m *message.Message) (string, error) {
	switch {
	case v.config.Level > 0:
		levels := strings.SplitN(m.Topic, "/", v.config.Level+1)
		if len(levels) < v.config.Level {
			return "", fmt.Errorf("%w: the topic has %s, want %d", ErrNoTime, plural(len(levels), "level"), v.config.Level)
		}
		return levels[v.config.Level-1], nil
	case v.config.Property != "":
		for _, u := range m.UserProperties {
			if u.Name == v.config.Property {
				return u.Value, nil
			}
		}
		return "", fmt.Errorf("%w: no user property %s", ErrNoTime, v.config.Property)
	}
	value, ok := at(m.Payload, v.pointer)
	if !ok {
		return "", fmt.Errorf("%w: nothing at %s in the payload", ErrNoTime, v.config.Payload)
	}
	return value, nil
}

// secondsBelow is the number from which on a time is in milliseconds: as seconds it
// would be in the year 5138.
const secondsBelow = 1e11

// parseTime reads RFC 3339, or a number of seconds or milliseconds since 1970.
func parseTime(text string) (time.Time, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) {
		seconds := n
		if math.Abs(n) >= secondsBelow {
			seconds = n / 1000
		}
		if math.Abs(seconds) >= secondsBelow {
			return time.Time{}, fmt.Errorf("%w: %q is beyond milliseconds since 1970", ErrNoTime, text)
		}
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %.40q, want RFC 3339 or a number since 1970", ErrNoTime, text)
	}
	return t, nil
}

// parsePointer reads a JSON pointer (RFC 6901).
func parsePointer(text string) ([]string, error) {
	rest, ok := strings.CutPrefix(text, "/")
	if !ok {
		return nil, fmt.Errorf("%q: want a JSON pointer such as /ts", text)
	}
	path := strings.Split(rest, "/")
	for i, name := range path {
		path[i] = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
	}
	return path, nil
}

// at is the text or number that a pointer leads to in a JSON document.
func at(document []byte, pointer []string) (string, bool) {
	for _, name := range pointer {
		var value json.RawMessage
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && len(document) > space(document, 0) && document[space(document, 0)] == '[' {
			var list []json.RawMessage
			if json.Unmarshal(document, &list) != nil || i >= len(list) {
				return "", false
			}
			value = list[i]
		} else {
			var object map[string]json.RawMessage
			if json.Unmarshal(document, &object) != nil {
				return "", false
			}
			value = object[name]
		}
		if value == nil {
			return "", false
		}
		document = value
	}
	var text string
	if json.Unmarshal(document, &text) == nil {
		return text, true
	}
	var number json.Number
	if json.Unmarshal(document, &number) == nil && number != "" {
		return number.String(), true
	}
	return "", false
}
