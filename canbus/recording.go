package canbus

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// recordingPlan is what the files of a configuration give for one recording.
type recordingPlan struct {
	condition  *vehicle.Expression // nil to record always
	selections map[string]*record.Selection
}

// validateRecordings reports recordings of one name, and buses that are not there.
func (c *Config) validateRecordings(r *config.Reporter) {
	names := c.busNames()
	seen := map[string]bool{}
	for i, rc := range c.Record {
		if seen[rc.Name] {
			r.At("record", i, "name").Errorf("recording %q is there twice", rc.Name)
		}
		seen[rc.Name] = true
		for k, bus := range rc.Buses {
			if !slices.Contains(names, bus) {
				r.At("record", i, "buses", k).Errorf("no bus is named %q%s", bus, suggestion(bus, names))
			}
		}
	}
}

func (c *Config) busNames() []string {
	names := make([]string, len(c.Buses))
	for i, b := range c.Buses {
		names[i] = b.Name
	}
	return names
}

// recordedBuses are the buses of one recording.
func (c *Config) recordedBuses(rc record.Config) []string {
	if len(rc.Buses) > 0 {
		return rc.Buses
	}
	return c.busNames()
}

// compileRecordings finds the messages that are to be recorded, and compiles
// conditions. A path that nothing feeds is worth a warning: a client may provide
// it.
func (p *Plan) compileRecordings(c Config, doc *config.Document, state *vehicle.State) (warnings []config.Problem, problems config.Errors) {
	fed := map[string]bool{}
	for _, r := range p.mapping.Rules {
		fed[r.Path] = true
	}
	for _, d := range p.mapping.Derived {
		fed[d.Path] = true
	}
	for i, rc := range c.Record {
		at := []any{"can", "record", i}
		var part recordingPlan
		if rc.When != "" {
			condition, err := state.CompileCondition(rc.When)
			if err != nil {
				problems = append(problems, doc.Errorf(append(at[:3:3], "when"), "%v", err))
			} else {
				part.condition = condition
				for _, path := range condition.Paths() {
					if strings.HasPrefix(path, "Vehicle.") && !fed[path] {
						warnings = append(warnings, doc.Errorf(append(at[:3:3], "when"),
							"no mapping feeds %s: nothing is recorded unless a client provides it", path))
					}
				}
			}
		}
		if len(rc.Messages) > 0 {
			selections, errs := p.selectMessages(rc.Messages, c.recordedBuses(rc), at, doc)
			part.selections = selections
			problems = append(problems, errs...)
		}
		p.recordings = append(p.recordings, part)
	}
	return warnings, problems
}

// selectMessages makes a selection for each bus. A name counts for each bus that
// has it, an identifier for all of them.
func (p *Plan) selectMessages(messages, buses []string, at []any, doc *config.Document) (map[string]*record.Selection, config.Errors) {
	var problems config.Errors
	filters := map[string][]source.Filter{}
	for k, wanted := range messages {
		if f, ok := record.ParseIdentifier(wanted); ok {
			for _, bus := range buses {
				filters[bus] = append(filters[bus], f)
			}
			continue
		}
		found := false
		var names []string
		for _, bus := range buses {
			for _, m := range p.buses[bus].database.Messages {
				names = append(names, m.Name)
				if m.Name == wanted {
					found = true
					filters[bus] = append(filters[bus], source.Filter{ID: m.ID, Mask: m.Mask(), Extended: m.Extended})
				}
			}
		}
		if !found {
			problems = append(problems, doc.Errorf(append(at[:3:3], "messages", k),
				"no DBC of the recording's buses has a message %q%s; an identifier is written 0x and 3 digits, or 8 for an extended one",
				wanted, suggestion(wanted, names)))
		}
	}
	selections := map[string]*record.Selection{}
	for _, bus := range buses {
		selections[bus] = record.Select(filters[bus])
	}
	return selections, problems
}

// useRecordings takes over which messages are recorded.
func (all *Buses) useRecordings(plan *Plan) {
	for i, r := range all.recorders {
		r.Use(plan.recordings[i].selections)
	}
}

// newRecorders makes the recorders and puts their taps on the buses.
func (all *Buses) newRecorders(c Config, plan *Plan) {
	for i, rc := range c.Record {
		r := record.New(rc, record.Options{Log: all.options.Log, Condition: plan.recordings[i].condition})
		for _, name := range c.recordedBuses(rc) {
			for _, b := range all.buses {
				if b.name == name {
					b.taps = append(b.taps, r.Tap(name))
				}
			}
		}
		all.recorders = append(all.recorders, r)
	}
}

// openRecordings opens where the blocks go.
func (all *Buses) openRecordings() error {
	for _, r := range all.recorders {
		sink, err := all.options.OpenRecording(r.Config())
		if err != nil {
			return fmt.Errorf("can: recording %q: %w", r.Config().Name, err)
		}
		r.Open(sink)
	}
	return nil
}

// startRecorders begins to record, until stopRecorders, which is called when no
// bus receives any more.
func (all *Buses) startRecorders(ctx context.Context) {
	ctx, all.stopRecording = context.WithCancel(context.WithoutCancel(ctx))
	for _, r := range all.recorders {
		all.recording.Go(func() { r.Run(ctx) })
	}
}

// stopRecorders waits until what was recorded is kept.
func (all *Buses) stopRecorders() {
	all.stopRecording()
	all.recording.Wait()
}

// record hands a frame to the recordings of the bus. Where a log is replayed it
// waits for them.
func (b *bus) record(ctx context.Context, fr *can.Frame, wall, boot int64) error {
	for _, tap := range b.taps {
		if b.live {
			tap.Take(fr, wall, boot)
		} else if err := tap.TakeWait(ctx, fr, wall, boot); err != nil {
			return err
		}
	}
	return nil
}

// recordedFilters adds what the bus's recordings need to the filters of its
// decoder; nil is everything.
func (b *bus) recordedFilters(filters []source.Filter) []source.Filter {
	for _, tap := range b.taps {
		more := tap.Filters()
		if more == nil {
			return nil
		}
		filters = append(filters, more...)
	}
	return filters
}

// Recordings describes the recordings in the order of the configuration; safe
// for concurrent use.
func (all *Buses) Recordings() []record.Status {
	list := make([]record.Status, len(all.recorders))
	for i, r := range all.recorders {
		list[i] = r.Status()
	}
	return list
}
