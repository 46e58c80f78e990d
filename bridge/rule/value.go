package rule

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
)

// reading is what a payload says: value is the part that on_change compares, as it
// stands there, and number what deadband compares, if it is one. The value is the
// member "value" of a JSON object, the first item of a CBOR list of two (value and
// time), else the whole payload.
func reading(payload []byte) (value []byte, number float64, isNumber bool) {
	if len(payload) > 0 && payload[0] == cborPair {
		if n := cborScalar(payload[1:]); n > 0 {
			value = payload[1 : 1+n]
			number, isNumber = cborNumber(value)
			return value, number, isNumber
		}
	}
	value = payload
	if v, ok := member(payload, `"value"`); ok {
		value = v
	}
	number, isNumber = jsonNumber(value)
	return value, number, isNumber
}

// jsonNumber reads a number as JSON has them (RFC 8259 §6).
func jsonNumber(b []byte) (float64, bool) {
	b = bytes.TrimSpace(b)
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9' || c == '-':
		case i > 0 && (c == '.' || c == '+' || c == 'e' || c == 'E'):
		default:
			return 0, false // strconv knows hexadecimal and infinities too
		}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	return f, err == nil
}

// member finds the value of a member of a JSON object without reading the rest into
// memory: key is its name with quotes, as it stands there.
func member(object []byte, key string) (value []byte, ok bool) {
	at := space(object, 0)
	if at >= len(object) || object[at] != '{' {
		return nil, false
	}
	for at = space(object, at+1); at < len(object) && object[at] == '"'; at = space(object, at+1) {
		end := skip(object, at)
		if end < 0 {
			return nil, false
		}
		name := object[at:end]
		at = space(object, end)
		if at >= len(object) || object[at] != ':' {
			return nil, false
		}
		at = space(object, at+1)
		if end = skip(object, at); end < 0 {
			return nil, false
		}
		if string(name) == key {
			return object[at:end], true
		}
		at = space(object, end)
		if at >= len(object) || object[at] != ',' {
			return nil, false
		}
	}
	return nil, false
}

// space is the first place from at on that is no white space.
func space(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\n' || b[at] == '\r' || b[at] == '\t') {
		at++
	}
	return at
}

// skip is the place behind the JSON value that begins at at; -1 if there is no whole
// one.
func skip(b []byte, at int) int {
	depth := 0
	for at < len(b) {
		switch b[at] {
		case '"':
			if at = quoted(b, at); at < 0 {
				return -1
			}
		case '{', '[':
			depth++
			at++
		case '}', ']':
			if depth == 0 {
				return -1
			}
			depth--
			at++
		case ',', ':', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return -1
			}
			at++
			continue
		default:
			for at < len(b) && !ends(b[at]) {
				at++
			}
		}
		if depth == 0 {
			return at
		}
	}
	return -1
}

// quoted is the place behind the string that begins at at, -1 if it has no end.
func quoted(b []byte, at int) int {
	for at++; at < len(b); at++ {
		switch b[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return -1
}

func ends(c byte) bool {
	switch c {
	case '"', '{', '[', '}', ']', ',', ':', ' ', '\n', '\r', '\t':
		return true
	}
	return false
}

// cborPair is the head of a list of two items (RFC 8949 §3).
const cborPair = 0x82

// cborScalar is the length of the CBOR item that b begins with, 0 if that is no
// number, text, boolean or null.
func cborScalar(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	major, head := b[0]>>5, cborHead(b[0])
	if head == 0 || len(b) < head {
		return 0
	}
	switch major {
	case 0, 1, 7:
		return head
	case 2, 3:
		if n := cborArgument(b[:head]); n <= uint64(len(b)-head) {
			return head + int(n)
		}
	}
	return 0
}

// cborHead is how many bytes an item's head has by its first one, 0 for a form that
// isn't definite.
func cborHead(first byte) int {
	switch low := first & 31; {
	case low < 24:
		return 1
	case low <= 27:
		return 1 + 1<<(low-24)
	}
	return 0
}

func cborArgument(head []byte) uint64 {
	switch len(head) {
	case 1:
		return uint64(head[0] & 31)
	case 2:
		return uint64(head[1])
	case 3:
		return uint64(binary.BigEndian.Uint16(head[1:]))
	case 5:
		return uint64(binary.BigEndian.Uint32(head[1:]))
	}
	return binary.BigEndian.Uint64(head[1:])
}

// cborNumber reads an item that cborScalar has measured.
func cborNumber(b []byte) (float64, bool) {
	if major := b[0] >> 5; major == 2 || major == 3 {
		return 0, false
	}
	var f float64
	switch n := cborArgument(b); {
	case b[0]>>5 == 0:
		f = float64(n)
	case b[0]>>5 == 1:
		f = -1 - float64(n)
	case b[0] == 0xF9:
		f = half(uint16(n))
	case b[0] == 0xFA:
		f = float64(math.Float32frombits(uint32(n)))
	case b[0] == 0xFB:
		f = math.Float64frombits(n)
	default:
		return 0, false
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// half is a float of 16 bits (RFC 8949 appendix D).
func half(h uint16) float64 {
	exponent, mantissa := int(h>>10&31), float64(h&1023)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		f = math.Inf(1)
		if mantissa != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if h>>15 != 0 {
		return -f
	}
	return f
}
