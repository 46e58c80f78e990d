// Package javatime writes times as patterns of Java's DateTimeFormatter say, in UTC
// and in English: keys of S3 objects are made of them, in tasks of the Stream Manager
// and in the configuration.
//
// The patterns are those of java.time.format.DateTimeFormatterBuilder.appendPattern
// (Java SE 8 API), but for optional sections, padding, and letters that need more than
// a time and a zone. Weeks are those of the United States, as in a JVM that nobody has
// told otherwise: they begin on Sundays, and the first one has the first of January.
package javatime

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Format is a compiled pattern. It is safe for concurrent use; the zero value writes
// nothing.
type Format struct {
	parts []func(dst []byte, t time.Time) []byte
}

// Compile reads a pattern. The error names what of it can't be used.
func Compile(pattern string) (Format, error) {
	var f Format
	for rest := pattern; rest != ""; {
		c := rest[0]
		switch {
		case c == '\'':
			text, behind, err := quoted(rest)
			if err != nil {
				return Format{}, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			f.text(text)
			rest = behind
		case isLetter(c):
			n := len(rest) - len(strings.TrimLeft(rest, rest[:1]))
			write := field(c, n)
			if write == nil {
				return Format{}, fmt.Errorf("pattern %q: %s is not a field: want letters such as yyyy, MM, dd, HH, mm and ss, and other text in single quotes", pattern, rest[:n])
			}
			f.parts = append(f.parts, write)
			rest = rest[n:]
		case strings.IndexByte("[]{}#", c) >= 0:
			return Format{}, fmt.Errorf("pattern %q: want %c in single quotes", pattern, c)
		default:
			_, n := utf8.DecodeRuneInString(rest)
			f.text(rest[:n])
			rest = rest[n:]
		}
	}
	return f, nil
}

// Append appends t to dst.
func (f Format) Append(dst []byte, t time.Time) []byte {
	t = t.UTC()
	for _, write := range f.parts {
		dst = write(dst, t)
	}
	return dst
}

func (f *Format) text(text string) {
	f.parts = append(f.parts, func(dst []byte, _ time.Time) []byte { return append(dst, text...) })
}

// quoted reads text in single quotes, in which two of them are one; two alone are one,
// too.
func quoted(pattern string) (text, rest string, err error) {
	for rest = pattern[1:]; ; {
		before, behind, closed := strings.Cut(rest, "'")
		if !closed {
			return "", "", fmt.Errorf("%s has no closing quote", pattern)
		}
		text += before
		if !strings.HasPrefix(behind, "'") || text == "" && before == "" && len(rest) == len(pattern)-1 {
			if text == "" {
				text = "'"
			}
			return text, behind, nil
		}
		text += "'"
		rest = behind[1:]
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
