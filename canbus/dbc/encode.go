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
// The choice of the multiplexer's value is the caller's.
func (s *Signal) Encode(data []byte, physical float64) {
	number := physical - s.Offset
	if s.Scale != 0 {
		number /= s.Scale
	}
	bits := s.bits(number)
	at := s.Start
	for i := range s.Length {
		bit := bits >> i // from the least significant (Intel)
		if s.BigEndian {
			bit = bits >> (s.Length - 1 - i)
		}
		setBit(data, at, bit&1)
		at = s.next(at)
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

// bits is the raw form of a number, in the low Length bits.
func (s *Signal) bits(number float64) uint64 {
	switch s.step.kind {
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
			return 1 << (s.Length - 1)
		}
		return uint64(int64(number))
	}
	switch {
	case number >= math.Ldexp(1, s.Length):
		return s.step.mask
	case number <= 0:
		return 0
	}
	return uint64(number)
}
