// Package mapping reads mapping files, which say what signal of which bus feeds
// which path of the vehicle (VSS), and compiles them, against the buses'
// databases, into rules for the hot path.
package mapping

import (
	"fmt"
	"math"
	"strings"

	"github.com/fascia-edge/fascia/config"
)

// Config is a mapping file.
type Config struct {
	// Signals of the buses and the paths they feed.
	Signals []Signal `yaml:"signals"`
	// Paths that are computed from the values of other paths.
	Derived []Derivation `yaml:"derived"`
}

// Signal feeds one path from one signal.
type Signal struct {
	// Signal as Message.Signal, or its bare name where only one message of the bus has it.
	Signal string `yaml:"signal" required:"true"`
	// Bus that carries the signal; it may be left out where only one bus has it.
	Bus string `yaml:"bus"`
	// VSS path to feed, such as Vehicle.Speed.
	Path string `yaml:"path" required:"true"`
	// VSS data type; without it an integer signal gives integers, any other gives numbers with a fraction, and values that are all texts or all booleans give those. A number that the type can't hold makes the path invalid.
	Type Type `yaml:"type" enum:"boolean,int8,uint8,int16,uint16,int32,uint32,int64,uint64,float,double,string"`
	// Conversion of the number from one unit to another of the same kind.
	Unit *Unit `yaml:"unit"`
	// Values for particular physical numbers of the signal, before any conversion, such as {0: P, 1: R}. A number that is not listed makes the path invalid if its type is string, and else stands for itself.
	Values  map[int64]any `yaml:"values"`
	Publish `yaml:",inline"`
}

// Derivation feeds one path from an expression.
type Derivation struct {
	// VSS path to feed.
	Path string `yaml:"path" required:"true"`
	// Expression over other paths, such as Vehicle.Speed > 0.5 or rate(Vehicle.Speed, "1s") < -12.
	Expr string `yaml:"expr" required:"true"`
	// VSS data type; without it the value is as the expression gives it.
	Type    Type `yaml:"type" enum:"boolean,int8,uint8,int16,uint16,int32,uint32,int64,uint64,float,double,string"`
	Publish `yaml:",inline"`
}

// Unit is a conversion.
type Unit struct {
	// Unit of the signal, such as mph; without it the one that the database states.
	From string `yaml:"from"`
	// Unit of the path, such as km/h.
	To string `yaml:"to" required:"true"`
}

// Publish says when a path's value is published, and how.
type Publish struct {
	// Shortest time between two values; of those that come in between, the last is published when it ends.
	MinInterval config.Duration `yaml:"min_interval" default:"0s"`
	// Publish a value only if it differs from the last one published.
	OnChange bool `yaml:"on_change" default:"false"`
	// Publish a number only if it differs from the last one published by more than this, in the path's unit.
	Deadband float64 `yaml:"deadband" default:"0" min:"0"`
	// Payload: json, or cbor with [value, milliseconds since 1970].
	Format string `yaml:"format" enum:"json,cbor" default:"json"`
	// Age at which the value counts as missing in expressions and conditions; 0s is never.
	Timeout config.Duration `yaml:"timeout" default:"0s"`
}

// Validate checks what needs no database.
func (s *Signal) Validate(r *config.Reporter) {
	checkPath(r.At("path"), s.Path)
	if message, signal, dotted := strings.Cut(s.Signal, "."); s.Signal == "" || dotted && (message == "" || signal == "" || strings.Contains(signal, ".")) {
		r.At("signal").Errorf("%q: want Message.Signal or a bare signal name", s.Signal)
	}
	if s.Unit != nil {
		s.Unit.check(r.At("unit"), s.Type)
	}
	if s.Type == String && len(s.Values) == 0 {
		r.At("type").Errorf("a string wants values, such as values: {0: P, 1: R}")
	}
	for number, value := range s.Values {
		if _, ok := s.Type.named(value); !ok {
			r.At("values", fmt.Sprint(number)).Warnf("%v is no %s: the path holds it all the same when the signal is %d", value, s.Type, number)
		}
	}
}

// Validate checks what needs no other path.
func (d *Derivation) Validate(r *config.Reporter) {
	checkPath(r.At("path"), d.Path)
	if strings.TrimSpace(d.Expr) == "" {
		r.At("expr").Errorf("want an expression, such as Vehicle.Speed > 0.5")
	}
}

// Validate refuses what YAML can write and no number can be compared with.
func (p *Publish) Validate(r *config.Reporter) {
	if math.IsInf(p.Deadband, 0) || math.IsNaN(p.Deadband) {
		r.At("deadband").Errorf("want a number of 0 or more")
	}
}

// checkPath holds a path to the names of VSS: letters, digits and underscores
// between dots, so that it is a topic and a name in expressions too.
func checkPath(r *config.Reporter, path string) {
	if fault := pathFault(path); fault != "" {
		r.Errorf("%s", fault)
	}
}

// pathFault is what is wrong with a path, "" if nothing is.
func pathFault(path string) string {
	names := strings.Split(path, ".")
	if names[0] != "Vehicle" || len(names) < 2 {
		return fmt.Sprintf("%q: want a VSS path that begins with Vehicle., such as Vehicle.Speed", path)
	}
	for _, name := range names {
		if !isName(name) {
			return fmt.Sprintf("%q: want names of letters, digits and underscores between the dots, got %q", path, name)
		}
	}
	return ""
}

func isName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
