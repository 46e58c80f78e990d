// Package block is the form in which CAN frames are recorded: blocks of some
// seconds, columnar by message, delta-coded, compressed with zstd.
//
// A file is one block or several in a row, so files can be joined with cat. A
// block is, with all numbers little-endian:
//
//	 0  magic           8 bytes, Magic
//	 8  size            uint32, bytes of the compressed body
//	12  body size       uint32, bytes of the body
//	16  frames          uint32, at least 1
//	20  resolution      uint32, nanoseconds
//	24  first           int64, stamp of the first frame in nanoseconds since 1970
//	32  last            int64, stamp of the last frame
//	40  body checksum   uint32, CRC-32C of the compressed body
//	44  head checksum   uint32, CRC-32C of the 44 bytes before it
//	48  body            one zstd frame (RFC 8878)
//
// The body, uncompressed, with v for an unsigned varint as in protocol buffers:
//
//	v buses;    for each: v length, name
//	v kinds;    for each: v bus, v id, flags (1 byte, as can.Flags), length (1 byte), v frames
//	order:      for each frame, as they came: v kind
//	stamps:     for each frame, as they came: v zigzag(units of resolution since the one before;
//	            the first since the header's first stamp)
//	columns:    for each kind, but for remote frames, for each byte of its payload:
//	            filter (1 byte), then that byte of each of its frames
//
// A kind is what all frames of one message share: bus, identifier, flags and
// length. Filter 0 is plain bytes; with filter 1 each is the difference to the
// one before, modulo 256, the first to zero.
//
// Counters, slow values and constants come out of a column as runs that zstd
// folds away: a real drive takes 1.9 bytes a frame with microseconds and 1.1 with
// milliseconds, where gzip of candump's lines takes 7.4.
package block

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Magic begins a block. Its first byte and line ends show damage by tools that
// take it for text; the digit is the form's version.
const Magic = "\x89FCAN1\r\n"

// Bounds of one block. They bound the memory of who writes one and of who reads
// one that somebody else made.
const (
	MaxFrames  = 1 << 16
	MaxPayload = 1 << 20 // bytes of payload

	headerSize = 48
	maxBody    = 8 << 20 // more than a block within the bounds above can take
	maxBuses   = 256
	maxBusName = 255
)

// Resolutions of stamps; finer digits are cut off.
const (
	Microsecond = time.Microsecond
	Millisecond = time.Millisecond
)

// Header is what a block says of itself before it is unpacked.
type Header struct {
	Frames     int
	Resolution time.Duration
	First      int64 // stamp of the first frame, in nanoseconds since 1970
	Last       int64 // stamp of the last frame; less than First if the clock was set back

	size, bodySize int
	bodySum        uint32
}

// How the bytes of a column are written.
const (
	filterNone  = 0
	filterDelta = 1
)

// kind is what all frames of one message share.
type kind struct {
	bus   uint32
	id    uint32
	flags can.Flags
	len   uint8
}

// columns is how many columns its frames have.
func (k *kind) columns() int {
	if k.flags&can.Remote != 0 {
		return 0
	}
	return int(k.len)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (h *Header) appendTo(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, Magic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.size))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.bodySize))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Frames))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Resolution))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.First))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Last))
	dst = binary.LittleEndian.AppendUint32(dst, h.bodySum)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// What can be wrong with a block.
var (
	errMagic    = errors.New("no block begins here")
	errHead     = errors.New("the head of a block is damaged")
	errCut      = errors.New("the block is cut off")
	errChecksum = errors.New("the body of a block is damaged: its checksum is wrong")
	errBody     = errors.New("the body of a block is not as its head says")
)

// parseHeader reads a header out of exactly headerSize bytes.
func parseHeader(b []byte) (Header, error) {
	if string(b[:len(Magic)]) != Magic {
		return Header{}, errMagic
	}
	if binary.LittleEndian.Uint32(b[44:]) != crc32.Checksum(b[:44], castagnoli) {
		return Header{}, errHead
	}
	h := Header{
		size:       int(binary.LittleEndian.Uint32(b[8:])),
		bodySize:   int(binary.LittleEndian.Uint32(b[12:])),
		Frames:     int(binary.LittleEndian.Uint32(b[16:])),
		Resolution: time.Duration(binary.LittleEndian.Uint32(b[20:])),
		First:      int64(binary.LittleEndian.Uint64(b[24:])),
		Last:       int64(binary.LittleEndian.Uint64(b[32:])),
		bodySum:    binary.LittleEndian.Uint32(b[40:]),
	}
	if h.size > maxBody || h.bodySize > maxBody || h.Frames < 1 || h.Frames > MaxFrames || h.Resolution < 1 {
		return Header{}, errHead
	}
	return h, nil
}
