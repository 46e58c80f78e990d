package canbus

import "github.com/fascia-edge/fascia/canbus/source"

// filters match the frames that somebody has a use for: for their values, their
// health, or what is to be sent.
func (d *decoder) filters() []source.Filter {
	filters := []source.Filter{}
	for _, r := range d.routes {
		if r.outputs == nil && r.topic == "" && r.watch == nil && r.gate == nil {
			continue
		}
		filters = append(filters, source.Filter{ID: r.message.ID, Mask: r.message.Mask(), Extended: r.message.Extended})
	}
	return filters
}

// narrow has the kernel leave out the frames that nobody needs, where the open
// source can. It is called when a source is opened and when a plan is taken over,
// by different goroutines: the later call must have the newer plan.
func (b *bus) narrow(src source.Source) {
	f, ok := src.(source.Filterer)
	if !ok {
		return
	}
	b.narrowing.Lock()
	defer b.narrowing.Unlock()
	if err := f.SetFilters(b.recordedFilters(b.decoder.Load().filters())); err != nil {
		b.log.Warn("the kernel does not filter: all frames come", "error", err)
	}
}
