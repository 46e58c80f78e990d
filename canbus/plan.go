package canbus

import (
	"errors"
	"slices"

	"github.com/fascia-edge/fascia/canbus/dbc"
	watch "github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// Plan is what the DBC and mapping files of a configuration come to.
type Plan struct {
	buses    map[string]*busPlan
	mapping  *mapping.Plan
	formulas []formula
	health   *watch.Plan
	transmit *transmit.Plan

	recordings []recordingPlan // in the order of the configuration
}

type busPlan struct {
	database *dbc.Database
	publish  map[string]bool // messages published whole, by name
}

// Compile reads the DBC and mapping files that c names. doc is where c stands:
// a file that can't be used is reported at the place that names it, what is
// wrong inside a file at its own place. The error is a config.Errors.
func Compile(c Config, doc *config.Document, state *vehicle.State) (*Plan, []config.Problem, error) {
	p := &Plan{buses: map[string]*busPlan{}}
	var (
		warnings  []config.Problem
		problems  config.Errors
		databases []mapping.BusDatabase
		files     []*mapping.File
		complete  = true // all databases were read
	)
	for i, b := range c.Buses {
		at := []any{"can", "buses", i}
		if err := b.checkLog(c.dir); err != nil {
			problems = append(problems, doc.Errorf(append(at[:len(at):len(at)], "source"), "%v", err))
		}
		part, more, read, errs := compileBus(b, at, doc)
		complete = complete && read
		warnings, problems = append(warnings, more...), append(problems, errs...)
		p.buses[b.Name] = part
		databases = append(databases, mapping.BusDatabase{Bus: b.Name, Database: part.database})
	}
	for i, name := range c.Mapping {
		f, err := mapping.Load(name)
		if err != nil {
			problems = append(problems, problemsOf(err, doc, []any{"can", "mapping", i})...)
			continue
		}
		files = append(files, f)
		warnings = append(warnings, f.Warnings()...)
	}
	catalogue, err := c.catalogue()
	if err != nil {
		problems = append(problems, problemsOf(err, doc, []any{"can", "catalogue"})...)
	}
	if !complete {
		// Without all databases every signal of a mapping would be unknown.
		return nil, warnings, problems
	}
	compiled, doubts, err := mapping.Compile(files, databases, catalogue)
	warnings = append(warnings, doubts...)
	if err != nil {
		return nil, warnings, append(problems, problemsOf(err, doc, []any{"can", "mapping"})...)
	}
	p.mapping = compiled
	formulas, doubts, errs := compileFormulas(compiled, state)
	p.formulas = formulas
	notes, wrong := p.compileHealth(c, doc, state)
	warnings, problems = append(warnings, notes...), append(problems, wrong...)
	notes, wrong = p.compileTransmit(c, doc, state)
	warnings, problems = append(warnings, notes...), append(problems, wrong...)
	notes, wrong = p.compileRecordings(c, doc, state)
	warnings, problems = append(warnings, notes...), append(problems, wrong...)
	if problems = append(problems, errs...); len(problems) > 0 {
		return nil, warnings, problems
	}
	return p, append(warnings, doubts...), nil
}

// compileBus loads and merges a bus's databases and finds the messages to be
// published whole. The part is usable even with errors, so that all can be
// found in one go; complete tells whether all databases were read.
func compileBus(b BusConfig, at []any, doc *config.Document) (part *busPlan, warnings []config.Problem, complete bool, problems config.Errors) {
	var databases []*dbc.Database
	for i, file := range b.DBC {
		db, more, err := dbc.Load(file)
		warnings = append(warnings, fromDBC(more)...)
		if err != nil {
			problems = append(problems, problemsOf(err, doc, append(at[:len(at):len(at)], "dbc", i))...)
			continue
		}
		databases = append(databases, db)
	}
	complete = len(problems) == 0
	merged, more := dbc.Merge(databases...)
	warnings = append(warnings, fromDBC(more)...)
	part = &busPlan{database: merged, publish: map[string]bool{}}
	var names []string
	for _, m := range merged.Messages {
		names = append(names, m.Name)
	}
	for i, wanted := range b.Publish {
		if wanted == "*" {
			for _, name := range names {
				part.publish[name] = true
			}
			continue
		}
		part.publish[wanted] = true
		if complete && !slices.Contains(names, wanted) {
			problems = append(problems, doc.Errorf(append(at[:len(at):len(at)], "publish", i),
				"no DBC of bus %q has a message %q%s", b.Name, wanted, suggestion(wanted, names)))
		}
	}
	return part, warnings, complete, problems
}

func suggestion(name string, known []string) string {
	if nearest, ok := config.Nearest(name, known); ok {
		return "; did you mean " + nearest + "?"
	}
	return ""
}

// problemsOf gives an error a place: its own inside the file if it has one,
// else where the configuration names the file.
func problemsOf(err error, doc *config.Document, at []any) config.Errors {
	var inFile config.Errors
	if errors.As(err, &inFile) && (len(inFile) == 0 || inFile[0].Line > 0) {
		return inFile
	}
	var inDBC *dbc.Error
	if errors.As(err, &inDBC) && inDBC.Place.Line > 0 {
		return config.Errors{{File: inDBC.Place.File, Line: inDBC.Place.Line, Column: inDBC.Place.Column, Message: inDBC.Reason}}
	}
	return config.Errors{doc.Errorf(at, "%v", err)}
}

func fromDBC(warnings []dbc.Warning) []config.Problem {
	problems := make([]config.Problem, len(warnings))
	for i, w := range warnings {
		problems[i] = config.Problem{File: w.Place.File, Line: w.Place.Line, Column: w.Place.Column, Message: w.Message}
	}
	return problems
}
