package s3

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/streammgr/export/s3/javatime"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// maxKey is how many bytes of UTF-8 a key may have (Amazon S3 user guide, "Naming
// Amazon S3 objects").
const maxKey = 1024

// keyTemplate makes the keys of objects.
type keyTemplate []func(dst []byte, first *log.Message) []byte

// parseKey reads a template; vars are the values of vin, thing and stream.
func parseKey(source string, vars map[string]string) (keyTemplate, error) {
	var k keyTemplate
	text := func(s string) {
		k = append(k, func(dst []byte, _ *log.Message) []byte { return append(dst, s...) })
	}
	seen := map[string]int{}
	for rest := source; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		text(before)
		if !found {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("${%s: want a } after the name", after)
		}
		rest = behind
		seen[name]++
		pattern, isTime := strings.CutPrefix(name, "time:")
		switch {
		case isTime:
			f, err := javatime.Compile(pattern)
			if err != nil {
				return nil, fmt.Errorf("${%s}: %w", name, err)
			}
			k = append(k, func(dst []byte, m *log.Message) []byte { return f.Append(dst, m.Time) })
		case name == "epoch":
			k = append(k, func(dst []byte, m *log.Message) []byte { return strconv.AppendUint(dst, uint64(m.Epoch), 10) })
		case name == "first": // all of one length, so that lists are in order
			k = append(k, func(dst []byte, m *log.Message) []byte { return fmt.Appendf(dst, "%020d", m.Seq) })
		case name == "vin", name == "thing", name == "stream":
			text(vars[name])
		default:
			return nil, fmt.Errorf("${%s}: want ${vin}, ${thing}, ${stream}, ${epoch}, ${first} or ${time:yyyy/MM/dd}", name)
		}
	}
	if seen["epoch"] != 1 || seen["first"] != 1 {
		return nil, fmt.Errorf("%q: want ${epoch} and ${first} in it once each: they tell objects apart", source)
	}
	if key := k.of(&log.Message{Time: time.Unix(0, 0)}, ""); len(key) > maxKey-maxExtension || strings.HasPrefix(source, "/") {
		return nil, fmt.Errorf("%q: want at most %d bytes, and no / at the beginning", source, maxKey-maxExtension)
	}
	return k, nil
}

// maxExtension is more than what tells format and compression.
const maxExtension = 24

// of is the key of an object that begins with a message.
func (k keyTemplate) of(first *log.Message, extension string) string {
	var b []byte
	for _, write := range k {
		b = write(b, first)
	}
	return string(append(b, extension...))
}
