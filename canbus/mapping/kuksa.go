package mapping

import (
	"encoding/json"
	"math"
	"time"

	"github.com/fascia-edge/fascia/canbus/vss"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// kuksaInterval is what KUKSA's provider takes for a leaf that says neither
// interval_ms nor on_change: true.
const kuksaInterval = time.Second

// kuksaFile is a mapping file of KUKSA's CAN provider (vss_dbc.json): a VSS tree
// whose leaves say, under dbc2vss or its older name dbc, what signal feeds them,
// and, under vss2dbc, what signal sets them.
// https://github.com/eclipse-kuksa/kuksa-can-provider, mapping/README.md
type kuksaFile struct {
	tree      *vss.Tree
	feeds     []kuksaEntry // dbc2vss
	actuators []kuksaEntry // vss2dbc
	warnings  []config.Problem
	problems  config.Errors
}

// kuksaEntry is one dbc2vss or vss2dbc of a leaf.
type kuksaEntry struct {
	leaf   *vss.Node
	typ    Type
	signal string
	at     vss.Value // where the signal's name stands
	limits Limits

	math  formula     // nil without transform.math
	pairs []kuksaPair // of transform.mapping, nil without
}

// kuksaPair is an entry of transform.mapping.
type kuksaPair struct {
	from, to vehicle.Value
	at       vss.Value // of from
	toAt     vss.Value
}

// parseKUKSA reads a mapping file of KUKSA's. What its provider would not start
// with is an error here too; a key that means nothing to it is a warning.
func parseKUKSA(name string, text []byte) (*kuksaFile, error) {
	tree, err := vss.Parse(name, text)
	if err != nil {
		return nil, err
	}
	f := &kuksaFile{tree: tree}
	for _, leaf := range tree.Leaves {
		f.leaf(leaf)
	}
	if len(f.problems) > 0 {
		return nil, f.problems
	}
	if len(f.feeds) == 0 {
		f.warnf(vss.Value{}, "", "no leaf has a dbc2vss: the file feeds no path")
	}
	return f, nil
}

func (f *kuksaFile) errorf(at vss.Value, path, format string, args ...any) {
	f.problems = append(f.problems, f.tree.Errorf(at, path, format, args...))
}

func (f *kuksaFile) warnf(at vss.Value, path, format string, args ...any) {
	f.warnings = append(f.warnings, f.tree.Errorf(at, path, format, args...))
}

func (f *kuksaFile) leaf(leaf *vss.Node) {
	feed, fed := leaf.Keys.Get("dbc2vss")
	if old, ok := leaf.Keys.Get("dbc"); ok {
		if fed {
			f.errorf(old, leaf.Path, "dbc stands beside dbc2vss, which means the same: want one of them")
			return
		}
		feed, fed = old, true
	}
	if fed {
		if e, ok := f.entry(leaf, feed); ok {
			f.feeds = append(f.feeds, e)
		}
	}
	set, ok := leaf.Keys.Get("vss2dbc")
	switch {
	case !ok:
	case leaf.Kind != "actuator":
		f.errorf(set, leaf.Path, "vss2dbc is for actuators, and this is %s %s", article(leaf.Kind), leaf.Kind)
	default:
		if e, ok := f.entry(leaf, set); ok {
			f.actuators = append(f.actuators, e)
		}
	}
}

// entry reads a dbc2vss or a vss2dbc; false if it can't be used.
func (f *kuksaFile) entry(leaf *vss.Node, v vss.Value) (kuksaEntry, bool) {
	e := kuksaEntry{leaf: leaf, typ: Type(leaf.Datatype), at: v}
	before := len(f.problems)
	keys, ok := v.Data.(vss.Object)
	if !ok {
		f.errorf(v, leaf.Path, "want an object with the key signal, got %s", v.Kind())
		return e, false
	}
	if reason := pathFault(leaf.Path); reason != "" {
		f.errorf(leaf.At(), leaf.Path, "%s", reason)
	}
	if !e.typ.known() {
		f.warnf(leaf.At(), leaf.Path, "a signal can't be %s %s: the path is left out", article(leaf.Datatype), leaf.Datatype)
		return e, false
	}
	interval := math.NaN()
	for _, m := range keys {
		switch m.Key {
		case "signal":
			if e.signal, ok = m.Value.Data.(string); !ok {
				f.errorf(m.Value, leaf.Path, "signal: want a text, got %s", m.Value.Kind())
			}
			e.at = m.Value
		case "interval_ms":
			interval = f.interval(leaf, m.Value)
		case "on_change":
			if e.limits.OnChange, ok = m.Value.Data.(bool); !ok {
				f.errorf(m.Value, leaf.Path, "on_change: want true or false, got %s", m.Value.Kind())
			}
		case "transform":
			f.transform(&e, m.Value)
		default:
			f.warnf(m.Value, leaf.Path, "the key %q means nothing here", m.Key)
		}
	}
	if e.signal == "" && len(f.problems) == before {
		f.errorf(v, leaf.Path, "want signal, the name of a signal in the DBC")
	}
	switch {
	case !math.IsNaN(interval):
		e.limits.MinInterval = int64(interval * float64(time.Millisecond))
	case !e.limits.OnChange:
		e.limits.MinInterval = int64(kuksaInterval)
	}
	return e, len(f.problems) == before
}

func (f *kuksaFile) interval(leaf *vss.Node, v vss.Value) float64 {
	const longest = 24 * time.Hour
	if number, ok := v.Data.(json.Number); ok {
		if ms, err := number.Int64(); err == nil && ms >= 0 && ms <= longest.Milliseconds() {
			return float64(ms)
		}
	}
	f.errorf(v, leaf.Path, "interval_ms: want an integer from 0 to %d", longest.Milliseconds())
	return 0
}

func (f *kuksaFile) transform(e *kuksaEntry, v vss.Value) {
	keys, ok := v.Data.(vss.Object)
	if !ok {
		f.errorf(v, e.leaf.Path, "transform: want an object with math or mapping, got %s", v.Kind())
		return
	}
	expression, hasMath := keys.Get("math")
	table, hasMapping := keys.Get("mapping")
	switch {
	case hasMath == hasMapping:
		f.errorf(v, e.leaf.Path, "transform: want math or mapping, one of the two")
	case hasMath:
		text, ok := expression.Data.(string)
		if !ok {
			f.errorf(expression, e.leaf.Path, "math: want a text such as floor(x*40-100), got %s", expression.Kind())
			return
		}
		var err error
		if e.math, err = compileFormula(text); err != nil {
			f.errorf(expression, e.leaf.Path, "%v", err)
		}
	default:
		f.mapping(e, table)
	}
	for _, m := range keys {
		if m.Key != "math" && m.Key != "mapping" {
			f.warnf(m.Value, e.leaf.Path, "the key %q means nothing here", m.Key)
		}
	}
}

func (f *kuksaFile) mapping(e *kuksaEntry, v vss.Value) {
	list, ok := v.Data.(vss.List)
	if !ok {
		f.errorf(v, e.leaf.Path, "mapping: want a list of {from, to}, got %s", v.Kind())
		return
	}
	e.pairs = make([]kuksaPair, 0, len(list))
	for _, item := range list {
		keys, _ := item.Data.(vss.Object)
		from, hasFrom := keys.Get("from")
		to, hasTo := keys.Get("to")
		if !hasFrom || !hasTo {
			f.errorf(item, e.leaf.Path, "mapping: want an object with from and to")
			continue
		}
		pair := kuksaPair{at: from, toAt: to}
		var fromOK, toOK bool
		pair.from, fromOK = from.Scalar()
		pair.to, toOK = to.Scalar()
		if !fromOK || !toOK {
			f.errorf(item, e.leaf.Path, "mapping: want a text, a number or a boolean for from and to")
			continue
		}
		e.pairs = append(e.pairs, pair)
	}
}

func article(noun string) string {
	if noun != "" && (noun[0] == 'a' || noun[0] == 'i') {
		return "an"
	}
	return "a"
}
