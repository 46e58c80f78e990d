package block

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/fascia-edge/fascia/canbus/can"
)

// DamageError tells of a place that holds no whole block. Reading goes on behind
// it.
type DamageError struct {
	Offset int64 // bytes from the start of the stream
	Block  int   // counted from 1, damaged ones too
	Err    error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("block %d at byte %d: %v", e.Block, e.Offset, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// Reader reads the blocks of a stream. It is for one goroutine.
type Reader struct {
	src    *bufio.Reader
	offset int64
	blocks int
	zstd   *zstd.Decoder
	packed []byte
	block  Block
}

// NewReader reads blocks from r, whose buffer holds at least 48 bytes.
func NewReader(r *bufio.Reader) *Reader {
	decoder, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		panic("block: zstd: " + err.Error()) // an option out of its range
	}
	return &Reader{src: r, zstd: decoder}
}

// Begins reports whether a stream that starts with these bytes, at least 8 if it
// has them, is one of blocks.
func Begins(start []byte) bool {
	return len(start) >= len(Magic) && string(start[:len(Magic)]) == Magic
}

// Next reads the next whole block, which is valid until the next call. The error
// is io.EOF at the end of the stream, a *DamageError for a place that holds no
// whole block, behind which the next call goes on, or what the stream failed with.
func (r *Reader) Next() (*Block, error) {
	start := r.offset
	r.blocks++
	damaged := func(err error) error { return &DamageError{Offset: start, Block: r.blocks, Err: err} }
	head, err := r.src.Peek(headerSize)
	if len(head) == 0 {
		return nil, err
	}
	if len(head) < headerSize {
		r.discard(len(head))
		return nil, cutOff(err, damaged)
	}
	h, err := parseHeader(head)
	if err != nil {
		if seekErr := r.seek(); seekErr != nil {
			return nil, seekErr
		}
		return nil, damaged(err)
	}
	r.discard(headerSize)
	if cap(r.packed) < h.size {
		r.packed = make([]byte, h.size)
	}
	r.packed = r.packed[:h.size]
	if err := r.fill(r.packed); err != nil {
		return nil, cutOff(err, damaged)
	}
	if crc32.Checksum(r.packed, castagnoli) != h.bodySum {
		return nil, damaged(errChecksum)
	}
	r.block.body, err = r.zstd.DecodeAll(r.packed, r.block.body[:0])
	if err != nil {
		return nil, damaged(fmt.Errorf("the body of a block can't be unpacked: %w", err))
	}
	if len(r.block.body) != h.bodySize {
		return nil, damaged(errBody)
	}
	if err := r.block.parse(h); err != nil {
		return nil, damaged(err)
	}
	return &r.block, nil
}

// Blocks is how many blocks Next came to, damaged ones too.
func (r *Reader) Blocks() int { return r.blocks }

func cutOff(err error, damaged func(error) error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(errCut)
	}
	return err
}

func (r *Reader) fill(to []byte) error {
	n, err := io.ReadFull(r.src, to)
	r.offset += int64(n)
	return err
}

// seek goes on to the next place that looks like a block, or to the end of the
// stream, which is no error.
func (r *Reader) seek() error {
	for {
		r.discard(1)
		next, err := r.src.Peek(len(Magic))
		switch {
		case Begins(next):
			return nil
		case errors.Is(err, io.EOF):
			r.discard(len(next))
			return nil
		case err != nil:
			return err
		}
	}
}

// discard drops n bytes that Peek has seen.
func (r *Reader) discard(n int) {
	n, _ = r.src.Discard(n)
	r.offset += int64(n)
}

// Block is an unpacked block. Frames come out as they went in.
type Block struct {
	Header
	buses   []string
	kinds   []kind
	counts  []uint32
	columns []uint32 // where in body the next byte of a kind's first column is
	order   []uint32
	stamps  []int64 // in nanoseconds
	body    []byte
	at      int // the next frame
}

