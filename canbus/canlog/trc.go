package canlog

import (
	"bytes"
	"errors"

	"github.com/fascia-edge/fascia/canbus/can"
)

// maxTRCColumns is more than any file version declares.
const maxTRCColumns = 16

var (
	errTRCColumns = errors.New("no ;$COLUMNS line that names O, T, I and l or L comes before it, as a .trc of version 2 needs")
	errTRCNumber  = errors.New("want a message number first")
	errTRCType    = errors.New("type: want Rx, Tx, Warng or Error")
)

// trcState is what the header of a .trc log says about its lines.
type trcState struct {
	major int // of ;$FILEVERSION; 0 without one, which is version 1.0

	// Version 2: the place of each column, counted from 0; -1 if absent.
	columns trcColumns
	known   bool
}

type trcColumns struct {
	offset, kind, bus, id int
	length                int  // of l (bytes) or L (length code)
	isCode                bool // it is L
	data                  int  // the first byte
}

// parseTRC reads a line of a PEAK .trc log ("PEAK CAN TRC File Format", 2020):
//
//  1. 1059  0300  7  00 00 00 00 04 00 00                  1.0
//  1. 1059.9  Rx  0300  7  00 00 00 00 04 00 00            1.1
//  1. 1059.900 1  Rx  0300 -  7  00 00 00 00 04 00 00      1.3, 1.2 without the -
//     1      1059.900 DT 1  0300 Rx -  7  00 00 00 00 04 00 00    2.1
//
// Bus warnings, states, error counters and user events are passed over.
func (rd *Reader) parseTRC(line []byte) (bool, error) {
	for len(line) > 0 && isBlank(line[0]) {
		line = line[1:]
	}
	if len(line) == 0 {
		return false, nil
	}
	if line[0] == ';' {
		rd.trc.header(line[1:])
		return false, nil
	}
	rec := &rd.rec
	rec.Frame = can.Frame{}
	var offset, bus []byte
	var found bool
	var err error
	if rd.trc.major >= 2 {
		offset, bus, found, err = rd.trc.version2(&rec.Frame, line)
	} else {
		offset, bus, found, err = rd.trc.version1(&rec.Frame, line)
	}
	if !found || err != nil {
		return false, err
	}
	ms, ok := decimal(offset) // in 10⁻⁹ of a millisecond
	if !ok {
		return false, errStamp
	}
	rec.Stamp, rec.HasStamp, rec.StampText = ms/1000, true, offset
	rec.Bus = rd.bus(bus)
	return true, nil
}

// header takes what a comment line says, without its semicolon.
func (st *trcState) header(line []byte) {
	if v, ok := bytes.CutPrefix(line, []byte("$FILEVERSION=")); ok && len(v) > 0 {
		st.major = int(v[0]) - '0'
	}
	names, ok := bytes.CutPrefix(line, []byte("$COLUMNS="))
	if !ok {
		return
	}
	c := trcColumns{offset: -1, kind: -1, bus: -1, id: -1, length: -1, data: -1}
	n := 0
	for name := range bytes.SplitSeq(names, []byte(",")) {
		switch string(bytes.TrimSpace(name)) {
		case "O":
			c.offset = n
		case "T":
			c.kind = n
		case "B":
			c.bus = n
		case "I":
			c.id = n
		case "l":
			c.length = n
		case "L":
			c.length, c.isCode = n, true
		case "D":
			c.data = n
		}
		n++
	}
	st.columns = c
	st.known = n <= maxTRCColumns && c.offset >= 0 && c.kind >= 0 && c.id > c.kind &&
		c.length >= 0 && c.data == n-1
}

