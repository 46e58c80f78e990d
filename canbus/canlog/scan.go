package canlog

import (
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/canbus/can"
)

// maxSeconds keeps a stamp in nanoseconds within an int64 (the year 2262).
const maxSeconds = 9_223_372_035

// What a line can be refused for. They are made once: a log may have millions
// of bad lines.
var (
	errShort    = errors.New("the line ends before the frame does")
	errStamp    = errors.New("time stamp: want seconds with at most 9 decimals, e.g. 1600279140.020108")
	errByte     = errors.New("data: want two hexadecimal digits a byte")
	errTooLong  = errors.New("data: want at most 8 bytes, or 64 in a CAN FD frame")
	errFDLength = errors.New("data: no CAN FD frame has that length; want 0 to 8, 12, 16, 20, 24, 32, 48 or 64")
	errLength   = errors.New("length: want 0 to 8, or a length of CAN FD")
	errTrailing = errors.New("unexpected text after the frame")
	errID       = errors.New("frame id: want hexadecimal digits")
)

// nibbles maps a hexadecimal digit to its value, everything else to 0xFF.
var nibbles = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xFF
	}
	for i := range 10 {
		t['0'+i] = byte(i)
	}
	for i := range 6 {
		t['A'+i] = byte(10 + i)
		t['a'+i] = byte(10 + i)
	}
	return t
}()

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// trimEnd cuts the line's end and blanks before it.
func trimEnd(line []byte) []byte {
	n := len(line)
	for n > 0 && (line[n-1] <= ' ') {
		n--
	}
	return line[:n]
}

// nextWord splits the first word off; it is empty at the end of the line.
func nextWord(line []byte) (word, rest []byte) {
	i := 0
	for i < len(line) && isBlank(line[i]) {
		i++
	}
	j := i
	for j < len(line) && !isBlank(line[j]) {
		j++
	}
	return line[i:j], line[j:]
}

// hexNumber reads a whole word of 1 to 8 hexadecimal digits.
func hexNumber(word []byte) (uint32, bool) {
	if len(word) == 0 || len(word) > 8 {
		return 0, false
	}
	var v uint32
	for _, c := range word {
		n := nibbles[c]
		if n > 0xF {
			return 0, false
		}
		v = v<<4 | uint32(n)
	}
	return v, true
}

// decNumber reads a whole word of 1 to 10 decimal digits.
func decNumber(word []byte) (uint64, bool) {
	if len(word) == 0 || len(word) > 10 {
		return 0, false
	}
	var v uint64
	for _, c := range word {
		if !isDigit(c) {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// decimal reads digits with an optional fraction, at most 9 of them, as a whole
// number of 10⁻⁹. It refuses what is greater than maxSeconds.
func decimal(word []byte) (int64, bool) {
	whole, i := int64(0), 0
	for i < len(word) && isDigit(word[i]) {
		whole = whole*10 + int64(word[i]-'0')
		if i++; i > 10 {
			return 0, false
		}
	}
	if i == 0 || whole > maxSeconds {
		return 0, false
	}
	if i == len(word) {
		return whole * 1e9, true
	}
	if word[i] != '.' {
		return 0, false
	}
	frac, digits := int64(0), 0
	for i++; i < len(word); i++ {
		if !isDigit(word[i]) || digits == 9 {
			return 0, false
		}
		frac = frac*10 + int64(word[i]-'0')
		digits++
	}
	if digits == 0 {
		return 0, false
	}
	for ; digits < 9; digits++ {
		frac *= 10
	}
	return whole*1e9 + frac, true
}

// setID checks an identifier against its format and sets it.
func setID(fr *can.Frame, id uint32, extended bool) error {
	limit := uint32(can.MaxStandardID)
	if extended {
		limit = can.MaxExtendedID
		fr.Flags |= can.Extended
	}
	if id > limit {
		return fmt.Errorf("frame id 0x%X: want at most 0x%X", id, limit)
	}
	fr.ID = id
	return nil
}

// busError is the frame for an error that a log notes without the kernel's
// classes: CAN_ERR_BUSERROR of linux/can/error.h, details unknown.
var busError = can.Frame{ID: 0x80, Flags: can.Error, Len: 8}
