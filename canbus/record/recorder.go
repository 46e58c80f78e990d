// Package record records the frames of buses: always, or around events, as
// blocks (package block) that a sink keeps.
//
// A frame goes from its bus over a tap into a queue, and from there, on the
// recorder's own goroutine, into a block, or into a ring of what came last until
// an event makes it worth keeping.
package record

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/vehicle"
)

// How often a recorder looks at its queue, and with a condition at that.
const (
	lookEvery      = 100 * time.Millisecond
	conditionEvery = 10 * time.Millisecond
)

// Options are what a recorder needs beside its configuration.
type Options struct {
	Log *slog.Logger
	// Condition is the compiled Config.When, which the recorder alone uses; nil to
	// record always.
	Condition *vehicle.Expression
}

// Recorder is one recording. Its life is New, Tap for each bus, Open, Run; Use and
// Status may be called at any time.
type Recorder struct {
	config    Config
	condition *vehicle.Expression
	log       *slog.Logger
	sink      atomic.Pointer[Sink] // nil before Open

	taps  []*Tap
	buses []string
	queue *queue

	// The rest but counts and event is the recorder goroutine's own.
	used    []byte // the buffer that goes back into the queue
	ring    *ring
	from    int64 // of the event: moments by CLOCK_BOOTTIME between which frames are kept
	until   int64
	builder *block.Builder
	begun   int64 // when the first frame of the block came
	packed  []byte
	failing bool // the sink refused the block before

	event  atomic.Bool // frames are kept, not only remembered
	counts counts
	fault  atomic.Pointer[string] // why the sink refuses, nil while it doesn't
}

// counts are of frames, but for the last three.
type counts struct {
	recorded atomic.Uint64 // in blocks that the sink took
	late     atomic.Uint64 // dropped: the queue was full
	crowded  atomic.Uint64 // dropped: the ring was full, and an event may have wanted them
	refused  atomic.Uint64 // dropped: the sink refused their block
	events   atomic.Uint64
	blocks   atomic.Uint64
	bytes    atomic.Uint64
}

// New makes a recorder. It records nothing before Run.
func New(c Config, o Options) *Recorder {
	r := &Recorder{
		config:    c,
		condition: o.Condition,
		log:       o.Log.With("recording", c.Name),
		queue:     newQueue(),
		builder:   block.NewBuilder(c.resolution()),
	}
	if r.condition != nil {
		r.ring = newRing(int64(c.Memory))
	}
	return r
}

// Tap adds a bus, of which there may be 256, and is where its frames go in.
func (r *Recorder) Tap(bus string) *Tap {
	t := &Tap{recorder: r, bus: uint8(len(r.buses))}
	r.buses, r.taps = append(r.buses, bus), append(r.taps, t)
	return t
}

// Config is the recording's configuration.
func (r *Recorder) Config() Config { return r.config }

// Open says where blocks go. It is called once, before Run.
func (r *Recorder) Open(s Sink) { r.sink.Store(&s) }

// Use takes what each bus is to record, by its name, from the next frame on.
func (r *Recorder) Use(selections map[string]*Selection) {
	for i, t := range r.taps {
		t.Select(selections[r.buses[i]])
	}
}

// Run records until ctx ends, and then hands on what it has. Whoever puts frames
// in has to stop before.
func (r *Recorder) Run(ctx context.Context) {
	every := lookEvery
	if r.condition != nil {
		every = conditionEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.look(vehicle.BootNow())
			r.flush()
			return
		case <-tick.C:
		case <-r.queue.wake:
		}
		r.look(vehicle.BootNow())
	}
}

// look evaluates the condition and takes what has come.
func (r *Recorder) look(now int64) {
	r.step(now, r.condition != nil && r.condition.True(now))
}

// step takes what has come by now. on is what the condition says, if there is
// one.
func (r *Recorder) step(now int64, on bool) {
	if on {
		r.until = now + int64(r.config.After)
		if !r.event.Load() {
			r.begin(now - int64(r.config.Before))
		}
	}
	come := r.queue.swap(r.used)
	r.used = come
	var e entry
	for rest := come; len(rest) > 0; {
		packed := rest[:sizeOf(rest)]
		rest = e.take(rest)
		r.take(&e, packed)
	}
	if r.ring != nil {
		if r.event.Load() && now > r.until {
			r.end()
		}
		r.ring.expire(now - int64(r.config.Before))
	}
	if r.builder.Frames() > 0 && now-r.begun >= r.longest()-int64(lookEvery) {
		r.flush() // no later than it may be: the next look is a tick away
	}
}

