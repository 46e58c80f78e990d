package canlog

import (
	"strconv"

	"github.com/fascia-edge/fascia/canbus/can"
)

// StampDigits are the decimals of the stamps that candump -l writes.
const StampDigits = 6

// AppendLine appends a frame as a line of candump -l, with its end:
//
//	(1600279140.020108) can0 2A0#480087182102F900
//
// stamp is in nanoseconds since 1970, not negative; digits, 0 to 9, are the
// decimals to write, the rest is cut off.
func AppendLine(dst []byte, stamp int64, digits int, bus string, fr *can.Frame) []byte {
	dst = append(dst, '(')
	dst = AppendStamp(dst, stamp, digits)
	dst = append(dst, ") "...)
	dst = append(dst, bus...)
	dst = append(dst, ' ')
	dst = fr.Append(dst)
	return append(dst, '\n')
}

// AppendStamp appends a stamp in nanoseconds as candump writes it: seconds of
// ten digits and the decimals.
func AppendStamp(dst []byte, stamp int64, digits int) []byte {
	dst = appendPadded(dst, stamp/1e9, 10)
	if digits > 0 {
		frac := stamp % 1e9
		for range 9 - digits {
			frac /= 10
		}
		dst = append(dst, '.')
		dst = appendPadded(dst, frac, digits)
	}
	return dst
}

// appendPadded appends v with leading zeros up to width, at most 10.
func appendPadded(dst []byte, v int64, width int) []byte {
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], v, 10)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
