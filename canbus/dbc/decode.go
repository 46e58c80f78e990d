package dbc

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/vehicle"
)

var (
	// ErrShort is a frame with fewer bytes than its message.
	ErrShort = errors.New("dbc: frame is shorter than its message")
	// ErrNoData is a remote or error frame: its bytes are no signals.
	ErrNoData = errors.New("dbc: frame carries no signals (remote or error frame)")
)

// Value is a signal as one frame carried it.
type Value struct {
	Signal *Signal
	// Raw is the signal's bits, sign-extended if it is signed; of an unsigned
	// 64-bit signal uint64(Raw) is the number, of a float its bits.
	Raw int64
	// Physical is Raw×Scale+Offset in float64, the same on every machine.
	Physical float64
}

// Decode appends the values that the frame carries to dst, in the order of the
// file, and returns it; it allocates only where dst has no room. Multiplexed
// signals are among them when every multiplexer above them has their value. The
// frame is taken to be of this message: finding it by its identifier is the
// caller's part. A frame longer than the message is decoded.
//
// The error is ErrShort or ErrNoData, and dst is then returned as it was.
func (m *Message) Decode(fr *can.Frame, dst []Value) ([]Value, error) { return m.plan.Decode(fr, dst) }

// Number is the physical value, exactly: an integer if the signal's values are
// integers and this one fits 64 bits, else a float. NaN and the infinities are
// invalid.
func (v Value) Number() vehicle.Value {
	s := v.Signal
	if !s.integer {
		return vehicle.Float(v.Physical)
	}
	if s.fullUnsigned && v.Raw < 0 {
		if s.intScale == 1 && s.intOffset == 0 {
			return vehicle.Uint(uint64(v.Raw))
		}
		return vehicle.Float(v.Physical)
	}
	product := v.Raw * s.intScale
	sum := product + s.intOffset
	overflows := s.intScale != 0 && (product/s.intScale != v.Raw || s.intScale == -1 && v.Raw == math.MinInt64) ||
		(sum > product) != (s.intOffset > 0)
	if overflows {
		return vehicle.Float(v.Physical)
	}
	return vehicle.Int(sum)
}

// AppendJSON appends the physical value as JSON: integers exactly, floats with
// the fewest digits that give the same number again, null for NaN and the
// infinities.
func (v Value) AppendJSON(dst []byte) []byte { return v.Number().AppendJSON(dst) }

// Choice is the name that the database gives the raw value, if it gives one.
func (v Value) Choice() (string, bool) {
	name, ok := v.Signal.Choices[v.Raw]
	return name, ok
}

// kind is how raw bits become a number.
type kind uint8

const (
	kindInt    kind = iota // signed, and unsigned of up to 63 bits
	kindUint64             // unsigned of 64 bits
	kindFloat32
	kindFloat64
)

// field is where a signal's bits are: within 8 bytes loaded at a byte, and for a
// long signal that starts inside a byte in a ninth. A frame always has 64 bytes
// of memory, so the load needs no care for its length.
type field struct {
	at        uint8 // byte of the load, at most 56
	skip      uint8 // bits of the load before the signal's first, in its own order
	kind      kind
	bigEndian bool
	ninth     bool
	right     uint8  // 64 - length
	mask      uint64 // all ones if the sign is to be kept, which the shift extends
}

// compile finds the field of a signal that lies within 64 bytes.
func (s *Signal) compile() {
	first := s.firstBit()
	at := min(first/8, can.MaxDataFD-8)
	f := field{at: uint8(at), skip: uint8(first - 8*at), bigEndian: s.BigEndian, right: uint8(64 - s.Length), mask: math.MaxUint64}
	f.ninth = int(f.skip)+s.Length > 64
	if s.Float || !s.Signed {
		f.mask >>= f.right
	}
	switch {
	case s.Float && s.Length == 32:
		f.kind = kindFloat32
	case s.Float:
		f.kind = kindFloat64
	case s.Length == 64 && !s.Signed:
		f.kind = kindUint64
	}
	s.field = f

	const exact = 1 << 53 // above it a float64 is an integer whatever was meant
	s.integer = !s.Float && s.Scale == math.Trunc(s.Scale) && s.Offset == math.Trunc(s.Offset) &&
		math.Abs(s.Scale) <= exact && math.Abs(s.Offset) <= exact
	s.fullUnsigned = f.kind == kindUint64
	if s.integer {
		s.intScale, s.intOffset = int64(s.Scale), int64(s.Offset)
	}
}

// raw is the signal's bits, sign-extended if it is signed.
func (f *field) raw(data *[can.MaxDataFD]byte) int64 {
	return int64(f.top(data)) >> (f.right & 63) & int64(f.mask)
}

// selected is the signal's bits as a multiplexer is read: without a sign.
func (f *field) selected(data *[can.MaxDataFD]byte) uint64 { return f.top(data) >> (f.right & 63) }

// top has the signal's bits in its uppermost bits.
func (f *field) top(data *[can.MaxDataFD]byte) uint64 {
	word := binary.LittleEndian.Uint64(data[f.at:])
	if f.bigEndian {
		word = bits.ReverseBytes64(word) << f.skip
		if f.ninth {
			word |= uint64(data[f.at+8]) >> (8 - f.skip)
		}
		return word
	}
	word >>= f.skip
	if f.ninth {
		word |= uint64(data[f.at+8]) << (64 - f.skip)
	}
	return word << f.right
}

// physical is the number that raw bits stand for.
func (s *Signal) physical(raw int64) float64 {
	var number float64
	switch s.field.kind {
	case kindInt:
		number = float64(raw)
	case kindUint64:
		number = float64(uint64(raw))
	case kindFloat32:
		number = float64(math.Float32frombits(uint32(raw)))
	case kindFloat64:
		number = math.Float64frombits(uint64(raw))
	}
	// The conversion forbids fusing the multiplication with the addition, which
	// some processors do and which changes the last digit.
	return float64(number*s.Scale) + s.Offset
}
