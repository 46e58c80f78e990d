package protocol

import (
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
)

// Integer is a whole number as clients send it. JavaScript sends those from 2^53 on
// as floating point numbers, 2^63-1 as 2^63: what is out of range becomes the
// nearest number that is in range.
type Integer int64

// maxAnswered is the largest number that every client takes.
const maxAnswered = 1<<53 - 1

// Or is the number, or a default if it is absent.
func (i *Integer) Or(absent int64) int64 {
	if i == nil {
		return absent
	}
	return int64(*i)
}

// UnmarshalCBOR takes integers, and floating point numbers that are whole.
func (i *Integer) UnmarshalCBOR(b []byte) error {
	var n any
	if err := decoding.Unmarshal(b, &n); err != nil {
		return err
	}
	switch n := n.(type) {
	case uint64:
		*i = Integer(min(n, math.MaxInt64))
	case int64:
		*i = Integer(n)
	case float64:
		if n != math.Trunc(n) { // NaN too
			return fmt.Errorf("number %v: want a whole one", n)
		}
		switch {
		case n >= math.MaxInt64:
			*i = math.MaxInt64
		case n <= math.MinInt64:
			*i = math.MinInt64
		default:
			*i = Integer(n)
		}
	default:
		return fmt.Errorf("%s: want a whole number", kindOf(b))
	}
	return nil
}

// MarshalCBOR gives a number that every client takes.
func (i Integer) MarshalCBOR() ([]byte, error) {
	return cbor.Marshal(max(-maxAnswered, min(int64(i), maxAnswered)))
}

// kindOf names what an encoded value is.
func kindOf(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	return [...]string{"an unsigned number", "a negative number", "a byte string", "text", "an array", "a map", "a tag", "a simple value"}[b[0]>>5]
}

// decoding takes what the SDKs send, maps of unknown length too, and bounds what
// others send.
var decoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   16,
		MaxArrayElements:  4096,
		MaxMapPairs:       256,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		IntDec:            cbor.IntDecConvertNone,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return mode
}()
