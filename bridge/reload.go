package bridge

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/bridge/spool"
)

// prepare compiles another configuration of the link and returns its rules and what
// takes it into use.
func (w *worker) prepare(c LinkConfig) (set *rule.Set, change func(), err error) {
	before := w.configuration()
	if err := before.fixed(&c); err != nil {
		return nil, nil, err
	}
	if set, err = w.compile(&c); err != nil {
		return nil, nil, err
	}
	classes, _ := c.classes()
	for _, class := range classes {
		if class.SendWhen == "" {
			continue
		}
		if _, err := w.options.State.CompileCondition(class.SendWhen); err != nil {
			return nil, nil, fmt.Errorf("link %q: class %q: send_when: %w", c.Name, class.Name, err)
		}
	}
	return set, func() { w.use(c, set, classes) }, nil
}

// use takes over what prepare has checked.
func (w *worker) use(c LinkConfig, set *rule.Set, classes []spool.ClassConfig) {
	w.mu.Lock()
	w.config = c
	w.mu.Unlock()
	w.teller.metered(c.Metered)
	set.Adopt(w.rules.Load())
	w.rules.Store(set)
	if w.sender == nil {
		return // before Open
	}
	all := append(slices.Clone(classes), w.classes[len(classes):]...)
	for i := range classes {
		w.queues[i].SetLimits(limitsOf(classes, i))
	}
	w.dead.SetLimits(Limits{Bytes: int(c.Spool.Dead), Messages: mostMessages})
	w.sender.Use(set, all, w.rate(&c))
	w.cost.use(c.Budget)
	if err := w.feeds.use(w, set); err != nil {
		w.log.Error("a rule takes no messages", "error", err) // its filter was checked
	}
	w.subscriptions.poke()
}

// fixed says what of the configuration can't be changed while the link runs.
func (c *LinkConfig) fixed(after *LinkConfig) error {
	name := func(list []spool.ClassConfig) (names []string) {
		for _, class := range list {
			names = append(names, class.Name)
		}
		return names
	}
	now, _ := c.classes()
	then, _ := after.classes()
	for key, same := range map[string]bool{
		"the way to the far side (url, tls, proxy and the like)": reflect.DeepEqual(c.Config, after.Config),
		"profile":                        c.Profile == after.Profile,
		"will":                           reflect.DeepEqual(c.Will, after.Will),
		"window":                         c.Window == after.Window,
		"spool.memory":                   c.Spool.Memory == after.Spool.Memory,
		"the names and order of classes": slices.Equal(name(now), name(then)),
	} {
		if !same {
			return fmt.Errorf("link %q: %s can't be changed while the gateway runs: restart it", c.Name, key)
		}
	}
	return nil
}
