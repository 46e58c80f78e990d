package canbus

import (
	"slices"
	"sync"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	watch "github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/canbus/transmit"
)

// Whoever needs a message, its frames come; what nobody needs does not.
func TestFiltersAreThoseOfWhoNeedsTheFrames(t *testing.T) {
	d := &decoder{routes: []route{
		{message: &dbc.Message{ID: 1}, outputs: [][]output{}},
		{message: &dbc.Message{ID: 2}, topic: "can/can0/Two"},
		{message: &dbc.Message{ID: 3}, watch: &watch.Message{}},
		{message: &dbc.Message{ID: 4, Extended: true}, gate: &transmit.Message{}},
		{message: &dbc.Message{ID: 5}},
	}}
	got := map[source.Filter]bool{}
	for _, f := range d.filters() {
		got[f] = true
	}
	for id := range uint32(4) {
		f := source.Filter{ID: id + 1, Mask: can.MaxStandardID}
		if f.ID == 4 {
			f.Mask, f.Extended = can.MaxExtendedID, true
		}
		if !got[f] {
			t.Errorf("got %v, without %v", got, f)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %v, want 4 filters", got)
	}
}

// filtering is a source that keeps the identifiers it is to let through.
type filtering struct {
	*source.Node
	mu  sync.Mutex
	ids [][]uint32
}

func (f *filtering) SetFilters(filters []source.Filter) error {
	var ids []uint32
	for _, one := range filters {
		ids = append(ids, one.ID)
	}
	slices.Sort(ids)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = append(f.ids, ids)
	return nil
}

func (f *filtering) last() []uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ids) == 0 {
		return nil
	}
	return f.ids[len(f.ids)-1]
}

func TestFiltersFollowThePlan(t *testing.T) {
	r := prepare(t, "signals: []", "", Config{Buses: []BusConfig{{Name: "can0", Source: "virtual://can0"}}})
	src := &filtering{Node: r.virtual["can0"].Attach()}
	r.buses.buses[0].open = func() (source.Source, error) { return src, nil }
	r.start(t)
	within(t, "the bus is opened", func() bool { return r.buses.buses[0].faults.source() != nil })
	if got := src.last(); len(got) != 0 {
		t.Errorf("nothing is mapped: got %x", got)
	}
	r.buses.Use(r.plan(t, voltage("")))
	if got := src.last(); !slices.Equal(got, []uint32{0x100}) {
		t.Errorf("got %x, want what is mapped", got)
	}
}
