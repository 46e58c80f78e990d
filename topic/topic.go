// Package topic knows the language of MQTT topics: names, filters, and how
// they relate. Nothing here allocates.
package topic

import (
	"strings"
	"unicode/utf8"
)

// MaxLength is the longest name or filter in bytes (a UTF-8 string of MQTT).
const MaxLength = 65535

// sharePrefix begins a shared subscription, $share/group/filter [MQTT-4.8.2].
const sharePrefix = "$share/"

// ValidName reports whether s can be published to: not empty, no wildcard, no
// NUL, UTF-8 [MQTT-4.7.1-1, 4.7.3].
func ValidName(s string) bool {
	return valid(s) && !strings.ContainsAny(s, "+#")
}

// ValidFilter reports whether s is a topic filter: `+` and `#` fill a whole
// level, `#` the last one [MQTT-4.7.1]. A shared subscription is taken apart
// with Shared first.
func ValidFilter(s string) bool {
	if !valid(s) {
		return false
	}
	for more := true; more; {
		var level string
		level, s, more = strings.Cut(s, "/")
		if level == "#" {
			return !more
		}
		if level != "+" && strings.ContainsAny(level, "+#") {
			return false
		}
	}
	return true
}

// Levels counts the levels of a name or filter: one more than its slashes.
func Levels(s string) int { return strings.Count(s, "/") + 1 }

// Shared takes $share/group/filter apart; the group is empty for any other
// filter. ok is false for a share without a group or filter, or with a group
// that has a wildcard [MQTT-4.8.2-1, 4.8.2-2].
func Shared(s string) (group, filter string, ok bool) {
	rest, shared := strings.CutPrefix(s, sharePrefix)
	if !shared {
		return "", s, s != "$share"
	}
	group, filter, _ = strings.Cut(rest, "/")
	return group, filter, group != "" && filter != "" && !strings.ContainsAny(group, "+#")
}

func valid(s string) bool {
	return s != "" && len(s) <= MaxLength && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
