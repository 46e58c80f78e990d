package dbc

import (
	"bytes"
	"unicode/utf8"
)

// windows1252 are the characters of the bytes 0x80 to 0x9F in Windows-1252, in
// which Vector's editor writes; its other bytes are Latin-1. Five stand for
// nothing and are kept as the control characters of Latin-1.
var windows1252 = [32]rune{
	'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8D, 'Ž', 0x8F,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9D, 'ž', 'Ÿ',
}

// utf8From is data as UTF-8, without a byte order mark, and where the first byte
// stands that made it read as Windows-1252, -1 if it was UTF-8.
func utf8From(data []byte) (text []byte, foreign int) {
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	if utf8.Valid(data) {
		return data, -1
	}
	foreign = len(bytes.ToValidUTF8(data, nil)) // at the latest
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			foreign = i
			break
		}
		i += n
	}
	text = make([]byte, 0, len(data)+len(data)/16)
	for i, b := range data {
		if i == foreign {
			foreign = len(text)
		}
		switch {
		case 0x80 <= b && b < 0xA0:
			text = utf8.AppendRune(text, windows1252[b-0x80])
		default:
			text = utf8.AppendRune(text, rune(b))
		}
	}
	return text, foreign
}

// refused tells why data can't be the text of a DBC file, and at which byte;
// the reason is "" if nothing speaks against it.
func refused(data []byte) (at int, reason string) {
	for _, mark := range []string{"\xFF\xFE", "\xFE\xFF"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return 0, "the file is written in UTF-16: want UTF-8 or Windows-1252"
		}
	}
	for i, b := range data {
		if b < ' ' && b != '\n' && b != '\r' && b != '\t' && b != '\f' && b != '\v' && b != 0x1A { // ^Z ended texts under CP/M and DOS
			return i, "the file is binary, not text: want a DBC file"
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return 0, "the file is empty: want a DBC file"
	}
	return 0, ""
}
