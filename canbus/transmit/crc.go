package transmit

// crc8 is a CRC of eight bits without reflection, by its table.
type crc8 [256]byte

// The polynomials of SAE J1850 and of AUTOSAR's CRC-8H2F (AUTOSAR_SWS_CRCLibrary).
// Both are defined with 0xFF to begin with and 0xFF to XOR
// the result with.
var (
	saeJ1850 = newCRC8(0x1D)
	crc8H2F  = newCRC8(0x2F)
)

func newCRC8(polynomial byte) *crc8 {
	table := &crc8{}
	for i := range table {
		c := byte(i)
		for range 8 {
			carry := c&0x80 != 0
			c <<= 1
			if carry {
				c ^= polynomial
			}
		}
		table[i] = c
	}
	return table
}

// update goes on with more bytes.
func (t *crc8) update(crc byte, data ...byte) byte {
	for _, b := range data {
		crc = t[crc^b]
	}
	return crc
}
