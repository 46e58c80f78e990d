package dbc

import "math"

// Encode packs a physical value into data, the payload of the signal's message,
// and leaves all other bits alone: the inverse of Decode. The raw value is
// rounded to the nearest integer and held within what the signal's bits can
// express; Min and Max do not limit it. NaN packs as 0 in an integer. An
// infinity or a number too large for a 32-bit float becomes an infinity there.
// Of a signal with Scale 0, which has no inverse, physical-Offset is packed.
//
// Encode panics, as encoding/binary does, if data is shorter than the message.
// Select makes the frame one that carries a multiplexed signal.
func (s *Signal) Encode(data []byte, physical float64) {
	number := physical - s.Offset
	if s.Scale != 0 {
		number /= s.Scale
	}
	s.EncodeRaw(data, int64(s.nearest(number, physical)))
}

// EncodeRaw packs raw bits as Value.Raw has them: the inverse of Decode for who
// needs integers beyond 2^53 to the last digit. Bits beyond the signal's length
// are cut off.
func (s *Signal) EncodeRaw(data []byte, raw int64) {
	at := s.Start
	for i := range s.Length {
		bit := uint64(raw) >> i // from the least significant (Intel)
		if s.BigEndian {
			bit = uint64(raw) >> (s.Length - 1 - i)
		}
		setBit(data, at, bit&1)
		at = s.next(at)
	}
}

// Select sets every multiplexer that the signal depends on, so that the frame
// carries it: to the first value of each that does so. A signal that is not
// multiplexed needs nothing.
func (s *Signal) Select(data []byte) {
	for ; s.Selector != nil; s = s.Selector {
		s.Selector.EncodeRaw(data, int64(s.MuxValue))
	}
}

func setBit(data []byte, at int, bit uint64) {
	mask := byte(1) << (at % 8)
	if bit == 0 {
		data[at/8] &^= mask
	} else {
		data[at/8] |= mask
	}
}

// nearest is the raw form of a number. Where a large number was rounded on its
// way to physical or back, that is one beside it which decodes to physical.
func (s *Signal) nearest(number, physical float64) uint64 {
	first := s.bits(number)
	if s.physical(int64(first)) == physical {
		return first
	}
	number = math.RoundToEven(number)
	step := max(1, math.Nextafter(math.Abs(number), math.Inf(1))-math.Abs(number))
	for _, beside := range [...]float64{number + step, number - step} {
		if raw := s.bits(beside); s.physical(int64(raw)) == physical {
			return raw
		}
	}
	return first
}

// bits is the raw form of a number, as Value.Raw has it.
func (s *Signal) bits(number float64) uint64 {
	switch s.field.kind {
	case kindFloat32:
		return uint64(math.Float32bits(float32(number)))
	case kindFloat64:
		return math.Float64bits(number)
	}
	if math.IsNaN(number) {
		return 0
	}
	number = math.RoundToEven(number)
	if s.Signed {
		limit := math.Ldexp(1, s.Length-1)
		switch {
		case number >= limit:
			return 1<<(s.Length-1) - 1
		case number <= -limit:
			return math.MaxUint64 << (s.Length - 1)
		}
		return uint64(int64(number))
	}
	switch {
	case number >= math.Ldexp(1, s.Length):
		return s.field.mask
	case number <= 0:
		return 0
	}
	return uint64(number)
}
