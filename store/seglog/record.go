// Package seglog keeps numbered, checksummed records in segment files.
//
// It knows bytes and sequence numbers, and nothing of what the records mean:
// which are needed and when they are durable is for package store to decide.
package seglog

import (
	"encoding/binary"
	"hash/crc32"
)

// HeadSize is the length in bytes of what stands before each record's body.
//
//	0   marker 0xF in the high half, the kind in the low half
//	1   sequence number less that of the segment's first record, 24 bits
//	4   length of the body, 32 bits
//	8   CRC-32C of the body
//	12  CRC-32C of the twelve bytes before
//
// All numbers are little-endian. Both checksums start from the segment's random
// salt, so that nobody can fake a record inside a payload. The head has one of
// its own so that a search for the next record behind damage never believes a
// length, nor reads megabytes for each byte that looks like a marker.
const HeadSize = 16

// MaxBody is the largest body of a record in bytes.
const MaxBody = 1<<30 - 1

const (
	marker   = 0xF0
	maxRel   = 1<<24 - 1 // records in one segment
	kindMask = 0x0F
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind is what a record is to its user, 0 to 15.
type Kind uint8

// Record is one record as it was read. Body is valid until the Scanner's next call.
type Record struct {
	Seq  uint64
	Kind Kind
	Off  int64 // of its head in the segment
	Body []byte
}

// End is the offset behind the record.
func (r Record) End() int64 { return r.Off + HeadSize + int64(len(r.Body)) }

// Again is a finished copy of the record, to be written elsewhere.
func (r Record) Again() []byte {
	b := make([]byte, 0, HeadSize+len(r.Body))
	b = append(Start(b, r.Kind), r.Body...)
	Finish(b)
	return b
}

// Start appends room for the head of a record of that kind to buf; the body
// follows, then Finish.
func Start(buf []byte, kind Kind) []byte {
	return append(buf, marker|byte(kind), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// Finish sets the length of the record that starts at the beginning of rec and
// fills it. Sequence number and checksums come with Segment.Write.
func Finish(rec []byte) {
	binary.LittleEndian.PutUint32(rec[4:], uint32(len(rec)-HeadSize))
}

// seal gives a finished record its number in the segment and its checksums.
func seal(rec []byte, rel, salt uint32) {
	rec[1], rec[2], rec[3] = byte(rel), byte(rel>>8), byte(rel>>16)
	binary.LittleEndian.PutUint32(rec[8:], crc32.Update(salt, castagnoli, rec[HeadSize:]))
	binary.LittleEndian.PutUint32(rec[12:], crc32.Update(salt, castagnoli, rec[:12]))
}

type head struct {
	kind Kind
	rel  uint32
	size uint32 // of the body
	crc  uint32 // of the body
}

func parseHead(b []byte, salt uint32) (head, bool) {
	if b[0]&^kindMask != marker || binary.LittleEndian.Uint32(b[12:]) != crc32.Update(salt, castagnoli, b[:12]) {
		return head{}, false
	}
	return head{
		kind: Kind(b[0] & kindMask),
		rel:  uint32(b[1]) | uint32(b[2])<<8 | uint32(b[3])<<16,
		size: binary.LittleEndian.Uint32(b[4:]),
		crc:  binary.LittleEndian.Uint32(b[8:]),
	}, true
}
