package wire

// MaxPacket is the size of the largest packet that there can be, in bytes: a
// remaining length of four bytes (MQTT 5.0 §2.1.4), and what stands before it.
const MaxPacket = 268_435_455 + 5

// Split cuts the first packet off b: its first byte, what follows the length,
// and how many bytes the packet has in all. ok is false when b holds no whole
// packet; need is then how many bytes the packet will have, 0 while even its
// length is not there. A length is never believed beyond limit, and has at most
// four bytes [MQTT-1.5.5-1]; an error is a *Broken.
func Split(b []byte, limit int) (first byte, body []byte, need int, ok bool, err error) {
	if len(b) < 2 {
		return 0, nil, 0, false, nil
	}
	length, header := int(b[1]&0x7F), 2
	for shift := 7; b[header-1]&0x80 != 0; shift += 7 {
		if shift > 21 {
			return 0, nil, 0, false, Break(Malformed, "remaining length has more than four bytes")
		}
		if header == len(b) {
			return 0, nil, 0, false, nil
		}
		length |= int(b[header]&0x7F) << shift
		header++
	}
	need = header + length
	if need > limit {
		return 0, nil, 0, false, Break(PacketTooLarge, "packet of %d bytes: want at most %d", need, limit)
	}
	if len(b) < need {
		return 0, nil, need, false, nil
	}
	return b[0], b[header:need], need, true, nil
}
