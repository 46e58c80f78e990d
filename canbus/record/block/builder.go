package block

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/fascia-edge/fascia/canbus/can"
)

// window is how far back zstd looks. It holds a block of ten seconds of a busy
// bus, and keeps the encoder's tables at about 2 MB.
const window = 1 << 20

// Builder gathers frames for a block. Its buffers stay for the next one: once
// they have grown, a frame allocates nothing. It is for one goroutine.
type Builder struct {
	resolution int64
	zstd       *zstd.Encoder

	buses  []string
	index  map[kind]uint32
	kinds  []kind
	counts []uint32 // frames of each kind
	order  []uint32 // the kind of each frame
	stamps []int64  // of each frame, in units of resolution
	data   []byte   // payloads, as they came

	body   []byte   // uncompressed, while a block is made
	starts []uint32 // where the next byte of a kind's first column goes
}

// NewBuilder makes a builder of blocks with stamps of a resolution, which is at
// least a nanosecond and at most four seconds.
func NewBuilder(resolution time.Duration) *Builder {
	encoder, err := zstd.NewWriter(nil,
		// "Better" gains a twentieth for a third more memory, "best" a tenth for ten times the time.
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // the block has a checksum that needs no unpacking
	if err != nil {
		panic("block: zstd: " + err.Error()) // an option out of its range
	}
	return &Builder{resolution: int64(resolution), zstd: encoder, index: map[kind]uint32{}}
}

// Frames is how many frames the next block has so far.
func (b *Builder) Frames() int { return len(b.order) }

// Full reports whether the block has to be taken before another frame may be
// added.
func (b *Builder) Full() bool {
	return len(b.order) >= MaxFrames || len(b.data) > MaxPayload-can.MaxDataFD || len(b.buses) >= maxBuses
}

// Add adds a frame that came on bus at stamp, in nanoseconds since 1970. Bytes
// of a bus name beyond 255 are cut off. It must not be called when the block is
// Full.
func (b *Builder) Add(bus string, stamp int64, fr *can.Frame) {
	k := kind{bus: b.bus(bus), id: fr.ID, flags: fr.Flags, len: fr.Len}
	i, ok := b.index[k]
	if !ok {
		i = uint32(len(b.kinds))
		b.index[k] = i
		b.kinds, b.counts = append(b.kinds, k), append(b.counts, 0)
	}
	b.counts[i]++
	b.order = append(b.order, i)
	b.stamps = append(b.stamps, floorDiv(stamp, b.resolution))
	b.data = append(b.data, fr.Data[:k.columns()]...)
}

func (b *Builder) bus(name string) uint32 {
	name = name[:min(len(name), maxBusName)]
	for i := len(b.buses) - 1; i >= 0; i-- {
		if b.buses[i] == name {
			return uint32(i)
		}
	}
	b.buses = append(b.buses, name)
	return uint32(len(b.buses) - 1)
}

// Append appends the block to dst, tells its header, and begins the next one.
// Without a frame there is no block, and nothing is appended.
func (b *Builder) Append(dst []byte) ([]byte, Header) {
	if len(b.order) == 0 {
		return dst, Header{}
	}
	b.makeBody()
	head := Header{
		Frames:     len(b.order),
		Resolution: time.Duration(b.resolution),
		First:      b.stamps[0] * b.resolution,
		Last:       b.stamps[len(b.stamps)-1] * b.resolution,
		bodySize:   len(b.body),
	}
	start := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	dst = b.zstd.EncodeAll(b.body, dst)
	body := dst[start+headerSize:]
	head.size, head.bodySum = len(body), crc32.Checksum(body, castagnoli)
	head.appendTo(dst[start:start])
	b.reset()
	return dst, head
}

func (b *Builder) reset() {
	clear(b.index)
	b.buses, b.kinds, b.counts = b.buses[:0], b.kinds[:0], b.counts[:0]
	b.order, b.stamps, b.data, b.body = b.order[:0], b.stamps[:0], b.data[:0], b.body[:0]
}

func (b *Builder) makeBody() {
	body := binary.AppendUvarint(b.body[:0], uint64(len(b.buses)))
	for _, name := range b.buses {
		body = binary.AppendUvarint(body, uint64(len(name)))
		body = append(body, name...)
	}
	body = binary.AppendUvarint(body, uint64(len(b.kinds)))
	for i, k := range b.kinds {
		body = binary.AppendUvarint(body, uint64(k.bus))
		body = binary.AppendUvarint(body, uint64(k.id))
		body = append(body, byte(k.flags), k.len)
		body = binary.AppendUvarint(body, uint64(b.counts[i]))
	}
	for _, k := range b.order {
		body = binary.AppendUvarint(body, uint64(k))
	}
	before := b.stamps[0]
	for _, stamp := range b.stamps {
		body = binary.AppendUvarint(body, zigzag(stamp-before))
		before = stamp
	}
	b.body = b.appendColumns(body)
}

// appendColumns turns the payloads from rows, as they came, into columns.
func (b *Builder) appendColumns(body []byte) []byte {
	b.starts = b.starts[:0]
	at := len(body)
	for i := range b.kinds {
		b.starts = append(b.starts, uint32(at+1)) // the filter goes before it
		at += b.kinds[i].columns() * (1 + int(b.counts[i]))
	}
	body = slices.Grow(body, at-len(body))[:at]
	data := b.data
	for _, i := range b.order {
		step := b.counts[i] + 1
		to := b.starts[i]
		b.starts[i]++
		n := b.kinds[i].columns()
		for k := range n {
			body[to] = data[k]
			to += step
		}
		data = data[n:]
	}
	for i := range b.kinds {
		count := b.counts[i]
		column := b.starts[i] - count // back at its first byte
		for range b.kinds[i].columns() {
			body[column-1] = filter(body[column : column+count])
			column += count + 1
		}
	}
	return body
}

// filter codes a column in place in the way that is likely to compress better,
// and tells which: the one whose bytes are spread less, by the sum of squares of
// how often each occurs. (Their entropy chooses the same, and takes longer; a
// third way, XOR with the byte before, gained nothing.)
func filter(column []byte) byte {
	var plain, delta [256]uint32
	before := byte(0)
	for _, c := range column {
		plain[c]++
		delta[c-before]++
		before = c
	}
	var plainSum, deltaSum uint64
	for i := range plain {
		plainSum += uint64(plain[i]) * uint64(plain[i])
		deltaSum += uint64(delta[i]) * uint64(delta[i])
	}
	if plainSum >= deltaSum {
		return filterNone
	}
	before = 0
	for i, c := range column {
		column[i] = c - before
		before = c
	}
	return filterDelta
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// floorDiv rounds down, before 1970 too.
func floorDiv(v, by int64) int64 {
	q := v / by
	if v%by < 0 {
		q--
	}
	return q
}
