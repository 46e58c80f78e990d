package batch

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/fascia-edge/fascia/vehicle"
)

// kind tells what the payloads of a stream hold.
type kind uint8

const (
	kindBytes  kind = iota // anything, as it is
	kindNumber             // in CBOR a float64
	kindBool
	kindText
	kindInvalid // null, with "quality":"invalid" in JSON
	kindInteger // CBOR only: JSON doesn't tell 5 from 5.0
	kinds
)

// value is a payload in the form in which the vehicle's values are published.
type value struct {
	kind  kind
	num   number
	truth bool
	text  []byte // within the payload
	token []byte // JSON: the value as it stands there
	ms    int64  // its time, since 1970
}

// exact is the largest integer up to which a float64 holds them all.
const exact = 1 << 53

// number is mantissa ÷ 10^places. With places -1 it has no short decimal form, and
// mantissa is the bits of the float64.
type number struct {
	mantissa int64
	places   int8
}

// The parts of a value in JSON.
const (
	jsonHead    = `{"value":`
	jsonStamp   = `,"ts":"`
	jsonTail    = `"}`
	jsonInvalid = `","quality":"invalid"}`
)

// parseJSON reads a value in JSON. It is not ok if appendJSON would not write the
// very same bytes.
func parseJSON(payload []byte) (v value, ok bool) {
	rest, ok := bytes.CutPrefix(payload, []byte(jsonHead))
	if !ok || len(rest) == 0 {
		return v, false
	}
	end := 0
	switch rest[0] {
	case '"':
		end = 1 + bytes.IndexByte(rest[1:], '"') + 1
		if end < 2 || !isPrintable(rest[1:end-1]) {
			return v, false
		}
		v.kind, v.text = kindText, rest[1:end-1]
	case 't':
		v.kind, v.truth, end = kindBool, true, len("true")
	case 'f':
		v.kind, end = kindBool, len("false")
	case 'n':
		v.kind, end = kindInvalid, len("null")
	default:
		end = bytes.IndexByte(rest, ',')
		if end < 0 {
			return v, false
		}
		v.kind = kindNumber
		if v.num, ok = parseNumber(rest[:end]); !ok {
			return v, false
		}
	}
	if end > len(rest) {
		return v, false
	}
	v.token = rest[:end]
	if v.kind == kindBool && string(v.token) != strconv.FormatBool(v.truth) || v.kind == kindInvalid && string(v.token) != "null" {
		return v, false
	}
	tail := jsonTail
	if v.kind == kindInvalid {
		tail = jsonInvalid
	}
	rest = rest[end:]
	if len(rest) != len(jsonStamp)+len(stampLayout)+len(tail) ||
		string(rest[:len(jsonStamp)]) != jsonStamp || string(rest[len(jsonStamp)+len(stampLayout):]) != tail {
		return v, false
	}
	v.ms, ok = parseStamp(rest[len(jsonStamp) : len(jsonStamp)+len(stampLayout)])
	return v, ok
}

// appendJSON appends the payload of a value in JSON.
func (v *value) appendJSON(dst []byte) []byte {
	dst = append(dst, jsonHead...)
	switch v.kind {
	case kindNumber:
		dst = v.num.appendText(dst)
	case kindBool:
		dst = strconv.AppendBool(dst, v.truth)
	case kindText:
		dst = append(append(append(dst, '"'), v.text...), '"')
	default:
		dst = append(dst, "null"...)
	}
	dst = append(dst, jsonStamp...)
	dst = appendStamp(dst, v.ms)
	if v.kind == kindInvalid {
		return append(dst, jsonInvalid...)
	}
	return append(dst, jsonTail...)
}

