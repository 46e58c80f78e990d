package vehicle

import (
	"math"
	"time"
)

// windowCells is how many cells a window has. A window takes 28 kB whatever its
// length and however often its path changes; its beginning is exact to 1/500 of
// its length.
const windowCells = 500

// Bounds of a window's length. A shorter one is below a bus's jitter.
const (
	shortestWindow = 10 * time.Millisecond
	longestWindow  = 24 * time.Hour
)

// window keeps what a path was during a span of time up to now, as a function of
// time: each value holds until the next, as the last known value does for
// everybody else. So a mean counts a value by how long it held, and does not
// depend on how often it was sent.
//
// The values of each 1/500 of the span share a cell. The slot that owns the
// window guards it.
type window struct {
	span, part int64 // nanoseconds; part is a cell's

	cells []cell // a ring: the oldest at start, used of them
	start int
	used  int
	text  bool // the path holds a text, over which nothing can be computed
}

// cell is what came in one part of a window.
type cell struct {
	from, to int64 // boot time of the first value and of the last
	first    float64
	last     float64
	low      float64
	high     float64
	area     float64 // value × nanoseconds between from and to
	count    int
}

func newWindow(span time.Duration) *window {
	// One cell more than parts holds what was before the window began, and one
	// more the part that is being filled.
	return &window{span: int64(span), part: max(1, int64(span)/windowCells), cells: make([]cell, windowCells+2)}
}

// add takes a value. One that is missing ends what the window knows: it fills
// again from the next value on.
func (w *window) add(v Value, boot int64) {
	number, ok := v.Number()
	if b, is := v.Bool(); is {
		number, ok = 0, true
		if b {
			number = 1
		}
	}
	w.text = v.Kind() == KindString
	if !ok {
		w.clear()
		return
	}
	if w.used > 0 {
		c := w.at(w.used - 1)
		boot = max(boot, c.to) // of two buses one may be late
		if boot-c.from < w.part {
			c.area += c.last * float64(boot-c.to)
			c.to, c.last = boot, number
			c.low, c.high = min(c.low, number), max(c.high, number)
			c.count++
			return
		}
	}
	// A cell begins a part or more after the one before: those in the window and
	// the one before it are never more than the ring has.
	if w.used == len(w.cells) {
		w.start = (w.start + 1) % len(w.cells)
		w.used--
	}
	w.used++
	*w.at(w.used - 1) = cell{from: boot, to: boot, first: number, last: number, low: number, high: number, count: 1}
}

func (w *window) clear() { w.start, w.used = 0, 0 }

// at is the cell of that age, 0 the oldest.
func (w *window) at(i int) *cell {
	i += w.start
	if i >= len(w.cells) { // % takes three times as long
		i -= len(w.cells)
	}
	return &w.cells[i]
}

// span is what a window comes to at one moment.
type span struct {
	seconds   float64
	first     float64 // value that held when the window began
	last      float64
	low, high float64
	integral  float64 // value × seconds
	count     int     // values that came in the window
}

// measure looks at the window that ends at now. It is false unless values have
// covered all of it.
func (w *window) measure(now int64) (span, bool) {
	if w.used == 0 {
		return span{}, false
	}
	now = max(now, w.at(w.used-1).to)
	begin := now - w.span
	edge := -1 // the newest cell that began before the window did
	for i := w.used - 1; i >= 0 && edge < 0; i-- {
		if w.at(i).from <= begin {
			edge = i
		}
	}
	if edge < 0 {
		return span{}, false
	}
	c := w.at(edge)
	s := span{seconds: time.Duration(w.span).Seconds(), first: c.last, low: c.last, high: c.last}
	held, since := c.last, begin
	if c.to > begin { // the window begins inside the cell
		inside := float64(c.to-begin) / float64(c.to-c.from)
		s.first, s.low, s.high = c.first, c.low, c.high
		s.integral = c.area * inside
		s.count = int(math.Round(float64(c.count-1) * inside))
		since = c.to
	}
	for i := edge + 1; i < w.used; i++ {
		c = w.at(i)
		s.integral += held*float64(c.from-since) + c.area
		s.low, s.high = min(s.low, c.low), max(s.high, c.high)
		s.count += c.count
		held, since = c.last, c.to
	}
	s.integral += held * float64(now-since)
	s.integral /= float64(time.Second)
	s.last = held
	return s, true
}
