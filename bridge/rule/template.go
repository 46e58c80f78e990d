package rule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/topic"
)

// maxWildcards is how many wildcards of a filter have a name, ${1} to ${9}.
const maxWildcards = 9

// vssPrefix begins the topics that have a VSS path.
const vssPrefix = "vss/"

// timeLayout is how ${time} is written: UTC with milliseconds, as in payloads.
const timeLayout = "2006-01-02T15:04:05.000Z"

// timeUnset stands for ${time} while nobody knows what time it is.
const timeUnset = "unset"

type partKind byte

const (
	literal  partKind = iota
	wildcard          // what a wildcard matched
	vssPath           // of the topic, with slashes
	vssDots           // of the topic, with dots
	moment            // when the message was accepted
)

type part struct {
	kind partKind
	text string // literal
	n    int    // wildcard, from 0
}

// template is a text with names to fill in at run time. What is known from the start,
// the VIN and the thing, is in it already.
type template struct {
	source string
	parts  []part
	filter string // whose matches it is filled from; empty for none
}

// variables gives the values of ${vin} and ${thing}; false for one that the vehicle
// does not have.
type variables func(name string) (string, bool)

// parseTemplate reads a template that is filled from what filter matched. Which
// names a field may have is config's to check; here they must mean something.
func parseTemplate(source, filter string, vars variables) (*template, error) {
	t := &template{source: source, filter: filter}
	wildcards := countWildcards(filter)
	for rest := source; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		t.add(before)
		if !found {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("${%s: want a } after the name", after)
		}
		rest = behind
		switch n, err := strconv.Atoi(name); {
		case name == "time":
			t.parts = append(t.parts, part{kind: moment})
		case name == "path" || name == "path.":
			if !strings.HasPrefix(filter, vssPrefix) {
				return nil, fmt.Errorf("${%s} is the VSS path of a topic: want a local filter that begins with vss/, got %q", name, filter)
			}
			kind := vssPath
			if name == "path." {
				kind = vssDots
			}
			t.parts = append(t.parts, part{kind: kind})
		case err == nil && name == strconv.Itoa(n) && n >= 1:
			if n > wildcards {
				return nil, fmt.Errorf("${%d}: %q has %s", n, filter, plural(wildcards, "wildcard"))
			}
			t.parts = append(t.parts, part{kind: wildcard, n: n - 1})
		default:
			value, ok := vars(name)
			if !ok {
				return nil, fmt.Errorf("${%s} is not set: want vehicle.%s in the configuration", name, name)
			}
			if strings.ContainsAny(value, "/+#\x00") {
				return nil, fmt.Errorf("${%s} is %q, which is no level of a topic: want it without /, + and #", name, value)
			}
			t.add(value)
		}
	}
	return t, nil
}

func (t *template) add(text string) {
	if text == "" {
		return
	}
	if n := len(t.parts); n > 0 && t.parts[n-1].kind == literal {
		t.parts[n-1].text += text
		return
	}
	t.parts = append(t.parts, part{kind: literal, text: text})
}

// fill writes the text for a message on a topic that the filter matches. A `#` that
// has matched no level takes the slash before it along: with ${1} for the `#`, a/${1}
// is a for what came on the filter's own topic.
func (t *template) fill(name string, accepted time.Time) string {
	if len(t.parts) == 1 && t.parts[0].kind == literal {
		return t.parts[0].text
	}
	var matched [maxWildcards]string
	parent := captures(t.filter, name, &matched)
	b := make([]byte, 0, len(t.source)+len(name))
	for _, p := range t.parts {
		switch p.kind {
		case literal:
			b = append(b, p.text...)
		case wildcard:
			if parent == p.n && len(b) > 0 && b[len(b)-1] == '/' {
				b = b[:len(b)-1]
			}
			b = append(b, matched[p.n]...)
		case vssPath:
			b = append(b, strings.TrimPrefix(name, vssPrefix)...)
		case vssDots:
			from := len(b)
			b = append(b, strings.TrimPrefix(name, vssPrefix)...)
			for i := from; i < len(b); i++ {
				if b[i] == '/' {
					b[i] = '.'
				}
			}
		case moment:
			if accepted.IsZero() {
				b = append(b, timeUnset...)
			} else {
				b = accepted.UTC().AppendFormat(b, timeLayout)
			}
		}
	}
	return string(b)
}

// has reports whether a name of that kind is to be filled in.
func (t *template) has(kind partKind) bool {
	for _, p := range t.parts {
		if p.kind == kind {
			return true
		}
	}
	return false
}

// alike reports whether the template gives the same for messages of all topics.
func (t *template) alike() bool { return !t.has(wildcard) && !t.has(vssPath) && !t.has(vssDots) }

// reach is a filter that matches whatever topic the template can give, and perhaps
// more.
func (t *template) reach() string {
	multi := strings.HasSuffix(t.filter, "#")
	last := countWildcards(t.filter) - 1
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.kind == literal:
			b.WriteString(p.text)
		case p.kind == vssPath || p.kind == wildcard && multi && p.n == last:
			b.WriteString("\x00#")
		default:
			b.WriteByte(0)
		}
	}
	levels := strings.Split(b.String(), "/")
	for i, level := range levels {
		if strings.Contains(level, "\x00#") {
			return strings.Join(append(levels[:i:i], "#"), "/")
		}
		if strings.IndexByte(level, 0) >= 0 {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// checkTopic reports what keeps the template from ever being a topic name.
func (t *template) checkTopic() error {
	for _, p := range t.parts {
		if p.kind == literal && (strings.ContainsAny(p.text, "+#\x00") || !topic.ValidName(p.text)) {
			return fmt.Errorf("%q is not a topic to publish on: want a name without + and #; ${1} stands for what the first wildcard matched", t.source)
		}
	}
	if len(t.parts) == 0 {
		return fmt.Errorf("want a topic")
	}
	return nil
}

// countWildcards counts the levels of a filter that are + or #.
func countWildcards(filter string) int {
	n := 0
	for more := filter != ""; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		if level == "+" || level == "#" {
			n++
		}
	}
	return n
}

// captures notes what each wildcard of the filter matched in a name that it matches;
// a # has all that is left. parent is the number of a # that matched no level, -1 if
// there is none [MQTT-4.7.1-2].
func captures(filter, name string, matched *[maxWildcards]string) (parent int) {
	at := 0
	for more, left := filter != "", true; more && at < maxWildcards; {
		var level, value string
		level, filter, more = strings.Cut(filter, "/")
		if level == "#" {
			matched[at] = name
			if !left {
				return at
			}
			return -1
		}
		value, name, left = strings.Cut(name, "/")
		if level == "+" {
			matched[at] = value
			at++
		}
	}
	return -1
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
