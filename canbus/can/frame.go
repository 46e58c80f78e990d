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
)

// Frame is one CAN frame. The zero value is an empty data frame with id 0.
type Frame struct {
	ID    uint32 // 11 or, with Extended, 29 bits
	Flags Flags
	Len   uint8 // bytes of Data in use; for Remote the requested length
	Data  [MaxDataFD]byte
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
