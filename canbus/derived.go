package canbus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// derivation is a path that an expression over other paths feeds.
type derivation struct {
	rule *mapping.Derived
	out  *path

	mu         sync.Mutex // guards the field below: several buses may feed one
	expression *vehicle.Expression
}

// update evaluates the expression. While something that it names is missing the
// path keeps its last value: nothing new is known.
func (d *derivation) update(wall, boot int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.compute(boot); ok {
		d.out.set(v, wall, boot)
	}
}

// updateWait is update for a source that can wait for its readers, as setWait is
// set.
func (d *derivation) updateWait(ctx context.Context, wall, boot int64) error {
	d.mu.Lock()
	v, ok := d.compute(boot)
	d.mu.Unlock()
	if !ok {
		return nil
	}
	return d.out.setWait(ctx, v, wall, boot)
}

func (d *derivation) compute(boot int64) (vehicle.Value, bool) {
	v, err := d.expression.Eval(boot)
	switch {
	case errors.Is(err, vehicle.ErrMissing):
		return vehicle.Value{}, false
	case err != nil:
		v = vehicle.Invalid() // types that don't go together
	}
	return d.rule.Convert(v), true
}

// formula is a derivation before it has a way out.
type formula struct {
	rule       *mapping.Derived
	expression *vehicle.Expression
}

// compileFormulas compiles the expressions and puts them into an order in which
// each comes after those whose paths it reads.
// A path that nothing feeds is a doubt, not an error: a client may provide it.
func compileFormulas(plan *mapping.Plan, state *vehicle.State) (ordered []formula, doubts []config.Problem, problems config.Errors) {
	fed := map[string]bool{}
	for _, r := range plan.Rules {
		fed[r.Path] = true
	}
	for _, d := range plan.Derived {
		fed[d.Path] = true
	}
	var waiting []formula
	for _, rule := range plan.Derived {
		e, err := state.Compile(rule.Expr)
		if err != nil {
			problems = append(problems, rule.Errorf("%v", err))
			continue
		}
		for _, path := range e.Paths() {
			if strings.HasPrefix(path, "Vehicle.") && !fed[path] {
				doubts = append(doubts, rule.Errorf("no mapping feeds %s: the value is missing unless a client provides it", path))
			}
		}
		waiting = append(waiting, formula{rule, e})
	}
	for len(waiting) > 0 {
		blocked := make([]string, len(waiting))
		for i, f := range waiting {
			blocked[i] = f.rule.Path
		}
		var next []formula
		for _, f := range waiting {
			if reads(f.expression, blocked) {
				next = append(next, f)
			} else {
				ordered = append(ordered, f)
			}
		}
		if len(next) == len(waiting) {
			for _, f := range next {
				problems = append(problems, f.rule.Errorf("%s is computed from itself, directly or over other derived paths", f.rule.Path))
			}
			break
		}
		waiting = next
	}
	return ordered, doubts, problems
}

func reads(e *vehicle.Expression, paths []string) bool {
	return slices.ContainsFunc(e.Paths(), func(p string) bool { return slices.Contains(paths, p) })
}

// dependents picks, in their order, those that are to be computed again when
// the given paths change.
func dependents(all []*derivation, changed []string) []*derivation {
	var picked []*derivation
	for _, d := range all {
		if reads(d.expression, changed) {
			picked = append(picked, d)
			changed = append(changed, d.rule.Path)
		}
	}
	return picked
}
