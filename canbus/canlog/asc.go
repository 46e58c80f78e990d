package canlog

import (
	"bytes"
	"errors"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Bits of the flags that follow the data of a CANFD line (Vector, "CAN Log and
// Trigger ASCII Format"): a CAN FD controller logs classic frames in that form
// too.
const (
	ascFlagRemote = 1 << 4
	ascFlagFD     = 1 << 12
)

var (
	errASCLine  = errors.New("want a time stamp, a channel and a frame, or a header line of an .asc log")
	errASCDir   = errors.New("direction: want Rx or Tx")
	errASCKind  = errors.New("kind of frame: want d or r")
	errASCFlags = errors.New("BRS and ESI: want 0 or 1")
)

// ascState is what the header of an .asc log says about its lines.
type ascState struct {
	decimal  bool  // ids and data are decimal ("base dec")
	relative bool  // each stamp counts from the event before
	last     int64 // stamp of the event before, in nanoseconds
}

// parseASC reads a line of a Vector .asc log:
//
//	 0.015991 1  2A0             Rx   d 8 48 00 87 18 21 02 F9 00  Length = …
//	 2.584921 4  18FEF100x       Tx   r 8
//	 2.501000 1  ErrorFrame
//	30.005071 CANFD   2 Rx  300  Name  1 0 9 12 01 02 …
//
// Other events (statistics, chip states, LIN, J1939 transport) are passed over.
func (rd *Reader) parseASC(line []byte) (bool, error) {
	first, rest := nextWord(line)
	if len(first) == 0 {
		return false, nil
	}
	if !isDigit(first[0]) {
		return false, rd.ascHeaderLine(first, rest)
	}
	stamp, ok := decimal(first)
	if !ok {
		return false, errStamp
	}
	if rd.asc.relative {
		stamp += rd.asc.last
		if stamp < 0 { // a sum beyond the year 2262
			return false, errStamp
		}
	}
	rd.asc.last = stamp

	channel, rest := nextWord(rest)
	if len(channel) == 0 {
		return false, errShort
	}
	rec := &rd.rec
	rec.Frame = can.Frame{}
	var err error
	found := false
	if bytes.Equal(channel, []byte("CANFD")) {
		if channel, rest = nextWord(rest); len(channel) == 0 {
			return false, errShort
		}
		found, err = rd.asc.fdFrame(&rec.Frame, rest)
	} else {
		if _, ok := decNumber(channel); !ok {
			return false, nil // an event of something else
		}
		found, err = rd.asc.classicFrame(&rec.Frame, rest)
	}
	if !found || err != nil {
		return false, err
	}
	rec.Stamp, rec.HasStamp, rec.StampText = stamp, true, first
	rec.Bus = rd.bus(channel)
	return true, nil
}

// ascHeader reports whether a line that begins with this word can stand in an
// .asc log and holds no event.
func ascHeader(word []byte) bool {
	switch string(bytes.ToLower(word)) {
	case "date", "base", "internal", "no", "begin", "end", "previous":
		return true
	}
	return bytes.HasPrefix(word, []byte("//"))
}

func (rd *Reader) ascHeaderLine(word, rest []byte) error {
	if !ascHeader(word) {
		return errASCLine
	}
	if !bytes.EqualFold(word, []byte("base")) {
		return nil
	}
	base, rest := nextWord(rest)
	_, rest = nextWord(rest) // "timestamps"
	kind, _ := nextWord(rest)
	rd.asc.decimal = bytes.EqualFold(base, []byte("dec"))
	rd.asc.relative = bytes.EqualFold(kind, []byte("relative"))
	return nil
}

// classicFrame reads what follows the channel of a classic frame. Nothing is
// found in an event of the channel that is no frame.
func (st *ascState) classicFrame(fr *can.Frame, rest []byte) (bool, error) {
	id, rest := nextWord(rest)
	switch {
	case len(id) == 0:
		return false, errShort
	case bytes.EqualFold(id, []byte("ErrorFrame")):
		*fr = busError
		return true, nil
	case id[len(id)-1] == ':' || bytes.Equal(id, []byte("J1939TP")): // "Statistic:"
		return false, nil
	}
	dir, rest := nextWord(rest)
	kind, rest := nextWord(rest)
	length, rest := nextWord(rest)
	if len(kind) == 0 {
		return false, errShort
	}
	if !isDirection(dir) {
		return false, errASCDir
	}
	if err := st.id(fr, id); err != nil {
		return false, err
	}
	n, ok := st.number(length)
	switch kind[0] {
	case 'r', 'R':
		fr.Flags |= can.Remote
		if ok { // it may be left out
			fr.Len = min(uint8(n&0xF), can.MaxData)
		}
		return true, nil
	case 'd', 'D':
		if len(length) == 0 {
			return false, errShort
		}
		if !ok || n > 15 {
			return false, errLength
		}
		return true, st.data(fr, min(int(n), can.MaxData), &rest)
	}
	return false, errASCKind
}

// fdFrame reads what follows the channel of a CANFD line:
// direction, id, an optional name, BRS, ESI, length code, length, data, then
// duration, bit count and flags.
func (st *ascState) fdFrame(fr *can.Frame, rest []byte) (bool, error) {
	dir, rest := nextWord(rest)
	id, rest := nextWord(rest)
	if len(id) == 0 {
		return false, errShort
	}
	if !isDirection(dir) {
		return false, errASCDir
	}
	if bytes.EqualFold(id, []byte("ErrorFrame")) {
		*fr = busError
		return true, nil
	}
	if err := st.id(fr, id); err != nil {
		return false, err
	}
	brs, rest := nextWord(rest)
	if len(brs) > 0 && !isDigit(brs[0]) {
		brs, rest = nextWord(rest) // that was the message's name
	}
	esi, rest := nextWord(rest)
	code, rest := nextWord(rest)
	length, rest := nextWord(rest)
	if len(length) == 0 {
		return false, errShort
	}
	if !isBit(brs) || !isBit(esi) {
		return false, errASCFlags
	}
	dlc, ok := hexNumber(code) // hexadecimal whatever the base
	n, ok2 := decNumber(length)
	if !ok || !ok2 || dlc > 15 || n > can.MaxDataFD {
		return false, errLength
	}
	if err := st.data(fr, int(n), &rest); err != nil {
		return false, err
	}
	_, rest = nextWord(rest)
	_, rest = nextWord(rest)
	word, _ := nextWord(rest)
	flags, known := hexNumber(word)
	switch {
	case known && flags&ascFlagFD == 0 && n <= can.MaxData:
		if flags&ascFlagRemote != 0 {
			fr.Flags |= can.Remote
			fr.Len, fr.Data = min(uint8(dlc), can.MaxData), [can.MaxDataFD]byte{}
		}
		return true, nil
	case !can.IsFDLength(int(n)):
		return false, errFDLength
	}
	fr.Flags |= can.FD
	if brs[0] == '1' {
		fr.Flags |= can.BRS
	}
	if esi[0] == '1' {
		fr.Flags |= can.ESI
	}
	return true, nil
}

// id reads an identifier in the log's base; an x behind it means extended.
func (st *ascState) id(fr *can.Frame, word []byte) error {
	last := len(word) - 1
	extended := word[last] == 'x' || word[last] == 'X'
	if extended {
		word = word[:last]
	}
	id, ok := st.number(word)
	if !ok {
		return errID
	}
	return setID(fr, id, extended)
}

func (st *ascState) number(word []byte) (uint32, bool) {
	if !st.decimal {
		return hexNumber(word)
	}
	v, ok := decNumber(word)
	return uint32(v), ok && v <= 1<<32-1
}

// data reads n bytes and leaves what follows them in rest.
func (st *ascState) data(fr *can.Frame, n int, rest *[]byte) error {
	var word []byte
	for i := range n {
		if word, *rest = nextWord(*rest); len(word) == 0 {
			return errShort
		}
		v, ok := st.number(word)
		if !ok || v > 0xFF {
			return errByte
		}
		fr.Data[i] = byte(v)
	}
	fr.Len = uint8(n)
	return nil
}

func isBit(word []byte) bool {
	return len(word) == 1 && (word[0] == '0' || word[0] == '1')
}

func isDirection(word []byte) bool {
	return bytes.EqualFold(word, []byte("Rx")) || bytes.EqualFold(word, []byte("Tx")) ||
		bytes.EqualFold(word, []byte("TxRq"))
}
