package dbc

import (
	"bytes"
	"unicode/utf8"
)

// Statements that say nothing about how frames are decoded and that the parser
// behind us does not know or reads wrongly (after one it does not know it may
// swallow the next line). They are blanked before it sees them.
var ignored = map[string]bool{
	"BS_": true, "EV_": true, "EV_DATA_": true, "ENVVAR_DATA_": true,
	"SGTYPE_": true, "SGTYPE_VAL_": true, "BA_DEF_SGTYPE_": true, "BA_SGTYPE_": true,
	"SIG_TYPE_REF_": true, "SIGTYPE_VALTYPE_": true, "SIG_GROUP_": true, "SG_MUL_VAL_": true,
	"BA_DEF_REL_": true, "BA_REL_": true, "BA_DEF_DEF_REL_": true,
	"BU_SG_REL_": true, "BU_EV_REL_": true, "BU_BO_REL_": true,
	"CAT_DEF_": true, "CAT_": true, "FILTER": true, "NS_DESC_": true,
}

// endsWithLine are the statements that no semicolon ends.
var endsWithLine = map[string]bool{"VERSION": true, "BS_": true, "BU_": true, "BO_": true, "SG_": true, "NS_": true}

// prepare makes the text that the parser gets: UTF-8, with ignored statements
// overwritten by spaces, so that lines and columns stay. It also gives the place
// of the first statement on extended multiplexing.
func prepare(file string, data []byte) (text []byte, extended *Place) {
	text = utf8From(data)
	line, counted := 1, 0
	for i := 0; i < len(text); {
		word := wordAt(text, i)
		if word == "" {
			i++
			continue
		}
		end := statementEnd(text, i, word)
		switch {
		case word == "NS_":
			end = symbolsEnd(text, end)
			blank(text[i:end])
		case ignored[word]:
			if word == "SG_MUL_VAL_" && extended == nil {
				line += bytes.Count(text[counted:i], []byte{'\n'})
				counted = i
				extended = &Place{file, line, 1 + i - (bytes.LastIndexByte(text[:i], '\n') + 1)}
			}
			blank(text[i:end])
		}
		i = end
	}
	return text, extended
}

// utf8From is a copy of data. DBC files are mostly written in Windows-1252, whose
// upper half is, for the letters and signs that units and names need, Latin-1.
func utf8From(data []byte) []byte {
	if utf8.Valid(data) {
		return bytes.Clone(data)
	}
	text := make([]byte, 0, len(data)+len(data)/16)
	for _, b := range data {
		text = utf8.AppendRune(text, rune(b))
	}
	return text
}

// wordAt is the identifier that starts at i, "" if none does.
func wordAt(text []byte, i int) string {
	end := i
	for end < len(text) && isWord(text[end]) {
		end++
	}
	return string(text[i:end])
}

func isWord(c byte) bool {
	return c == '_' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}

// statementEnd is where the statement that starts at i ends: after a semicolon
// or before a newline, by its kind, outside of texts. A statement without its
// semicolon ends with the file, and the parser tells what is wrong with it.
func statementEnd(text []byte, i int, word string) int {
	quoted := false
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted && i+1 < len(text) && text[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n' && endsWithLine[word]:
			return i
		case c == ';':
			return i + 1
		}
	}
	return len(text)
}

// symbolsEnd is where the list under NS_ ends: before the first line that is
// not a lone word.
func symbolsEnd(text []byte, i int) int {
	for i < len(text) {
		end := len(text)
		if n := bytes.IndexByte(text[i+1:], '\n'); n >= 0 {
			end = i + 1 + n
		}
		symbol := bytes.TrimSpace(text[i:end])
		if len(symbol) != len(wordAt(symbol, 0)) {
			break
		}
		i = end
	}
	return i
}

func blank(text []byte) {
	for i, c := range text {
		if c != '\n' {
			text[i] = ' '
		}
	}
}