// Next gives the next frame, and is false after the last.
func (b *Block) Next(fr *can.Frame) (bus string, stamp int64, ok bool) {
	if b.at == len(b.order) {
		return "", 0, false
	}
	i := b.order[b.at]
	k := &b.kinds[i]
	*fr = can.Frame{ID: k.id, Flags: k.flags, Len: k.len}
	from := b.columns[i]
	b.columns[i]++
	for c := range k.columns() {
		fr.Data[c] = b.body[from]
		from += b.counts[i] + 1
	}
	stamp = b.stamps[b.at]
	b.at++
	return b.buses[k.bus], stamp, true
}

// Left is how many frames Next has yet to give.
func (b *Block) Left() int { return len(b.order) - b.at }

// parse takes the body apart and undoes the filters of its columns. Nothing in
// it is believed: a checksum keeps out accidents only.
func (b *Block) parse(h Header) error {
	b.Header, b.at = h, 0
	b.buses, b.kinds, b.counts = b.buses[:0], b.kinds[:0], b.counts[:0]
	b.order, b.stamps, b.columns = b.order[:0], b.stamps[:0], b.columns[:0]
	c := cursor{rest: b.body}
	buses := c.number(maxBuses)
	for range buses {
		b.buses = append(b.buses, string(c.bytes(c.number(maxBusName))))
	}
	kinds := c.number(uint64(h.Frames))
	frames := 0
	for range kinds {
		k := kind{bus: uint32(c.number(maxBuses)), id: uint32(c.number(can.MaxExtendedID))}
		k.flags, k.len = can.Flags(c.byte()), c.byte()
		count := c.number(uint64(h.Frames))
		if c.failed || int(k.bus) >= len(b.buses) || k.len > can.MaxDataFD {
			return errBody
		}
		frames += int(count)
		b.kinds, b.counts = append(b.kinds, k), append(b.counts, uint32(count))
	}
	if c.failed || frames != h.Frames {
		return errBody
	}
	if !b.parseOrder(&c) || !b.parseStamps(&c) || !b.parseColumns(&c) || len(c.rest) > 0 {
		return errBody
	}
	return nil
}

// parseOrder also holds the order against the counts of the kinds, which Next
// relies on.
func (b *Block) parseOrder(c *cursor) bool {
	left := append(b.columns[:0], b.counts...)
	for range b.Frames {
		i := c.number(uint64(len(b.kinds)))
		if c.failed || int(i) >= len(b.kinds) || left[i] == 0 {
			return false
		}
		left[i]--
		b.order = append(b.order, uint32(i))
	}
	b.columns = left[:0]
	return true
}

func (b *Block) parseStamps(c *cursor) bool {
	resolution := int64(b.Resolution)
	units := int64(0) // since the first
	for range b.Frames {
		units += unzigzag(c.varint())
		stamp := b.First + units*resolution
		if units > math.MaxInt64/resolution || units < -math.MaxInt64/resolution || (stamp < b.First) != (units < 0) {
			return false // beyond what 64 bits hold
		}
		b.stamps = append(b.stamps, stamp)
	}
	return !c.failed
}

func (b *Block) parseColumns(c *cursor) bool {
	for i, k := range b.kinds {
		b.columns = append(b.columns, uint32(len(b.body)-len(c.rest)+1))
		for range k.columns() {
			how := c.byte()
			column := c.bytes(uint64(b.counts[i]))
			switch {
			case c.failed:
				return false
			case how == filterDelta:
				sum := byte(0)
				for n, d := range column {
					sum += d
					column[n] = sum
				}
			case how != filterNone:
				return false
			}
		}
	}
	return true
}

// cursor reads a body from the front; once it failed it gives zeros.
type cursor struct {
	rest   []byte
	failed bool
}

func (c *cursor) varint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.failed, c.rest = true, nil
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) number(most uint64) uint64 {
	v := c.varint()
	if v > most {
		c.failed = true
		return 0
	}
	return v
}

func (c *cursor) byte() byte {
	b := c.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.failed, c.rest = true, nil
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}
