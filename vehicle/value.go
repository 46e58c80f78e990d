package vehicle

import (
	"encoding/json"
	"math"
	"strconv"
)

// Kind tells what a Value holds.
type Kind uint8

const (
	KindNone    Kind = iota // never seen: the zero Value
	KindInvalid             // seen, and not a usable value: not a number, out of range, no such enumeration
	KindBool
	KindInt   // an integer within int64
	KindUint  // an integer above the largest int64
	KindFloat // a finite float64
	KindString
)

var kindNames = [...]string{"none", "invalid", "bool", "int", "uint", "float", "string"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is one value of the vehicle: small, passed by value, safe to share. Two
// values are the same when == says so: an integer has one form whichever
// constructor made it, a float is never NaN and never minus zero. An integer
// and a float are different values even where their numbers agree.
type Value struct {
	kind Kind
	num  uint64 // bool, integer or the bits of a float, by kind
	text string
}

// Invalid is the value of a signal that was received and means nothing.
func Invalid() Value { return Value{kind: KindInvalid} }

// Bool makes a boolean.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.num = 1
	}
	return v
}

// Int makes an integer.
func Int(i int64) Value { return Value{kind: KindInt, num: uint64(i)} }

// Uint makes an integer; up to the largest int64 it equals the Int of the same number.
func Uint(u uint64) Value {
	if u > math.MaxInt64 {
		return Value{kind: KindUint, num: u}
	}
	return Value{kind: KindInt, num: u}
}

// Float makes a number with a fraction; NaN and the infinities become Invalid.
func Float(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Invalid()
	}
	if f == 0 {
		f = 0 // minus zero prints as -0 and differs in its bits
	}
	return Value{kind: KindFloat, num: math.Float64bits(f)}
}

// String makes a text, such as the name of an enumeration's value.
func String(s string) Value { return Value{kind: KindString, text: s} }

// Kind tells what v holds.
func (v Value) Kind() Kind { return v.kind }

// IsSet reports whether v was ever seen, usable or not.
func (v Value) IsSet() bool { return v.kind != KindNone }

// IsValid reports whether v was seen and is usable.
func (v Value) IsValid() bool { return v.kind > KindInvalid }

// Equal reports whether v and w are the same value.
func (v Value) Equal(w Value) bool { return v == w }

// Bool is v as a boolean; false if it isn't one.
func (v Value) Bool() (b, ok bool) { return v.kind == KindBool && v.num == 1, v.kind == KindBool }

// Int is v as an integer; false if it isn't one or lies outside int64.
func (v Value) Int() (int64, bool) {
	if v.kind != KindInt {
		return 0, false
	}
	return int64(v.num), true
}

// Uint is v as an integer; false if it isn't one or is negative.
func (v Value) Uint() (uint64, bool) {
	if v.kind == KindUint || v.kind == KindInt && int64(v.num) >= 0 {
		return v.num, true
	}
	return 0, false
}

// Text is v as a text; false if it isn't one.
func (v Value) Text() (string, bool) { return v.text, v.kind == KindString }

// Number is v as a float64; false if it isn't a number. Integers beyond 2^53
// are rounded.
func (v Value) Number() (float64, bool) {
	switch v.kind {
	case KindInt:
		return float64(int64(v.num)), true
	case KindUint:
		return float64(v.num), true
	case KindFloat:
		return math.Float64frombits(v.num), true
	}
	return 0, false
}

// Any is v as expressions see it: bool, int64, uint64, float64, string, or nil
// when it isn't valid.
func (v Value) Any() any {
	switch v.kind {
	case KindBool:
		return v.num == 1
	case KindInt:
		return int64(v.num)
	case KindUint:
		return v.num
	case KindFloat:
		return math.Float64frombits(v.num)
	case KindString:
		return v.text
	}
	return nil
}

// String is v as JSON.
func (v Value) String() string { return string(v.AppendJSON(nil)) }

// AppendJSON appends v as JSON: integers exactly, floats with the fewest digits
// that give the same float64 again, null for what isn't valid.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(dst, v.num == 1)
	case KindInt:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case KindUint:
		return strconv.AppendUint(dst, v.num, 10)
	case KindFloat:
		return appendFloat(dst, math.Float64frombits(v.num))
	case KindString:
		return appendText(dst, v.text)
	}
	return append(dst, "null"...)
}

// appendFloat switches to an exponent where encoding/json does (the rule of
// ECMAScript's Number.toString), so that 1e9 prints as 1000000000.
func appendFloat(dst []byte, f float64) []byte {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always marshals; foreign bytes become U+FFFD
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
