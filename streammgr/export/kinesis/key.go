package kinesis

import (
	"crypto/md5"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fascia-edge/fascia/streammgr/log"
)

const (
	// maxKey is how many characters a partition key may have.
	maxKey = 256
	// noKey stands for a key that came out empty, which Kinesis refuses.
	noKey = "-"
	// maxSpread is as many shards as an account gets without asking a human.
	maxSpread = 20_000
)

// keyTemplate makes the partition keys of messages.
type keyTemplate struct {
	parts  []keyPart
	random bool // parts are empty
}

// keyPart is one of a text, a field's value, or a number.
type keyPart struct {
	text   string
	field  pointer
	spread uint64 // numbers below it
}

// parseKey reads a template. Which names it may have is config's to check; here they
// must mean something.
func parseKey(source string, env Env) (*keyTemplate, error) {
	t := &keyTemplate{random: source == RandomKey}
	if t.random {
		return t, nil
	}
	for rest := source; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		t.text(before)
		if !found {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("${%s: want a } after the name", after)
		}
		rest = behind
		name, argument, _ := strings.Cut(name, ":")
		switch name {
		case "vin":
			t.text(env.VIN)
		case "thing":
			t.text(env.Thing)
		case "stream":
			t.text(env.Stream)
		case "field":
			p, err := parsePointer(argument)
			if err != nil {
				return nil, fmt.Errorf("${field:%s}: %w", argument, err)
			}
			t.parts = append(t.parts, keyPart{field: p})
		case "n":
			n, err := strconv.ParseUint(argument, 10, 32)
			if err != nil || n < 1 || n > maxSpread {
				return nil, fmt.Errorf("${n:%s}: want a number of keys from 1 to %d", argument, maxSpread)
			}
			t.parts = append(t.parts, keyPart{spread: n})
		default:
			return nil, fmt.Errorf("${%s}: want ${vin}, ${thing}, ${stream}, ${field:/pointer} or ${n:8}", name)
		}
	}
	return t, nil
}

func (t *keyTemplate) text(text string) {
	if n := len(t.parts); n > 0 && t.parts[n-1].field == nil && t.parts[n-1].spread == 0 {
		t.parts[n-1].text += text
	} else if text != "" {
		t.parts = append(t.parts, keyPart{text: text})
	}
}

// append appends the key of a message, which Kinesis takes once it is fit.
func (t *keyTemplate) append(b []byte, m *log.Message) []byte {
	for i := range t.parts {
		switch p := &t.parts[i]; {
		case p.field != nil:
			b = append(b, p.field.find(m.Payload)...)
		case p.spread > 0:
			b = strconv.AppendUint(b, m.Seq%p.spread, 10)
		default:
			b = append(b, p.text...)
		}
	}
	return b
}

// fit makes a key one that Kinesis takes. Keys that are cut to the same text share
// their order, which none of them loses by that.
func fit(key string, most int) string {
	if !utf8.ValidString(key) {
		key = strings.ToValidUTF8(key, "\uFFFD")
	}
	if key == "" {
		return noKey
	}
	if len(key) > most { // bytes are at least as many as characters
		if runes := []rune(key); len(runes) > most {
			key = string(runes[:most])
		}
	}
	return key
}

// number is how epoch and sequence are written in tags and keys.
func number(m *log.Message) string {
	b := strconv.AppendUint(make([]byte, 0, maxNumber), uint64(m.Epoch), 10)
	return string(strconv.AppendUint(append(b, '-'), m.Seq, 10))
}

// maxNumber is the length of the longest number.
const maxNumber = len("4294967295-18446744073709551615")

// numbered is a key with the number of a message behind it.
func numbered(key string, m *log.Message) string {
	return fit(key, maxKey-1-maxNumber) + "#" + number(m)
}

// hashOf is where a key stands among all keys, as an explicit hash key: the MD5 of
// its UTF-8 as a decimal number.
func hashOf(key string) string {
	sum := md5.Sum([]byte(key))
	return new(big.Int).SetBytes(sum[:]).String()
}

// ParseNumber reads the epoch and the sequence that a partition key ends in, or that
// a tag has: both alone, or behind a #.
func ParseNumber(text string) (epoch uint32, seq uint64, ok bool) {
	before, after, found := strings.Cut(text[strings.LastIndexByte(text, '#')+1:], "-")
	e, err := strconv.ParseUint(before, 10, 32)
	if err != nil || !found {
		return 0, 0, false
	}
	seq, err = strconv.ParseUint(after, 10, 64)
	return uint32(e), seq, err == nil
}
