package store

import (
	"encoding/binary"
	"math"
)

const (
	// chunkSize is how many entries a chunk has at most.
	chunkSize = 512
	// keepChunks at a queue's head stay in memory, as the last one does.
	keepChunks = 2
	// keepLoaded of the others stay there once they were read.
	keepLoaded = 8
)

// chunk is a run of a queue's entries, without gaps. The references of chunks
// in the middle of a long queue are in a record of the log instead of in memory,
// so that a million entries take 100 kB.
type chunk struct {
	first uint64 // position of the first entry
	n     int    // entries
	base  uint64 // sequence number of the first entry's record
	at    uint64 // sequence number of the record that holds the references; 0: none yet
	refs  []ref  // nil: they are in record at alone
	bits  *bits  // nil: no entry but those before the queue's head is done, none is marked
	live  int    // entries not done
	bytes int64  // of their messages; too much while entries are done and refs is nil
}

// ref is where an entry's message is and how long.
type ref struct {
	delta uint32 // sequence number of its record less the chunk's base
	size  uint32 // of the message in bytes
}

type bits struct{ done, marked [chunkSize / 64]uint64 }

func (c *chunk) end() uint64 { return c.first + uint64(c.n) }

// takes reports whether an entry with that position and record may follow.
func (c *chunk) takes(pos, seq uint64) bool {
	return c.at == 0 && c.n < chunkSize && pos == c.end() && seq-c.base <= math.MaxUint32
}

func (c *chunk) isDone(i int) bool { return c.bits != nil && c.bits.done[i/64]>>(i%64)&1 == 1 }

func (c *chunk) isMarked(i int) bool { return c.bits != nil && c.bits.marked[i/64]>>(i%64)&1 == 1 }

func (c *chunk) setDone(i int) {
	c.needBits()
	c.bits.done[i/64] |= 1 << (i % 64)
}

func (c *chunk) setMarked(i int) {
	c.needBits()
	c.bits.marked[i/64] |= 1 << (i % 64)
}

func (c *chunk) needBits() {
	if c.bits == nil {
		c.bits = new(bits)
	}
}

// append appends the chunk's place and its references.
func (c *chunk) append(buf []byte) []byte {
	buf = binary.AppendUvarint(buf, c.first)
	buf = binary.AppendUvarint(buf, uint64(c.n))
	buf = binary.AppendUvarint(buf, c.base)
	last := uint32(0)
	for _, r := range c.refs {
		buf = binary.AppendUvarint(buf, uint64(r.delta-last))
		buf = binary.AppendUvarint(buf, uint64(r.size))
		last = r.delta
	}
	return buf
}

// parseChunk reads what append wrote.
func parseChunk(d *body) (*chunk, error) {
	c := &chunk{first: d.uvarint()}
	n := d.uvarint()
	c.base = d.uvarint()
	if n == 0 || n > chunkSize || d.bad || c.first > math.MaxUint64-chunkSize {
		return nil, errForm
	}
	c.n, c.live = int(n), int(n)
	c.refs = make([]ref, n)
	last := uint64(0)
	for i := range c.refs {
		last += d.uvarint()
		size := d.uvarint()
		if last > math.MaxUint32 || size > math.MaxUint32 {
			return nil, errForm
		}
		c.refs[i] = ref{uint32(last), uint32(size)}
		c.bytes += int64(size)
	}
	if d.bad {
		return nil, errForm
	}
	return c, nil
}
