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
// signals are among them when the multiplexer has their value. The frame is
// taken to be of this message: finding it by its identifier is the caller's
// part. A frame longer than the message is decoded.
//
// The error is ErrShort or ErrNoData, and dst is then returned as it was.
func (m *Message) Decode(fr *can.Frame, dst []Value) ([]Value, error) {
	if fr.Flags&(can.Remote|can.Error) != 0 {
		return dst, ErrNoData
	}
	if int(fr.Len) < m.Size {
		return dst, ErrShort
	}
	var chosen uint64
	if m.multiplexer != nil {
		chosen = uint64(m.multiplexer.raw(&fr.Data))
	}
	for i := range m.steps {
		st := &m.steps[i]
		if st.multiplexed && st.muxValue != chosen {
			continue
		}
		word := st.load(&fr.Data) // as in raw, which is too long to be inlined: 7 ns a signal, not 10
		if st.spill > 0 {
			word = st.withNinth(word, &fr.Data)
		}
		raw := st.cut(word)
		dst = append(dst, Value{st.signal, raw, st.physical(raw)})
	}
	return dst, nil
}

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

// step is what decoding a signal takes: 8 bytes loaded at a byte, shifted,
// masked, sign-extended and scaled. A frame always has 64 bytes of memory, so
// the load needs no care for its length: the mask cuts off what lies beyond.
type step struct {
	signal        *Signal
	mask          uint64
	scale, offset float64
	muxValue      uint64
	at            uint8 // byte of the load, at most 56
	shift         uint8 // right, after the load
	extend        uint8 // left and arithmetically right again: 64-length if signed, else 0
	spill         uint8 // bits in a ninth byte: a long signal that starts inside a byte
	kind          kind
	bigEndian     bool
	multiplexed   bool
}

// kind is how raw bits become a number.
type kind uint8

const (
	kindInt    kind = iota // signed, and unsigned of up to 63 bits
	kindUint64             // unsigned of 64 bits
	kindFloat32
	kindFloat64
)

// compile makes the step of a signal that lies within 64 bytes.
func (s *Signal) compile() {
	st := step{signal: s, scale: s.Scale, offset: s.Offset, multiplexed: s.Multiplexed, muxValue: s.MuxValue, bigEndian: s.BigEndian}
	st.mask = math.MaxUint64 >> (64 - s.Length)
	first := s.Start // counted from the least significant bit of byte 0 (Intel)
	if s.BigEndian {
		first = s.Start&^7 + 7 - s.Start&7 // from the most significant (Motorola)
	}
	st.at = uint8(min(first/8, can.MaxDataFD-8))
	skip := first - 8*int(st.at)
	if spill := skip + s.Length - 64; spill > 0 {
		st.spill = uint8(spill)
	}
	st.shift = uint8(skip)
	if s.BigEndian {
		st.shift = uint8(max(0, 64-skip-s.Length))
	}
	switch {
	case s.Float && s.Length == 32:
		st.kind = kindFloat32
	case s.Float:
		st.kind = kindFloat64
	case s.Signed:
		st.extend = uint8(64 - s.Length)
	case s.Length == 64:
		st.kind = kindUint64
	}
	s.step = st

	const exact = 1 << 53 // above it a float64 is an integer whatever was meant
	s.integer = !s.Float && s.Scale == math.Trunc(s.Scale) && s.Offset == math.Trunc(s.Offset) &&
		math.Abs(s.Scale) <= exact && math.Abs(s.Offset) <= exact
	s.fullUnsigned = st.kind == kindUint64
	if s.integer {
		s.intScale, s.intOffset = int64(s.Scale), int64(s.Offset)
	}
}

// raw is the signal's bits.
func (st *step) raw(data *[can.MaxDataFD]byte) int64 {
	word := st.load(data)
	if st.spill > 0 {
		word = st.withNinth(word, data)
	}
	return st.cut(word)
}

// load has the signal's bits in its low bits. Shifts are masked, here and in cut,
// because the compiler then leaves out its own care for shifts of 64 and more.
func (st *step) load(data *[can.MaxDataFD]byte) uint64 {
	word := binary.LittleEndian.Uint64(data[st.at:])
	if st.bigEndian {
		word = bits.ReverseBytes64(word)
	}
	return word >> (st.shift & 63)
}

// cut takes away what is not the signal's and extends the sign.
func (st *step) cut(word uint64) int64 {
	return int64(word&st.mask) << (st.extend & 63) >> (st.extend & 63)
}

// withNinth joins the bits of the ninth byte: above the others (Intel), where
// the shift left room, or below them (Motorola).
func (st *step) withNinth(word uint64, data *[can.MaxDataFD]byte) uint64 {
	ninth := uint64(data[st.at+8])
	if st.bigEndian {
		return word<<st.spill | ninth>>(8-st.spill)
	}
	return word | ninth<<(64-st.shift)
}

func (st *step) physical(raw int64) float64 {
	var number float64
	switch st.kind {
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
	return float64(number*st.scale) + st.offset
}
