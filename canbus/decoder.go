package canbus

import (
	"context"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	watch "github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/canbus/transmit"
)

// decoder is the part of a plan for one bus, tied to the broker and ready for
// frames. The bus's goroutine alone uses it; a reload makes a new one.
type decoder struct {
	database *dbc.Database
	routes   []route // of every message of the database, by its index there
	counts   *counters
	broker   Broker
	wait     bool // publishing may wait for readers
	values   []dbc.Value
}

// route is what becomes of one message. With neither outputs nor a topic nobody
// wants it, and it is not decoded.
type route struct {
	message *dbc.Message
	plan    *dbc.Plan  // of the signals that somebody needs; nil if nobody needs any
	outputs [][]output // by Signal.Index; nil without any
	derived []*derivation
	topic   string            // can/<bus>/<message>, "" unless it is published whole
	watch   *watch.Message    // of its health, nil if nobody wants to know
	gate    *transmit.Message // nil unless a rule sends it or awaits it
}

// output feeds one path from one signal.
type output struct {
	rule  *mapping.Rule
	path  *path
	watch *watch.Signal // nil if nobody wants to know
}

// frame decodes one frame received at wall and boot, and hands on what it
// holds. The error is the broker's: it refused a message, or ctx ended while a
// log waited for its readers.
func (d *decoder) frame(ctx context.Context, fr *can.Frame, wall, boot int64) error {
	if fr.Flags&(can.Remote|can.Error) != 0 {
		d.counts.other.Add(1)
		return nil
	}
	at := d.database.IndexOf(fr.ID, fr.Has(can.Extended))
	if at < 0 {
		d.counts.unknown.Add(1)
		return nil
	}
	r := &d.routes[at]
	switch {
	case int(fr.Len) < r.message.Size:
		d.counts.short.Add(1)
		if r.watch != nil {
			r.watch.Short()
		}
		return nil
	case r.gate != nil && r.gate.Observe(fr, boot):
		d.counts.own.Add(1)
		return nil
	}
	if r.watch != nil {
		r.watch.Frame(fr, boot)
	}
	if r.plan == nil {
		d.counts.unused.Add(1)
		return nil
	}
	var err error
	if d.values, err = r.plan.Decode(fr, d.values[:0]); err != nil {
		d.counts.short.Add(1) // not reached: what Decode refuses was sorted out above
		return nil
	}
	d.counts.decoded.Add(1)
	if err := d.setPaths(ctx, r, wall, boot); err != nil {
		return err
	}
	return d.publishWhole(ctx, r, wall)
}

// setPaths sets the paths that the message feeds, and then, when all of them
// are of the same frame, those computed from them.
func (d *decoder) setPaths(ctx context.Context, r *route, wall, boot int64) error {
	if r.outputs == nil {
		return nil
	}
	for _, v := range d.values {
		for _, out := range r.outputs[v.Signal.Index] {
			value := out.rule.Convert(v)
			if out.watch != nil {
				out.watch.See(v, value, boot)
			}
			if !value.IsSet() {
				d.counts.skipped.Add(1)
				continue
			}
			if !value.IsValid() {
				d.counts.invalid.Add(1)
			}
			if !d.wait {
				out.path.set(value, wall, boot)
			} else if err := out.path.setWait(ctx, value, wall, boot); err != nil {
				return err
			}
		}
	}
	for _, derived := range r.derived {
		if !d.wait {
			derived.update(wall, boot)
		} else if err := derived.updateWait(ctx, wall, boot); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) publishWhole(ctx context.Context, r *route, wall int64) error {
	if r.topic == "" {
		return nil
	}
	payload := make([]byte, 0, 32+24*len(d.values)) // the broker keeps it
	payload = append(payload, `{"ts":`...)
	payload = appendStamp(payload, wall)
	payload = append(payload, `,"signals":`...)
	payload = appendSignals(payload, d.values)
	payload = append(payload, '}')
	if d.wait {
		return d.broker.PublishWait(ctx, r.topic, payload, contentTypeJSON)
	}
	d.broker.Publish(r.topic, payload, contentTypeJSON, false)
	return nil
}

// bind ties a plan to the broker: one decoder a bus, with the bus's counters. It
// returns what is derived.
func (p *Plan) bind(buses []*bus, to *outlet, watches watch.Watches) []*derivation {
	used := map[string]bool{}
	paths := func(name string, limits mapping.Limits, cbor bool, timeout int64) *path {
		used[name] = true
		return to.path(name, limits, cbor, timeout)
	}
	var derived []*derivation
	for _, f := range p.formulas {
		derived = append(derived, &derivation{
			rule: f.rule, expression: f.expression,
			out: paths(f.rule.Path, f.rule.Limits, f.rule.CBOR, f.rule.Timeout)})
	}
	for _, b := range buses {
		part := p.buses[b.name]
		d := &decoder{database: part.database, counts: &b.counts, broker: to.broker, wait: !b.live}
		for _, m := range part.database.Messages {
			r := route{message: m, watch: watches.Message(m), gate: p.transmit.Message(b.name, m)}
			if part.publish[m.Name] {
				r.topic = "can/" + b.name + "/" + m.Name
			}
			if rules := p.mapping.Bus(b.name).Message(m); rules != nil {
				var fed []string
				var wanted []*dbc.Signal
				r.outputs = make([][]output, len(m.Signals))
				for _, s := range m.Signals {
					if len(rules.Rules(s)) > 0 {
						wanted = append(wanted, s)
					}
					for _, rule := range rules.Rules(s) {
						r.outputs[s.Index] = append(r.outputs[s.Index],
							output{rule, paths(rule.Path, rule.Limits, rule.CBOR, rule.Timeout), watches.Signal(rule)})
						fed = append(fed, rule.Path)
					}
				}
				r.plan, r.derived = m.Plan(wanted), dependents(derived, fed)
			}
			if r.topic != "" {
				r.plan = m.Plan(m.Signals)
			}
			d.routes = append(d.routes, r)
		}
		b.decoder.Store(d)
	}
	to.keep(used)
	return derived
}
