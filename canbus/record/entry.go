package record

import (
	"encoding/binary"

	"github.com/fascia-edge/fascia/canbus/can"
)

// entry is a frame on its way from a bus to a block.
type entry struct {
	boot  int64 // when it came, by CLOCK_BOOTTIME: what is before and after is told by it
	wall  int64 // its stamp
	bus   uint8 // of the recording's buses
	frame can.Frame
}

// entryHead is what an entry takes in a queue beside its data: a classic frame
// has 31 bytes in all, and not the 96 of the struct.
const entryHead = 23

// append packs the entry.
func (e *entry) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.boot))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.wall))
	dst = binary.LittleEndian.AppendUint32(dst, e.frame.ID)
	dst = append(dst, byte(e.frame.Flags), e.frame.Len, e.bus)
	return append(dst, e.data()...)
}

// data are the bytes that the frame has: a remote frame only asks for them.
func (e *entry) data() []byte {
	if e.frame.Has(can.Remote) {
		return nil
	}
	return e.frame.Bytes()
}

// take unpacks the first entry of src and returns what follows it.
func (e *entry) take(src []byte) []byte {
	e.boot = bootOf(src)
	e.wall = int64(binary.LittleEndian.Uint64(src[8:]))
	e.frame = can.Frame{ID: binary.LittleEndian.Uint32(src[16:]), Flags: can.Flags(src[20]), Len: src[21]}
	e.bus = src[22]
	return src[entryHead+copy(e.data(), src[entryHead:]):]
}

// bootOf is when the first entry of src came; sizeOf is how long it is.
func bootOf(src []byte) int64 { return int64(binary.LittleEndian.Uint64(src)) }

func sizeOf(src []byte) int {
	if can.Flags(src[20])&can.Remote != 0 {
		return entryHead
	}
	return entryHead + int(src[21])
}
