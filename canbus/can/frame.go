// Package can holds the one frame type that every part of the bus side passes
// around: by value, classic CAN and CAN FD alike.
package can

import (
	"encoding/hex"
	"strconv"
)

// Limits of identifiers and payloads (ISO 11898-1).
const (
	MaxStandardID = 0x7FF
	MaxExtendedID = 0x1FFFFFFF
	MaxData       = 8  // bytes in a classic frame
	MaxDataFD     = 64 // bytes in a CAN FD frame
)

// Flags tell what kind of frame it is.
type Flags uint8

const (
	Extended Flags = 1 << iota // 29-bit identifier
	Remote                     // remote transmission request: no data, only a length
	Error                      // error frame; the data are the kernel's error classes
	FD                         // CAN FD frame
	BRS                        // FD: bit rate switched for the data phase
	ESI                        // FD: the sender is error passive
	Own                        // sent by this process, and heard back from the bus
)

// Frame is one CAN frame. The zero value is an empty data frame with id 0.
type Frame struct {
	ID    uint32 // 11 or, with Extended, 29 bits
	Flags Flags
	Len   uint8 // bytes of Data in use; for Remote the requested length
	Data  [MaxDataFD]byte
}

// fdLengths are the payload lengths of a CAN FD frame by data length code
// (ISO 11898-1, 8.4.2.4).
var fdLengths = [16]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}

// FDLength is the number of payload bytes that the data length code dlc, 0 to
// 15, stands for in a CAN FD frame. In a classic frame 9 to 15 stand for 8.
func FDLength(dlc uint8) uint8 { return fdLengths[dlc&0xF] }

// FDCode is the data length code of the shortest CAN FD frame that holds n
// bytes, n at most MaxDataFD.
func FDCode(n int) uint8 {
	code := uint8(0)
	for int(FDLength(code)) < n && code < 15 {
		code++
	}
	return code
}

// IsFDLength reports whether a CAN FD frame can hold exactly n bytes.
func IsFDLength(n int) bool {
	return n >= 0 && n <= MaxDataFD && int(FDLength(FDCode(n))) == n
}

// Has reports whether every flag of f is set.
func (fr *Frame) Has(f Flags) bool { return fr.Flags&f == f }

// Bytes are the data in use; the slice is valid as long as the frame is.
func (fr *Frame) Bytes() []byte { return fr.Data[:fr.Len] }

// String is the frame as candump -l writes it: 2A0#480087182102F900.
func (fr Frame) String() string { return string(fr.Append(nil)) }

// Append appends the frame as candump -l writes it (id#data, id#R, id##flags+data).
func (fr *Frame) Append(dst []byte) []byte {
	const digits = "0123456789ABCDEF"
	width := 3
	id := fr.ID
	if fr.Has(Extended) || fr.Has(Error) {
		width = 8
	}
	if fr.Has(Error) {
		id |= 0x20000000
	}
	for i := width - 1; i >= 0; i-- {
		dst = append(dst, digits[id>>(4*i)&0xF])
	}
	dst = append(dst, '#')
	if fr.Has(FD) {
		flags := byte(0)
		if fr.Has(BRS) {
			flags |= 1
		}
		if fr.Has(ESI) {
			flags |= 2
		}
		dst = append(dst, '#', digits[flags])
	}
	if fr.Has(Remote) {
		dst = append(dst, 'R')
		if fr.Len > 0 {
			dst = strconv.AppendUint(dst, uint64(fr.Len), 10)
		}
		return dst
	}
	n := len(dst)
	dst = hex.AppendEncode(dst, fr.Bytes())
	for i := n; i < len(dst); i++ {
		if dst[i] >= 'a' {
			dst[i] -= 'a' - 'A'
		}
	}
	return dst
}