// begin begins an event, with what came since the moment from.
func (r *Recorder) begin(from int64) {
	r.from = from
	r.event.Store(true)
	r.counts.events.Add(1)
	r.log.Info("recording begins: its condition is true", "when", r.config.When)
	r.ring.expire(from)
	r.ring.drain(r.keep)
}

// end ends an event, and the block with it.
func (r *Recorder) end() {
	r.event.Store(false)
	r.flush()
	r.log.Info("recording ends: its condition was false for long enough", "after", r.config.After)
}

// take sends an entry the way it has to go; packed is the same as it was queued.
func (r *Recorder) take(e *entry, packed []byte) {
	if r.ring == nil {
		r.keep(e)
		return
	}
	if r.event.Load() {
		if e.boot > r.until {
			r.end()
		} else if e.boot >= r.from {
			r.keep(e)
			return
		}
	}
	r.counts.crowded.Add(uint64(r.ring.push(packed)))
}

// keep puts an entry into the block.
func (r *Recorder) keep(e *entry) {
	if r.builder.Full() || r.builder.Frames() > 0 && e.boot-r.begun >= r.longest() {
		r.flush()
	}
	if r.builder.Frames() == 0 {
		r.begun = e.boot
	}
	r.builder.Add(r.buses[e.bus], e.wall, &e.frame)
}

func (r *Recorder) longest() int64 { return int64(r.config.Block) }

// flush hands the block to the sink, if there is one.
func (r *Recorder) flush() {
	if r.builder.Frames() == 0 {
		return
	}
	packed, head := r.builder.Append(r.packed[:0])
	r.packed = packed
	if err := (*r.sink.Load()).Append(packed, head); err != nil {
		r.counts.refused.Add(uint64(head.Frames))
		text := err.Error()
		r.fault.Store(&text)
		if !r.failing {
			r.log.Warn("a recorded block was dropped; so are the next ones until it is told that there is room", "error", err)
		}
		r.failing = true
		return
	}
	r.counts.recorded.Add(uint64(head.Frames))
	r.counts.blocks.Add(1)
	r.counts.bytes.Add(uint64(len(packed)))
	if r.failing {
		r.failing = false
		r.fault.Store(nil)
		r.log.Info("recorded blocks are kept again", "dropped_frames", r.counts.refused.Load())
	}
}

// Status is what a recording does and has done since the start.
type Status struct {
	Name   string `json:"name"`
	State  string `json:"state"` // recording, or waiting for its condition
	Frames uint64 `json:"frames"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`            // of these blocks
	Events uint64 `json:"events,omitempty"` // times the condition became true

	// Frames that were dropped: the recorder was too slow, the memory for the time
	// before an event too small, or the sink refused a block.
	Late    uint64 `json:"dropped_late"`
	Crowded uint64 `json:"dropped_memory"`
	Refused uint64 `json:"dropped_refused"`
	Fault   string `json:"fault,omitempty"` // why the sink refuses now

	Kept Usage `json:"kept"`
}

// The states of a recording.
const (
	stateRecording = "recording"
	stateWaiting   = "waiting"
)

// Active reports whether frames are kept.
func (s Status) Active() bool { return s.State == stateRecording }

// Dropped is how many frames were dropped in all.
func (s Status) Dropped() uint64 { return s.Late + s.Crowded + s.Refused }

// Status describes the recording; safe for concurrent use.
func (r *Recorder) Status() Status {
	c := &r.counts
	s := Status{
		Name: r.config.Name, State: stateRecording,
		Frames: c.recorded.Load(), Blocks: c.blocks.Load(), Bytes: c.bytes.Load(), Events: c.events.Load(),
		Late: c.late.Load(), Crowded: c.crowded.Load(), Refused: c.refused.Load(),
	}
	if sink := r.sink.Load(); sink != nil {
		s.Kept = (*sink).Usage()
	}
	if r.condition != nil && !r.event.Load() {
		s.State = stateWaiting
	}
	if fault := r.fault.Load(); fault != nil {
		s.Fault = *fault
	}
	return s
}