// parseCBOR reads a value in CBOR, [value, milliseconds since 1970]; likewise.
func parseCBOR(payload []byte) (v value, ok bool) {
	r := reader{data: payload}
	if n, err := r.head(majorArray); err != nil || n != 2 {
		return v, false
	}
	switch b := r.peek(); b {
	case initialTrue, initialFalse:
		v.kind, v.truth = kindBool, b == initialTrue
		r.at++
	case initialNull:
		v.kind = kindInvalid
		r.at++
	case initialFloat64:
		f, err := r.float()
		if err != nil {
			return v, false
		}
		v.kind, v.num = kindNumber, numberOf(f)
	default:
		if b>>5 == majorText {
			text, err := r.bytes(majorText)
			if err != nil {
				return v, false
			}
			v.kind, v.text = kindText, text
			break
		}
		n, err := r.int()
		if err != nil || n < -exact || n > exact {
			return v, false
		}
		v.kind, v.num = kindInteger, number{mantissa: n}
	}
	ms, err := r.int()
	if err != nil || !inRange(ms) || r.at != len(payload) {
		return v, false
	}
	v.ms = ms
	return v, bytes.Equal(v.appendCBOR(make([]byte, 0, 64)), payload)
}

// appendCBOR appends the payload of a value in CBOR.
func (v *value) appendCBOR(dst []byte) []byte {
	dst = append(dst, majorArray<<5|2)
	switch v.kind {
	case kindNumber:
		dst = appendFloat(dst, v.num.float())
	case kindInteger:
		dst = appendInt(dst, v.num.mantissa)
	case kindBool:
		if v.truth {
			dst = append(dst, initialTrue)
		} else {
			dst = append(dst, initialFalse)
		}
	case kindText:
		dst = appendHead(dst, majorText, uint64(len(v.text)))
		dst = append(dst, v.text...)
	default:
		dst = append(dst, initialNull)
	}
	return appendInt(dst, v.ms)
}

// parseNumber reads a number as vehicle.Value writes it; not ok if it would write
// it otherwise.
func parseNumber(text []byte) (n number, ok bool) {
	if n, ok = parseDecimal(text); ok {
		return n, true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f == 0 {
		return n, false
	}
	var again [32]byte
	return numberOf(f), bytes.Equal(vehicle.Float(f).AppendJSON(again[:0]), text)
}

// parseDecimal reads a number of at most 15 digits that is written with the fewest,
// and without an exponent. So few digits stand for one float64, and are what that
// is printed as.
func parseDecimal(text []byte) (n number, ok bool) {
	digits, negative := text, false
	if len(digits) > 0 && digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if len(digits) == 0 || len(digits) > 16 {
		return n, false
	}
	point := -1
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			n.mantissa = n.mantissa*10 + int64(c-'0')
		case c == '.' && point < 0 && i > 0:
			point = i
		default:
			return n, false
		}
	}
	whole := len(digits)
	if point >= 0 {
		whole = point
		n.places = int8(len(digits) - point - 1)
		if n.places == 0 || digits[len(digits)-1] == '0' {
			return n, false
		}
	} else if len(digits) == 16 {
		return n, false
	}
	if whole > 1 && digits[0] == '0' || negative && n.mantissa == 0 {
		return n, false
	}
	if n.places > 6 && float64(n.mantissa) < math.Pow10(int(n.places)-6) {
		return n, false // it is printed with an exponent
	}
	if negative {
		n.mantissa = -n.mantissa
	}
	return n, true
}

// numberOf is a float as a number.
func numberOf(f float64) number {
	if !(math.Abs(f) >= 1e-6 && math.Abs(f) < exact) && (f != 0 || math.Signbit(f)) {
		return number{int64(math.Float64bits(f)), -1}
	}
	var text [32]byte
	if n, ok := parseDecimal(strconv.AppendFloat(text[:0], f, 'f', -1, 64)); ok {
		return n
	}
	return number{int64(math.Float64bits(f)), -1}
}

// float is the number as a float64. Up to 22 places both operands are exact, so
// the quotient is the float64 nearest to the decimal (IEEE 754 §5.1).
func (n number) float() float64 {
	if n.places < 0 {
		return math.Float64frombits(uint64(n.mantissa))
	}
	return float64(n.mantissa) / math.Pow10(int(n.places))
}

func (n number) appendText(dst []byte) []byte {
	if n.places == 0 {
		return strconv.AppendInt(dst, n.mantissa, 10)
	}
	return vehicle.Float(n.float()).AppendJSON(dst)
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, initialFloat64), math.Float64bits(f))
}
