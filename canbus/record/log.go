package record

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/canbus/source"
)

// longestBlock is how much time a block of a log holds.
const longestBlock = 10 * time.Second

// ErrEnough is what Write returns instead of writing more than Log.Most frames.
var ErrEnough = errors.New("there are as many frames as were wanted")

// Log writes frames as they come to a file or pipe. It is safe for concurrent
// use: several buses may write to one.
type Log struct {
	// Most is how many frames are written; 0 is any number.
	Most uint64
	// Selection is which of them are; nil is all. Neither may change once frames
	// are written.
	Selection *Selection

	mu     sync.Mutex // guards the fields below
	out    *bufio.Writer
	frames uint64
	bytes  uint64

	line []byte // of candump

	builder *block.Builder // nil for candump
	packed  []byte
	first   int64     // stamp of the block's first frame
	begun   time.Time // when it came
}

// NewCandump writes a line a frame to w, as candump -l does.
func NewCandump(w io.Writer) *Log { return &Log{out: bufio.NewWriterSize(w, 64<<10)} }

// NewBlocks writes blocks to w, with stamps cut to a resolution.
func NewBlocks(w io.Writer, resolution time.Duration) *Log {
	return &Log{out: bufio.NewWriterSize(w, 64<<10), builder: block.NewBuilder(resolution)}
}

// Write adds a frame that came on bus at stamp, in nanoseconds since 1970.
func (l *Log) Write(bus string, stamp int64, fr *can.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.Selection.has(fr) {
		return nil
	}
	if l.Most > 0 && l.frames == l.Most {
		return ErrEnough
	}
	l.frames++
	if l.builder == nil {
		l.line = canlog.AppendLine(l.line[:0], max(stamp, 0), canlog.StampDigits, bus, fr)
		l.bytes += uint64(len(l.line))
		_, err := l.out.Write(l.line)
		return err
	}
	if l.builder.Full() || l.builder.Frames() > 0 && stamp-l.first >= int64(longestBlock) {
		if err := l.endBlock(); err != nil {
			return err
		}
	}
	if l.builder.Frames() == 0 {
		l.first, l.begun = stamp, time.Now()
	}
	l.builder.Add(bus, stamp, fr)
	return nil
}

// Copy writes what comes from a bus until src ends, which it does with ctx too.
// What has come is handed on before it waits for more.
func (l *Log) Copy(ctx context.Context, bus string, src source.Source) error {
	stop := context.AfterFunc(ctx, func() { _ = src.Close() })
	defer stop()
	for src.Receive() {
		fr := src.Frame()
		if err := l.Write(bus, src.Time(), &fr); err != nil {
			return err
		}
		if src.Buffered() {
			continue
		}
		if err := l.Flush(); err != nil {
			return err
		}
	}
	return src.Err()
}

// Convert writes what another log holds, with its own stamps, until it or ctx
// ends. bus stands for the names in it; "" keeps them.
func (l *Log) Convert(ctx context.Context, bus string, log *canlog.Reader) error {
	for log.Scan() && ctx.Err() == nil {
		rec := log.Record()
		if !rec.HasStamp {
			return fmt.Errorf("%s %d: a frame without a time stamp: want a log with stamps (candump -l)", log.Format().Unit(), rec.Line)
		}
		name := bus
		if name == "" {
			name = rec.Bus
		}
		if err := l.Write(name, rec.Stamp, &rec.Frame); err != nil {
			return err
		}
	}
	return log.Err()
}

// Flush hands on what can be: the lines so far, or a block that is ten seconds
// old.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.builder != nil && l.builder.Frames() > 0 && time.Since(l.begun) >= longestBlock {
		if err := l.endBlock(); err != nil {
			return err
		}
	}
	return l.out.Flush()
}

// End hands on everything.
func (l *Log) End() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.builder != nil {
		if err := l.endBlock(); err != nil {
			return err
		}
	}
	return l.out.Flush()
}

// Written is how many frames were written, and the bytes that they take so far.
func (l *Log) Written() (frames, bytes uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames, l.bytes
}

func (l *Log) endBlock() error {
	l.packed, _ = l.builder.Append(l.packed[:0])
	l.bytes += uint64(len(l.packed))
	_, err := l.out.Write(l.packed)
	return err
}
