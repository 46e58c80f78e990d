package demo

// CRC-8 SAE J1850, the checksum of AUTOSAR's E2E profile 1.
const (
	crcPolynomial = 0x1D
	crcStart      = 0xFF
	crcFinal      = 0xFF
)

var crcTable = func() (table [256]byte) {
	for i := range table {
		crc := byte(i)
		for range 8 {
			carry := crc&0x80 != 0
			crc <<= 1
			if carry {
				crc ^= crcPolynomial
			}
		}
		table[i] = crc
	}
	return table
}()

// protect is the checksum of a frame: over the identifier, so that a frame
// under a wrong one is noticed, and over all data but the checksum's own byte.
func protect(id uint32, data []byte, own int) byte {
	crc := crcTable[crcStart^byte(id>>8)]
	crc = crcTable[crc^byte(id)]
	for i, b := range data {
		if i != own {
			crc = crcTable[crc^b]
		}
	}
	return crc ^ crcFinal
}
