package source

import (
	"encoding/binary"
	"errors"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Sizes of struct can_frame and struct canfd_frame, and the flags in their
// fields (linux/can.h). Both are little-endian on every machine we run on, and
// on the wire of the UDP emulation by agreement.
const (
	classicSize = 16
	fdSize      = 72
	dataOffset  = 8

	flagExtended = 0x80000000
	flagRemote   = 0x40000000
	flagError    = 0x20000000

	fdBRS = 0x01
	fdESI = 0x02
	fdFDF = 0x04
)

var (
	errWireSize   = errors.New("want 16 bytes (struct can_frame) or 72 (struct canfd_frame)")
	errWireLength = errors.New("the frame's length is greater than its data can be")
)

// appendWire appends the frame as the struct that the kernel has for it. A CAN FD
// frame of a length that none can have is filled up with zeros, as drivers do.
func appendWire(dst []byte, fr *can.Frame) []byte {
	id := fr.ID
	if fr.Has(can.Extended) {
		id |= flagExtended
	}
	if fr.Has(can.Remote) {
		id |= flagRemote
	}
	if fr.Has(can.Error) {
		id |= flagError
	}
	dst = binary.LittleEndian.AppendUint32(dst, id)
	if !fr.Has(can.FD) {
		dst = append(dst, fr.Len, 0, 0, 0)
		return append(dst, fr.Data[:can.MaxData]...)
	}
	flags := byte(fdFDF)
	if fr.Has(can.BRS) {
		flags |= fdBRS
	}
	if fr.Has(can.ESI) {
		flags |= fdESI
	}
	dst = append(dst, can.FDLength(can.FDCode(int(fr.Len))), flags, 0, 0)
	return append(dst, fr.Data[:]...)
}

// parseWire reads what appendWire writes, and fills up alike.
func parseWire(b []byte, fr *can.Frame) error {
	if len(b) != classicSize && len(b) != fdSize {
		return errWireSize
	}
	*fr = can.Frame{Len: b[4]}
	if int(fr.Len) > len(b)-dataOffset {
		return errWireLength
	}
	id := binary.LittleEndian.Uint32(b)
	switch {
	case id&flagError != 0:
		fr.ID, fr.Flags = id&can.MaxExtendedID, can.Error
	case id&flagExtended != 0:
		fr.ID, fr.Flags = id&can.MaxExtendedID, can.Extended
	default:
		fr.ID = id & can.MaxStandardID
	}
	if len(b) == fdSize {
		fr.Flags |= can.FD
		if b[5]&fdBRS != 0 {
			fr.Flags |= can.BRS
		}
		if b[5]&fdESI != 0 {
			fr.Flags |= can.ESI
		}
	} else if id&flagRemote != 0 {
		fr.Flags |= can.Remote
		return nil
	}
	copy(fr.Data[:fr.Len], b[dataOffset:])
	if fr.Has(can.FD) {
		fr.Len = can.FDLength(can.FDCode(int(fr.Len)))
	}
	return nil
}