// version1 reads a line of file versions 1.0 to 1.3, which are told apart by
// what follows the time offset.
func (st *trcState) version1(fr *can.Frame, line []byte) (offset, bus []byte, found bool, err error) {
	number, rest := nextWord(line)
	if _, ok := decNumber(bytes.TrimSuffix(number, []byte(")"))); !ok {
		return nil, nil, false, errTRCNumber
	}
	offset, rest = nextWord(rest)
	first, rest := nextWord(rest)
	second, afterSecond := nextWord(rest)
	if len(second) == 0 {
		return nil, nil, false, errShort
	}
	var kind, id []byte
	switch {
	case isTRCKind(first):
		kind, id, rest = first, second, afterSecond
	case isTRCKind(second):
		bus, kind = first, second
		id, rest = nextWord(afterSecond)
	case st.major == 0:
		id = first
	default:
		return nil, nil, false, errTRCType
	}
	length, rest := nextWord(rest)
	if bytes.Equal(length, []byte("-")) { // reserved, in 1.3
		length, rest = nextWord(rest)
	}
	if len(length) == 0 {
		return nil, nil, false, errShort
	}
	if bytes.Equal(kind, []byte("Warng")) || bytes.Equal(id, []byte("FFFFFFFF")) {
		return offset, bus, false, nil
	}
	word, _ := nextWord(rest)
	if bytes.Equal(kind, []byte("Error")) || bytes.Equal(word, []byte("ERROR")) {
		*fr = busError
		return offset, bus, true, nil
	}
	if err = trcID(fr, id); err != nil {
		return nil, nil, false, err
	}
	n, ok := decNumber(length)
	if !ok || n > 15 {
		return nil, nil, false, errLength
	}
	n = min(n, can.MaxData)
	if bytes.Equal(word, []byte("RTR")) {
		fr.Flags |= can.Remote
		fr.Len = uint8(n)
		return offset, bus, true, nil
	}
	return offset, bus, true, trcData(fr, int(n), rest)
}

func isTRCKind(word []byte) bool {
	switch string(word) {
	case "Rx", "Tx", "Warng", "Error":
		return true
	}
	return false
}

// version2 reads a line by the columns that the header names.
func (st *trcState) version2(fr *can.Frame, line []byte) (offset, bus []byte, found bool, err error) {
	if !st.known {
		return nil, nil, false, errTRCColumns
	}
	c := &st.columns
	var words [maxTRCColumns][]byte
	rest, n := line, 0
	for ; n < c.data; n++ {
		if words[n], rest = nextWord(rest); len(words[n]) == 0 {
			break
		}
	}
	if n <= c.kind || n <= c.offset {
		return nil, nil, false, errShort
	}
	offset = words[c.offset]
	if c.bus >= 0 && c.bus < n {
		bus = words[c.bus]
	}
	switch string(words[c.kind]) {
	case "DT":
	case "FD":
		fr.Flags = can.FD
	case "FB":
		fr.Flags = can.FD | can.BRS
	case "FE":
		fr.Flags = can.FD | can.ESI
	case "BI":
		fr.Flags = can.FD | can.BRS | can.ESI
	case "RR":
		fr.Flags = can.Remote
	case "ER": // in 2.0 without id and length
		*fr = busError
		return offset, bus, true, nil
	default: // ST, EC, EV …: no frames
		return offset, bus, false, nil
	}
	if n < c.data {
		return nil, nil, false, errShort
	}
	if err = trcID(fr, words[c.id]); err != nil {
		return nil, nil, false, err
	}
	length, err := c.bytes(fr, words[c.length])
	if err != nil {
		return nil, nil, false, err
	}
	if fr.Has(can.Remote) {
		fr.Len = uint8(length)
		return offset, bus, true, nil
	}
	return offset, bus, true, trcData(fr, length, rest)
}

// bytes reads the length column.
func (c *trcColumns) bytes(fr *can.Frame, word []byte) (int, error) {
	n, ok := decNumber(word)
	switch {
	case !ok:
		return 0, errLength
	case c.isCode && n <= 15 && fr.Has(can.FD):
		return int(can.FDLength(uint8(n))), nil
	case c.isCode && n <= 15:
		return min(int(n), can.MaxData), nil
	case !c.isCode && fr.Has(can.FD) && can.IsFDLength(int(n)):
		return int(n), nil
	case !c.isCode && !fr.Has(can.FD) && n <= can.MaxData:
		return int(n), nil
	}
	return 0, errLength
}

// trcID reads an identifier: 4 digits, or 8 for an extended one.
func trcID(fr *can.Frame, word []byte) error {
	id, ok := hexNumber(word)
	if !ok {
		return errID
	}
	return setID(fr, id, len(word) > 4)
}

func trcData(fr *can.Frame, n int, rest []byte) error {
	var word []byte
	for i := range n {
		if word, rest = nextWord(rest); len(word) == 0 {
			return errShort
		}
		v, ok := hexNumber(word)
		if !ok || v > 0xFF {
			return errByte
		}
		fr.Data[i] = byte(v)
	}
	fr.Len = uint8(n)
	return nil
}
