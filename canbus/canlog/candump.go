package canlog

import (
	"bytes"
	"errors"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Identifier bits in the eight digits that candump writes (linux/can.h).
const errorBit = 0x20000000

var (
	errNoFrame   = errors.New("no frame: want e.g. (1600279140.020108) can0 2A0#480087182102F900")
	errIDDigits  = errors.New("frame id: want 3 hexadecimal digits, or 8 for an extended one")
	errDropCount = errors.New("candump notes here that it lost frames")
	errXL        = errors.New("a CAN XL frame: want classic CAN or CAN FD")
)

// parseCandump reads a line of candump, in the log form (-l, -L)
//
//	(1600279140.020108) can0 2A0#480087182102F900
//
// or the console form with any of its options:
//
//	(1600279140.020108)  can0  2A0   [8]  48 00 87 18 21 02 F9 00
//
// Stamps may be absolute (-t a), with a date in local time (-t A), since the
// start (-t z) or differences (-t d). The last can't be told from those since
// the start and are read as such. Neither can a line of the log form that was
// cut off between two bytes be told from a shorter frame.
func (rd *Reader) parseCandump(line []byte) (bool, error) {
	rec := &rd.rec
	rec.HasStamp, rec.StampText, rec.Stamp = false, nil, 0
	if len(line) == 0 || line[0] == '\t' { // -e explains an error frame on lines of its own
		return false, nil
	}
	rest := line
	for len(rest) > 0 && isBlank(rest[0]) {
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] == '(' {
		end := bytes.IndexByte(rest, ')')
		if end < 0 {
			return false, errShort
		}
		stamp, ok := candumpStamp(rest[1:end])
		if !ok {
			return false, errStamp
		}
		rec.Stamp, rec.HasStamp, rec.StampText = stamp, true, rest[1:end]
		rest = rest[end+1:]
	}
	bus, rest := nextWord(rest)
	if len(bus) == 0 {
		return false, errShort
	}
	if bytes.Equal(bus, []byte("DROPCOUNT:")) {
		return false, errDropCount
	}
	word, rest := nextWord(rest)
	if len(word) == 0 {
		return false, errShort
	}

	fr := &rec.Frame
	*fr = can.Frame{}
	var err error
	if hash := bytes.IndexByte(word, '#'); hash >= 0 {
		err = candumpLog(fr, word, hash, rest)
	} else {
		err = candumpConsole(fr, word, rest)
	}
	if err != nil {
		return false, err
	}
	rec.Bus = rd.bus(bus)
	return true, nil
}

// candumpStamp reads seconds, or a date and time of day in local time as
// candump -t A prints it: 2020-09-16 18:39:00.020108.
func candumpStamp(text []byte) (int64, bool) {
	if len(text) < 19 || text[4] != '-' {
		return decimal(text)
	}
	field := func(from, to int) int {
		v, ok := decNumber(text[from:to])
		if !ok {
			return -1
		}
		return int(v)
	}
	year, month, day := field(0, 4), field(5, 7), field(8, 10)
	hour, minute := field(11, 13), field(14, 16)
	seconds, ok := decimal(text[17:])
	if year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > 31 ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || !ok || seconds >= 61e9 ||
		text[7] != '-' || text[10] != ' ' || text[13] != ':' || text[16] != ':' {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, 0, 0, time.Local)
	return t.UnixNano() + seconds, true
}

// candumpID reads the three or eight digits of an identifier.
func candumpID(fr *can.Frame, digits []byte) error {
	id, ok := hexNumber(digits)
	if !ok || len(digits) != 3 && len(digits) != 8 {
		return errIDDigits
	}
	if len(digits) == 8 && id&errorBit != 0 && id < errorBit<<1 {
		fr.ID, fr.Flags = id&^errorBit, can.Error
		return nil
	}
	return setID(fr, id, len(digits) == 8)
}

// candumpLog reads id#data, id#R[length] and id##flags+data, which cansend
// takes as well: dots may stand between bytes. rest may hold the direction.
func candumpLog(fr *can.Frame, word []byte, hash int, rest []byte) error {
	if err := candumpID(fr, word[:hash]); err != nil {
		return err
	}
	if dir, rest := nextWord(rest); len(dir) > 0 {
		if len(dir) > 1 || dir[0] != 'R' && dir[0] != 'T' || len(trimEnd(rest)) > 0 {
			return errTrailing
		}
	}
	data, limit := word[hash+1:], can.MaxData
	if len(data) > 0 {
		switch data[0] {
		case 'R', 'r':
			return candumpRemote(fr, data[1:])
		case '#':
			if len(data) < 2 || nibbles[data[1]] > 0xF {
				return errShort
			}
			setFDFlags(fr, nibbles[data[1]])
			data, limit = data[2:], can.MaxDataFD
		}
	}
	n := 0
	for len(data) > 0 {
		if data[0] == '.' {
			data = data[1:]
			continue
		}
		if data[0] == '_' && n == can.MaxData && len(data) == 2 {
			break // the raw length code of a classic frame of 8 bytes, 9 to F
		}
		if data[0] == ':' {
			return errXL
		}
		if n == limit {
			return errTooLong
		}
		if len(data) < 2 {
			return errShort
		}
		hi, lo := nibbles[data[0]], nibbles[data[1]]
		if hi|lo > 0xF {
			return errByte
		}
		fr.Data[n] = hi<<4 | lo
		n++
		data = data[2:]
	}
	if n > can.MaxData && !can.IsFDLength(n) {
		return errFDLength
	}
	fr.Len = uint8(n)
	return nil
}

func candumpRemote(fr *can.Frame, length []byte) error {
	fr.Flags |= can.Remote
	if len(length) == 0 {
		return nil
	}
	if length[0] < '0' || length[0] > '8' || len(length) > 1 && length[1] != '_' {
		return errLength
	}
	fr.Len = length[0] - '0'
	return nil
}

// setFDFlags takes the flags of struct canfd_frame: 1 is BRS, 2 is ESI. 4 only
// says again that it is a CAN FD frame.
func setFDFlags(fr *can.Frame, flags byte) {
	fr.Flags |= can.FD
	if flags&1 != 0 {
		fr.Flags |= can.BRS
	}
	if flags&2 != 0 {
		fr.Flags |= can.ESI
	}
}

// candumpConsole reads what follows the bus on the console:
//
//	2A0   [8]  48 00 87 18 21 02 F9 00   'H...!...'
//	RX B -  12345678  [12]  01 02 03 04 05 06 07 08 09 0A 0B 0C
//	123   [0]  remote request
//
// A CAN FD frame is told by the two digits of its length.
func candumpConsole(fr *can.Frame, word, rest []byte) error {
	var flags byte
	if len(word) == 2 && word[1] == 'X' && (word[0] == 'R' || word[0] == 'T') { // -x
		var brs, esi []byte
		brs, rest = nextWord(rest)
		esi, rest = nextWord(rest)
		word, rest = nextWord(rest)
		if bytes.Equal(brs, []byte("B")) {
			flags |= 1
		}
		if bytes.Equal(esi, []byte("E")) {
			flags |= 2
		}
	}
	length, rest := nextWord(rest)
	switch {
	case len(length) == 0:
		return errShort
	case length[0] != '[' && length[0] != '{':
		return errNoFrame
	}
	if err := candumpID(fr, word); err != nil {
		return err
	}
	n, err := consoleLength(fr, length, flags)
	if err != nil {
		return err
	}
	if first, second := nextWord(rest); bytes.Equal(first, []byte("remote")) {
		if second, _ = nextWord(second); !bytes.Equal(second, []byte("request")) {
			return errShort
		}
		fr.Flags |= can.Remote
		fr.Len = uint8(n)
		return nil
	}
	if rest, err = consoleData(fr, n, rest); err != nil {
		return err
	}
	fr.Len = uint8(n)

	// The rest is the column of -a or the word ERRORFRAME.
	if tail, _ := nextWord(rest); len(tail) > 0 && tail[0] != '\'' && tail[0] != '`' &&
		!bytes.Equal(tail, []byte("ERRORFRAME")) {
		return errTrailing
	}
	return nil
}

// consoleLength reads [8], [08] of a CAN FD frame, or {F}, a classic frame of 8
// bytes with a raw length code above 8.
func consoleLength(fr *can.Frame, word []byte, flags byte) (int, error) {
	last := len(word) - 1
	switch {
	case len(word) == 3 && word[0] == '[' && word[last] == ']' && word[1] >= '0' && word[1] <= '8':
		return int(word[1] - '0'), nil
	case len(word) == 3 && word[0] == '{' && word[last] == '}' && nibbles[word[1]] <= 0xF:
		return can.MaxData, nil
	case len(word) == 4 && word[0] == '[' && word[last] == ']':
		n, ok := decNumber(word[1:last])
		if !ok || !can.IsFDLength(int(n)) {
			return 0, errFDLength
		}
		setFDFlags(fr, flags)
		return int(n), nil
	}
	return 0, errLength
}

// consoleData reads n bytes: two hexadecimal digits each, or eight binary ones
// (-i). With -S they come last byte first, a backquote between them.
func consoleData(fr *can.Frame, n int, rest []byte) ([]byte, error) {
	swapped := false
	for i := range n {
		for len(rest) > 0 && (isBlank(rest[0]) || i > 0 && rest[0] == '`') {
			swapped = swapped || rest[0] == '`'
			rest = rest[1:]
		}
		digits := 0
		for digits < len(rest) && nibbles[rest[digits]] <= 0xF {
			digits++
		}
		switch {
		case digits == 2:
			fr.Data[i] = nibbles[rest[0]]<<4 | nibbles[rest[1]]
		case digits == 8:
			b := byte(0)
			for _, c := range rest[:8] {
				if c > '1' {
					return nil, errByte
				}
				b = b<<1 | (c - '0')
			}
			fr.Data[i] = b
		case digits == len(rest):
			return nil, errShort
		default:
			return nil, errByte
		}
		rest = rest[digits:]
	}
	if swapped {
		for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
			fr.Data[i], fr.Data[j] = fr.Data[j], fr.Data[i]
		}
	}
	return rest, nil
}
