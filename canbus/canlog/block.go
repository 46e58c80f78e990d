package canlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/fascia-edge/fascia/canbus/record/block"
)

// blockState is where the reader is in a recording of blocks.
type blockState struct {
	reader *block.Reader
	now    *block.Block // nil before the first, and behind damage
	digits int          // decimals of its stamps
	stamp  [32]byte     // room for Record.StampText
}

func (st *blockState) left() int {
	if st.now == nil {
		return 0
	}
	return st.now.Left()
}

// lookForBlocks tells a recording of blocks by its first bytes. It is decided
// before the first line is read: blocks have none.
func (rd *Reader) lookForBlocks() {
	start, _ := rd.lines.Peek(len(block.Magic)) // too short is no block, and an error comes again
	if block.Begins(start) {
		rd.format = Block
		rd.blocks.reader = block.NewReader(rd.lines)
	}
}

// scanBlock is Scan for blocks. A damaged one is skipped like a line.
func (rd *Reader) scanBlock() bool {
	st := &rd.blocks
	for st.left() == 0 {
		next, err := st.reader.Next()
		st.now, rd.line = next, st.reader.Blocks()
		var damaged *block.DamageError
		switch {
		case errors.As(err, &damaged):
			rd.skip(fmt.Errorf("block at byte %d: %w", damaged.Offset, damaged.Err))
		case err != nil:
			rd.err = rd.blocksEnd(err)
			return false
		default:
			st.digits = stampDecimals(next)
		}
	}
	rec := &rd.rec
	bus, stamp, _ := st.now.Next(&rec.Frame)
	if rec.Bus != bus {
		rec.Bus = rd.bus([]byte(bus))
	}
	rec.Line, rec.Stamp, rec.HasStamp, rec.StampText = rd.line, stamp, stamp >= 0, nil
	if rec.HasStamp { // before 1970 no clock was right, and no form of a log can say it
		rec.StampText = AppendStamp(st.stamp[:0], stamp, st.digits)
	}
	rd.frames++
	return true
}

// blocksEnd is what ends a recording of blocks.
func (rd *Reader) blocksEnd(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("block %d: %w", rd.line, err)
	case rd.frames > 0:
		return err
	}
	first := rd.kept[0] // Next gave neither a block nor damage only where there is nothing at all
	return fmt.Errorf("%w: none of its %d blocks is whole; the first: %s", ErrNoFrames, rd.skipped, first.Reason)
}

// Unit is what SkippedLine counts in a log of this format: line, block or object.
func (f Format) Unit() string {
	switch f {
	case Block:
		return "block"
	case BLF:
		return "object"
	}
	return "line"
}

// stampDecimals are the decimals that the resolution of a block asks for.
func stampDecimals(b *block.Block) int {
	digits := 9
	for unit := int64(b.Resolution); digits > 0 && unit%10 == 0; unit /= 10 {
		digits--
	}
	return digits
}
