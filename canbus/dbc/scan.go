package dbc

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner walks over the text of a DBC file. It makes no tokens, for files break
// the format's rules where they do: whether 0_COUNTER is a name or a number that
// something follows depends on the statement. The reader asks for what it expects.
type scanner struct {
	file  string
	text  []byte // UTF-8
	at    int    // next byte
	lines []int  // where each line begins
}

func newScanner(file string, text []byte) *scanner {
	s := &scanner{file: file, text: text, lines: []int{0}}
	for i, c := range text {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// place is the line and the column, in characters, of a byte.
func (s *scanner) place(at int) Place {
	line, exact := slices.BinarySearch(s.lines, at)
	if exact {
		line++
	}
	return Place{s.file, line, 1 + utf8.RuneCount(s.text[s.lines[line-1]:at])}
}

// fault is what is wrong with a statement, at a byte of the text.
type fault struct {
	at     int
	reason string
}

// want is the fault that something else was expected here.
func (s *scanner) want(format string, args ...any) *fault {
	return &fault{s.at, "want " + fmt.Sprintf(format, args...) + ", found " + s.found(s.at)}
}

// found says what stands at a byte, for a message.
func (s *scanner) found(at int) string {
	rest := s.text[at:]
	if len(rest) == 0 {
		return "the end of the file"
	}
	if rest[0] == '\n' || rest[0] == '\r' {
		return "the end of the line"
	}
	const most = 24
	if end := bytes.IndexFunc(rest, unicode.IsSpace); end >= 0 {
		rest = rest[:end]
	}
	if len(rest) > most {
		rest = append(bytes.ToValidUTF8(rest[:most], nil), "…"...)
	}
	return strconv.Quote(string(rest))
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte { return s.byteAt(s.at) }

// byteAt is 0 beyond the end.
func (s *scanner) byteAt(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

// blanks passes over blanks on the line.
func (s *scanner) blanks() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\r') {
		s.at++
	}
}

// space passes over blanks and line ends.
func (s *scanner) space() {
	for s.at < len(s.text) && (s.text[s.at] <= ' ') {
		s.at++
	}
}

// accept passes over a byte if it comes next, after blanks.
func (s *scanner) accept(c byte) bool {
	s.blanks()
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// expect is accept where nothing else may stand.
func (s *scanner) expect(c byte) *fault {
	if !s.accept(c) {
		return s.want("%q", c)
	}
	return nil
}

// seek moves to the next c on the line, or stays and reports false.
func (s *scanner) seek(c byte) bool {
	i := bytes.IndexByte(s.text[s.at:s.lineEnd()], c)
	if i < 0 {
		return false
	}
	s.at += i
	return true
}

// lineEnd is where the line ends, before its line end.
func (s *scanner) lineEnd() int {
	if i := bytes.IndexByte(s.text[s.at:], '\n'); i >= 0 {
		return s.at + i
	}
	return len(s.text)
}

// word is the run of letters, digits and underscores that comes next, after
// blanks; "" if there is none.
func (s *scanner) word() string {
	s.blanks()
	start := s.at
	for s.at < len(s.text) {
		r, n := utf8.DecodeRune(s.text[s.at:])
		if !inName(r) {
			break
		}
		s.at += n
	}
	return string(s.text[start:s.at])
}

func inName(r rune) bool {
	return r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		r >= utf8.RuneSelf && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// name is a name that a statement refers to. It may have been defined with what
// can't stand in a name, and is cleaned as the definition was.
func (s *scanner) name() (string, *fault) {
	s.space()
	start := s.at
	for s.peek() > ' ' && strings.IndexByte(`:,;"`, s.peek()) < 0 {
		s.at++
	}
	if s.at == start {
		return "", s.want("a name")
	}
	return cleanName(string(s.text[start:s.at])), nil
}

// cleanName replaces what can't stand in a name, which is used in topics and
// JSON as it is, by underscores.
func cleanName(name string) string {
	return strings.Map(func(r rune) rune {
		if inName(r) {
			return r
		}
		return '_'
	}, name)
}

// number is a decimal number, with a fraction and an exponent if it has them.
func (s *scanner) number() (float64, *fault) {
	text := s.numeral()
	n, err := strconv.ParseFloat(text, 64)
	if text == "" {
		return 0, s.want("a number")
	}
	if err != nil {
		s.at -= len(text)
		return 0, s.want("a number that a 64-bit float holds")
	}
	return n, nil
}

// numeral is the text of a number, "" if none comes next.
func (s *scanner) numeral() string {
	s.space()
	i := s.at
	if c := s.byteAt(i); c == '+' || c == '-' {
		i++
	}
	first := i
	for isDigit(s.byteAt(i)) || s.byteAt(i) == '.' {
		i++
	}
	if i == first {
		return ""
	}
	if s.byteAt(i)|0x20 == 'e' {
		exponent := i + 1
		if c := s.byteAt(exponent); c == '+' || c == '-' {
			exponent++
		}
		for isDigit(s.byteAt(exponent)) {
			exponent++
			i = exponent
		}
	}
	text := string(s.text[s.at:i])
	s.at = i
	return text
}

// unsigned is a whole number of up to 64 bits; hexadecimal digits follow 0x.
func (s *scanner) unsigned() (uint64, *fault) {
	s.space()
	base, digit, first := 10, isDigit, s.at
	if s.byteAt(s.at) == '0' && s.byteAt(s.at+1)|0x20 == 'x' {
		base, digit, first = 16, isHex, s.at+2
	}
	end := first
	for digit(s.byteAt(end)) {
		end++
	}
	n, err := strconv.ParseUint(string(s.text[first:end]), base, 64)
	if err != nil {
		return 0, s.want("a whole number")
	}
	s.at = end
	return n, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// quoted is a text in quotation marks; a backslash before one makes it part of
// the text. At a fault the scanner stays where the text begins.
func (s *scanner) quoted() (string, *fault) {
	s.space()
	if s.peek() != '"' {
		return "", s.want("a text in quotation marks")
	}
	start := s.at + 1
	for i := start; i < len(s.text); i++ {
		switch s.text[i] {
		case '\\':
			if s.byteAt(i+1) == '"' {
				i++
			}
		case '"':
			s.at = i + 1
			return unescape(string(s.text[start:i])), nil
		}
	}
	return "", &fault{s.at, "no quotation mark ends the text that begins here"}
}

// unescape takes away the backslash before a quotation mark.
func unescape(text string) string { return strings.ReplaceAll(text, `\"`, `"`) }
