package presence

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Listeners are called with every event. The zero value is empty; it is safe
// for concurrent use.
type Listeners struct {
	mu   sync.Mutex // held to change the list
	list atomic.Pointer[[]*listener]
}

type listener struct{ fn func(Event) }

// Add has fn called from now on, until cancel; an event that is under way then may
// still come after it.
func (ls *Listeners) Add(fn func(Event)) (cancel func()) {
	l := &listener{fn}
	ls.change(func(list []*listener) []*listener { return append(list, l) })
	return sync.OnceFunc(func() {
		ls.change(func(list []*listener) []*listener {
			return slices.DeleteFunc(list, func(other *listener) bool { return other == l })
		})
	})
}

// Any reports whether there is one.
func (ls *Listeners) Any() bool { return len(ls.all()) > 0 }

// Tell calls them, one after the other.
func (ls *Listeners) Tell(e Event) {
	for _, l := range ls.all() {
		l.fn(e)
	}
}

func (ls *Listeners) all() []*listener {
	if list := ls.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (ls *Listeners) change(fn func([]*listener) []*listener) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	list := fn(slices.Clone(ls.all()))
	ls.list.Store(&list)
}
