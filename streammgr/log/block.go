package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// The form of a block, all numbers as varints unless a length is given:
//
//	version           1 byte
//	epoch, first, count
//	base              milliseconds since 1970 of the first message
//	mark              clock.MarkSize bytes: when the block was made, for its age
//	count × (length, milliseconds after the message before, payload)
//
// Whether the bytes are those that were written JetStream checks, with a hash of
// each of its messages.
const (
	blockVersion = 1
	// maxHead bounds a block's bytes before its messages.
	maxHead = 1 + 4*binary.MaxVarintLen64 + clock.MarkSize
	// maxFrame bounds what stands before a payload.
	maxFrame = 2 * binary.MaxVarintLen64
	// minFrame is what a message takes at least.
	minFrame = 2
)

var errBlock = errors.New("not a block of a stream")

// block is the head of a block, and its messages as they are stored.
type block struct {
	epoch    uint32
	first    uint64
	count    int
	base     int64
	mark     clock.Mark
	messages []byte
}

// next is the sequence that follows the block.
func (b *block) next() uint64 { return b.first + uint64(b.count) }

// appendHead encodes a block's head.
func appendHead(to []byte, b block) []byte {
	to = append(to, blockVersion)
	to = binary.AppendUvarint(to, uint64(b.epoch))
	to = binary.AppendUvarint(to, b.first)
	to = binary.AppendUvarint(to, uint64(b.count))
	to = binary.AppendVarint(to, b.base)
	return b.mark.Append(to)
}

// appendMessage encodes one message; before is the time of the one before it, or
// the block's base.
func appendMessage(to []byte, payload []byte, at, before int64) []byte {
	to = binary.AppendUvarint(to, uint64(len(payload)))
	to = binary.AppendVarint(to, at-before)
	return append(to, payload...)
}

// decodeBlock reads a block's head. The block keeps a part of b.
func decodeBlock(b []byte) (block, error) {
	var d block
	if len(b) == 0 || b[0] != blockVersion {
		return d, fmt.Errorf("%w: want version %d", errBlock, blockVersion)
	}
	r := varints{rest: b[1:]}
	epoch, first, count, base := r.unsigned(), r.unsigned(), r.unsigned(), r.signed()
	if r.bad || len(r.rest) < clock.MarkSize {
		return d, fmt.Errorf("%w: its head is cut off", errBlock)
	}
	d.mark = clock.ReadMark(r.rest)
	d.messages = r.rest[clock.MarkSize:]
	if count == 0 || count > uint64(len(d.messages)/minFrame) || epoch > 1<<32-1 || first+count < first {
		return block{}, fmt.Errorf("%w: %d messages from %d in %d bytes", errBlock, count, first, len(d.messages))
	}
	d.epoch, d.first, d.count, d.base = uint32(epoch), first, int(count), base
	return d, nil
}

// each calls fn for the messages with a sequence of at least from, until it
// returns false. An error tells of a block that ends too early, or too late.
func (b *block) each(from uint64, fn func(Message) bool) error {
	r := varints{rest: b.messages}
	at := b.base
	for seq := b.first; seq < b.next(); seq++ {
		length, delta := r.unsigned(), r.signed()
		if r.bad || length > uint64(len(r.rest)) {
			return fmt.Errorf("%w: message %d is cut off", errBlock, seq)
		}
		at += delta
		payload := r.rest[:length:length]
		r.rest = r.rest[length:]
		if seq < from {
			continue
		}
		if !fn(Message{Seq: seq, Epoch: b.epoch, Time: time.UnixMilli(at), Payload: payload}) {
			return nil
		}
	}
	if len(r.rest) > 0 {
		return fmt.Errorf("%w: %d bytes follow its messages", errBlock, len(r.rest))
	}
	return nil
}

// varints reads numbers; bad tells that there were none.
type varints struct {
	rest []byte
	bad  bool
}

func (r *varints) unsigned() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *varints) signed() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}
