package record

import (
	"context"
	"sync/atomic"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/source"
)

// Tap is where a recording takes the frames of one bus. The bus's goroutine
// calls Take or TakeWait; Select may be called by another. Neither allocates.
type Tap struct {
	recorder  *Recorder
	bus       uint8
	selection atomic.Pointer[Selection] // nil is everything
}

// Select changes which frames are taken from now on.
func (t *Tap) Select(s *Selection) { t.selection.Store(s) }

// Filters match the frames that the tap takes; nil is all of them.
func (t *Tap) Filters() []source.Filter {
	s := t.selection.Load()
	if s == nil {
		return nil
	}
	return s.filters
}

// Take takes a frame that came at boot, by CLOCK_BOOTTIME, with the stamp wall.
// It never blocks: a frame for which there is no room is counted as dropped.
func (t *Tap) Take(fr *can.Frame, wall, boot int64) {
	if !t.selection.Load().has(fr) {
		return
	}
	e := entry{boot: boot, wall: wall, bus: t.bus, frame: *fr}
	if ok, _ := t.recorder.queue.put(&e); !ok {
		t.recorder.counts.late.Add(1)
	}
}

// TakeWait is Take for a source that can wait, such as a log: it waits for room.
// The error is ctx's.
func (t *Tap) TakeWait(ctx context.Context, fr *can.Frame, wall, boot int64) error {
	if !t.selection.Load().has(fr) {
		return nil
	}
	e := entry{boot: boot, wall: wall, bus: t.bus, frame: *fr}
	for {
		ok, room := t.recorder.queue.put(&e)
		if ok {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
