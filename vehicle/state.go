// Package vehicle keeps the vehicle's state: the latest value of every VSS
// path with its age, and expressions over them. Every room may read it.
package vehicle

import (
	"sort"
	"sync"
	"time"
	"weak"
)

// Reading is a value with the moments it was set at.
type Reading struct {
	Value Value
	Wall  int64 // nanoseconds since 1970 by the wall clock, for people and payloads
	Boot  int64 // nanoseconds by CLOCK_BOOTTIME, for ages: a clock step does not touch it
}

// Age is how old the reading is at the boot time now.
func (r Reading) Age(now int64) time.Duration { return time.Duration(now - r.Boot) }

// State holds one slot a path. It is safe for concurrent use.
type State struct {
	mu    sync.RWMutex
	slots map[string]*Slot
}

// NewState returns a state in which no value was ever seen.
func NewState() *State { return &State{slots: map[string]*Slot{}} }

// Slot returns the slot of a path, made if need be. Whoever sets or reads a
// path often keeps its slot: looking it up once is what makes updates cheap.
func (s *State) Slot(path string) *Slot {
	s.mu.RLock()
	slot := s.slots[path]
	s.mu.RUnlock()
	if slot != nil {
		return slot
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot = s.slots[path]; slot == nil {
		slot = &Slot{path: path}
		s.slots[path] = slot
	}
	return slot
}

// Get returns the latest reading of a path, false when there is none that counts
// (see Slot.Get).
func (s *State) Get(path string) (Reading, bool) {
	s.mu.RLock()
	slot := s.slots[path]
	s.mu.RUnlock()
	if slot == nil {
		return Reading{}, false
	}
	return slot.Get(BootNow())
}

// Each calls fn for every path that ever had a value, in the order of the paths.
func (s *State) Each(fn func(path string, r Reading)) {
	s.mu.RLock()
	slots := make([]*Slot, 0, len(s.slots))
	for _, slot := range s.slots {
		slots = append(slots, slot)
	}
	s.mu.RUnlock()
	sort.Slice(slots, func(i, j int) bool { return slots[i].path < slots[j].path })
	for _, slot := range slots {
		if r := slot.Last(); r.Value.IsSet() {
			fn(slot.path, r)
		}
	}
}

// Slot is the place of one path's latest value. It is safe for concurrent use.
type Slot struct {
	path string

	mu      sync.Mutex // guards the fields below
	reading Reading
	timeout time.Duration
	// windows are those that expressions look through. Who drops an expression,
	// as a reload does, need not tell: its windows end with it.
	windows []weak.Pointer[window]
}

// Path is the VSS path with dots.
func (s *Slot) Path() string { return s.path }

// Set makes v the latest value. wall is when it was received, in nanoseconds
// since 1970; boot the same moment as BootNow gives it.
func (s *Slot) Set(v Value, wall, boot int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.windows) > 0 {
		s.feed(v, boot)
	}
	s.reading = Reading{Value: v, Wall: wall, Boot: boot}
}

// Expire sets the age from which on a value counts as missing; 0 is never.
func (s *Slot) Expire(after time.Duration) {
	s.mu.Lock()
	s.timeout = after
	s.mu.Unlock()
}

// Get returns the latest reading. It is false when no value was ever set, when
// the latest is invalid, and when it is older than the slot's timeout at the
// boot time now: to a condition all three are the same, a value that is missing.
func (s *Slot) Get(now int64) (Reading, bool) {
	s.mu.Lock()
	r, timeout := s.reading, s.timeout
	s.mu.Unlock()
	if !r.Value.IsValid() || timeout > 0 && r.Age(now) > timeout {
		return r, false
	}
	return r, true
}

// feed hands a value to the windows; it is called with mu held, before the
// reading changes.
func (s *Slot) feed(v Value, boot int64) {
	gap := s.timeout > 0 && s.reading.Age(boot) > s.timeout
	alive := s.windows[:0]
	for _, p := range s.windows {
		w := p.Value()
		if w == nil {
			continue
		}
		if gap {
			w.clear()
		}
		w.add(v, boot)
		alive = append(alive, p)
	}
	s.windows = alive
}

// window returns the slot's window of a length, made if need be. A new one
// begins with the latest reading.
func (s *Slot) window(length time.Duration) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.windows {
		if w := p.Value(); w != nil && w.span == int64(length) {
			return w
		}
	}
	w := newWindow(length)
	w.add(s.reading.Value, s.reading.Boot)
	s.windows = append(s.windows, weak.Make(w))
	return w
}

// measure looks through one of the slot's windows at the boot time now.
func (s *Slot) measure(w *window, now int64) (m span, text, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok = w.measure(now)
	return m, w.text, ok
}

// Last returns the latest reading whatever its age and validity.
func (s *Slot) Last() Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}
