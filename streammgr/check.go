package streammgr

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/fascia-edge/fascia/vehicle"
)

// Problem is something wrong with the section "streams" that its fields alone don't
// show.
type Problem struct {
	Path []any // of the value, below "streams"
	Text string
}

// Check finds what is wrong with a validated configuration beside the rest of it:
// conditions that can't be compiled, recordings that are not there, and ${vin} and
// ${thing} without a value.
func Check(cfg *Config, who Vehicle, recordings []string, state *vehicle.State) (problems []Problem) {
	add := func(text string, path ...any) { problems = append(problems, Problem{path, text}) }
	for name, value := range map[string]string{"vin": who.VIN, "thing": who.Thing} {
		if value == "" && strings.Contains(cfg.Prefix, "${"+name+"}") {
			add("${"+name+"} is not set: want vehicle."+name+" in the configuration", "prefix")
		}
	}
	known := map[string]bool{}
	for _, name := range recordings {
		known[name] = true
	}
	for i := range cfg.Streams {
		s := &cfg.Streams[i]
		for k, f := range s.Feeds {
			if f.Recording != "" && !known[f.Recording] {
				add("no recording \""+f.Recording+"\": want one of can.record", "streams", i, "feeds", k, "recording")
			}
		}
		for k, x := range s.Exporters {
			if x.When == "" {
				continue
			}
			if _, err := state.CompileCondition(x.When); err != nil {
				add(err.Error(), "streams", i, "exporters", k, "when")
			}
		}
	}
	return problems
}

// Fixed says what of the configuration can't be changed by Use, nil if all can.
func Fixed(before, after *Config) error {
	if (before == nil) != (after == nil) {
		return errors.New("the section as a whole can't be changed while the gateway runs: restart it")
	}
	if before == nil {
		return nil
	}
	then, now := *before, *after
	for _, c := range []*Config{&then, &now} {
		c.Rate, c.Streams = 0, nil
	}
	if !reflect.DeepEqual(then, now) {
		return errors.New("all but rate and streams can't be changed while the gateway runs: restart it")
	}
	if !maps.Equal(before.Recordings(), after.Recordings()) {
		return errors.New("which recordings streams take can't be changed while the gateway runs: restart it")
	}
	for _, s := range after.Streams {
		for _, old := range before.Streams {
			if old.Name == s.Name && old.Storage != s.Storage {
				return fmt.Errorf("stream %q: its storage can't be changed: want another name for a stream in %s", s.Name, s.Storage)
			}
		}
	}
	return nil
}
