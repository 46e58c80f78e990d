package transmit

import (
	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

// Kinds of checksums.
const (
	kindSum      = "sum"
	kindXOR      = "xor"
	kindSAEJ1850 = "crc8-sae-j1850"
	kindP01      = "e2e-p01"
	kindP02      = "e2e-p02"
)

// protection keeps counter and checksum of a message right.
type protection struct {
	counter  *dbc.Signal // nil without one
	wraps    uint64      // the counter's values are below it
	checksum *checksum   // nil without one
}

// checksum is a compiled ChecksumConfig.
type checksum struct {
	kind   string
	signal *dbc.Signal // nil if a byte was named
	at     int         // its byte; -1 of a sum that does not fill one
	mask   uint64

	prefix []byte // what is mixed in before the frame's bytes: sum, XOR, CRC
	dataID uint16
	mode   string
	nibble int // byte that the Data ID's nibble shares with the counter
	shift  int // of the nibble in it
	ids    [16]byte
}

// p01Counts is how many values the counter of profile 1 has: 15 is never sent
// (AUTOSAR_PRS_E2EProtocol, PRS_E2E_00075). That of profile 2 has all sixteen.
const p01Counts = 15

// protect writes counter and checksum into the frame.
func (p *protection) protect(fr *can.Frame, count uint64) {
	if p.counter != nil {
		p.counter.EncodeRaw(fr.Data[:], int64(count))
	}
	if p.checksum != nil {
		p.checksum.write(fr, count)
	}
}

func (c *checksum) write(fr *can.Frame, count uint64) {
	data := fr.Bytes()
	switch c.kind {
	case kindSum:
		c.set(fr, c.sum(fr))
	case kindXOR:
		x := byte(0)
		for _, b := range c.prefix {
			x ^= b
		}
		for i, b := range data {
			if i != c.at {
				x ^= b
			}
		}
		c.set(fr, uint64(x))
	case kindSAEJ1850:
		crc := saeJ1850.update(0xFF, c.prefix...)
		c.set(fr, uint64(c.others(saeJ1850, crc, data)^0xFF))
	case kindP01:
		c.set(fr, uint64(c.profile1(data, count)))
	case kindP02:
		c.set(fr, uint64(c.profile2(data, count)))
	}
}

// sum is that of all bytes but the checksum's own bits, cut to its length.
func (c *checksum) sum(fr *can.Frame) uint64 {
	c.set(fr, 0)
	total := uint64(0)
	for _, b := range c.prefix {
		total += uint64(b)
	}
	for _, b := range fr.Bytes() {
		total += uint64(b)
	}
	return total
}

// others goes on with all bytes but the checksum's own.
func (c *checksum) others(table *crc8, crc byte, data []byte) byte {
	crc = table.update(crc, data[:c.at]...)
	return table.update(crc, data[c.at+1:]...)
}

// profile1 is the CRC of profile 1 in AUTOSAR_PRS_E2EProtocol: SAE J1850, but
// begun with 0 and without a final XOR, over the Data ID, its low byte first, and
// then the data.
func (c *checksum) profile1(data []byte, count uint64) byte {
	low, high := byte(c.dataID), byte(c.dataID>>8)
	if c.mode == "nibble" { // it is sent, and so part of the data
		data[c.nibble] = data[c.nibble]&^(0xF<<c.shift) | high&0xF<<c.shift
	}
	var crc byte
	switch c.mode {
	case "alt":
		if count%2 == 1 {
			low = high
		}
		crc = saeJ1850.update(0, low)
	case "low":
		crc = saeJ1850.update(0, low)
	case "nibble":
		crc = saeJ1850.update(0, low, 0)
	default:
		crc = saeJ1850.update(0, low, high)
	}
	return c.others(saeJ1850, crc, data)
}

// profile2 is the CRC of profile 2 in AUTOSAR_PRS_E2EProtocol: CRC-8H2F over the
// data and then the Data ID that belongs to the counter.
func (c *checksum) profile2(data []byte, count uint64) byte {
	crc := c.others(crc8H2F, 0xFF, data)
	return crc8H2F.update(crc, c.ids[count&0xF]) ^ 0xFF
}

// set writes the checksum.
func (c *checksum) set(fr *can.Frame, value uint64) {
	if c.signal == nil {
		fr.Data[c.at] = byte(value)
		return
	}
	c.signal.EncodeRaw(fr.Data[:], int64(value&c.mask))
}

// wholeByte is the byte that the signal fills, false if it fills none.
func wholeByte(s *dbc.Signal) (int, bool) {
	lowest := 0
	if s.BigEndian {
		lowest = 7
	}
	return s.Start / 8, s.Length == 8 && s.Start%8 == lowest
}

// halfByte is the byte and the half of it, 0 or 4 bits from its low end, that the
// signal fills, false if it fills none.
func halfByte(s *dbc.Signal) (at, shift int, ok bool) {
	low := s.Start
	if s.BigEndian {
		low -= 3 // of four bits, Start is the highest
	}
	return s.Start / 8, low % 8, s.Length == 4 && low >= 0 && low%4 == 0
}
