package democonfig_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	democonfig "github.com/fascia-edge/fascia/configs/demo"
	"github.com/fascia-edge/fascia/demo"
	"github.com/fascia-edge/fascia/vehicle"
)

const catalogue = "../../../shared/data/vss/vss-5.1.json"

// node is a branch or a leaf of the VSS catalogue.
type node struct {
	Children map[string]*node `json:"children"`
	Type     string           `json:"datatype"`
	Unit     string           `json:"unit"`
	Allowed  []string         `json:"allowed"`
	Min      *float64         `json:"min"`
	Max      *float64         `json:"max"`
}

// vss finds leaves in the catalogue.
func vss(t *testing.T) func(path string) *node {
	t.Helper()
	text, err := os.ReadFile(catalogue)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the VSS catalogue ../shared/data/vss/vss-5.1.json is not beside the checkout")
	}
	if err != nil {
		t.Fatal(err)
	}
	root := &node{}
	if err := json.Unmarshal(text, &root.Children); err != nil {
		t.Fatal(err)
	}
	return func(path string) *node {
		n := root
		for name := range strings.SplitSeq(path, ".") {
			if n = n.Children[name]; n == nil {
				return nil
			}
		}
		if n.Type == "" {
			return nil
		}
		return n
	}
}

// vssUnits are VSS's names of the units that the DBC abbreviates.
var vssUnits = map[string]string{"degC": "celsius", "%": "percent", "deg": "degrees", "deg/s": "degrees/s", "m/s2": "m/s^2"}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := democonfig.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func load(t *testing.T) (*dbc.Database, *mapping.File, *mapping.Plan) {
	t.Helper()
	db, warnings, err := dbc.Parse(democonfig.DBC, read(t, democonfig.DBC))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Error(w)
	}
	file, err := mapping.Parse(democonfig.Mapping, read(t, democonfig.Mapping))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range file.Warnings() {
		t.Error(w)
	}
	plan, _, err := mapping.Compile([]*mapping.File{file}, []mapping.BusDatabase{{Bus: "can0", Database: db}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return db, file, plan
}

func TestDBCIsComplete(t *testing.T) {
	db, _, _ := load(t)
	for _, m := range db.Messages {
		if m.Cycle == 0 && m.Sender != "GTW" || m.Sender == "" { // the gateway sends on request
			t.Errorf("%s has cycle time %s and sender %q", m.Name, m.Cycle, m.Sender)
		}
		used := map[int]string{}
		for _, s := range m.Signals {
			if s.Min >= s.Max {
				t.Errorf("%s.%s has no range", m.Name, s.Name)
			}
			if s.Multiplexed {
				continue
			}
			for _, b := range bits(s) {
				if other, taken := used[b]; taken {
					t.Errorf("%s.%s and %s share bit %d", m.Name, s.Name, other, b)
				}
				used[b] = s.Name
			}
		}
	}
}

// bits are the positions that a signal takes, as DBC counts them.
func bits(s *dbc.Signal) []int {
	var at []int
	for i, b := 0, s.Start; i < s.Length; i++ {
		at = append(at, b)
		switch {
		case !s.BigEndian:
			b++
		case b%8 == 0: // to the most significant bit of the next byte
			b += 15
		default:
			b--
		}
	}
	return at
}

func TestMappingAgreesWithVSS(t *testing.T) {
	leaf := vss(t)
	_, file, plan := load(t)
	for i, rule := range plan.Rules {
		n := leaf(rule.Path)
		if n == nil {
			t.Errorf("VSS has no path %s", rule.Path)
			continue
		}
		if n.Type != string(rule.Type) {
			t.Errorf("%s is %s, want %s as in VSS", rule.Path, rule.Type, n.Type)
		}
		from := file.Config.Signals[i]
		unit := rule.Signal.Unit
		if name, ok := vssUnits[unit]; ok {
			unit = name
		}
		if from.Unit != nil {
			unit = from.Unit.To
		}
		if unit != n.Unit {
			t.Errorf("%s is in %q, want %q as in VSS", rule.Path, unit, n.Unit)
		}
		for number, value := range from.Values {
			if text, ok := value.(string); !ok || !slices.Contains(n.Allowed, text) {
				t.Errorf("%s is %v where %s is %d, want one of %v", rule.Path, value, from.Signal, number, n.Allowed)
			}
		}
	}
	for _, d := range plan.Derived {
		n := leaf(d.Path)
		if n == nil {
			if !strings.HasPrefix(d.Path, "Vehicle.Driving.") { // the demo's own
				t.Errorf("VSS has no path %s", d.Path)
			}
		} else if n.Type != string(d.Type) {
			t.Errorf("%s is %s, want %s as in VSS", d.Path, d.Type, n.Type)
		}
	}
}

func TestDriveGivesValuesThatVSSAllows(t *testing.T) {
	leaf := vss(t)
	db, _, plan := load(t)
	bus := plan.Bus("can0")
	seen := map[string]bool{}
	var frames []can.Frame
	var values []dbc.Value
	car := demo.New(demo.Seed)
	for car.State().Lap == 0 {
		frames = car.Step(frames[:0])
		for i := range frames {
			fr := &frames[i]
			m := db.Message(fr.ID, fr.Has(can.Extended))
			var err error
			if values, err = m.Decode(fr, values[:0]); err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				for _, rule := range bus.Message(m).Rules(v.Signal) {
					value := rule.Convert(v)
					if seen[rule.Path] = true; !value.IsValid() {
						t.Fatalf("%s is invalid where %s is %v", rule.Path, v.Signal.Name, v.Physical)
					}
					n := leaf(rule.Path)
					if number, ok := value.Number(); ok && (n.Min != nil && number < *n.Min || n.Max != nil && number > *n.Max) {
						t.Fatalf("%s is %v: want %v to %v", rule.Path, number, n.Min, n.Max)
					}
				}
			}
		}
	}
	for _, rule := range plan.Rules {
		if !seen[rule.Path] {
			t.Errorf("%s never had a value", rule.Path)
		}
	}
}

func TestDerivedPathsFollowTheirExpressions(t *testing.T) {
	_, _, plan := load(t)
	state := vehicle.NewState()
	now := time.Now().UnixNano()
	for path, value := range map[string]vehicle.Value{
		"Vehicle.Speed": vehicle.Float(31.5),
		"Vehicle.Powertrain.Transmission.SelectedGear":      vehicle.Int(127),
		"Vehicle.Powertrain.TractionBattery.CurrentVoltage": vehicle.Float(370),
		"Vehicle.Powertrain.TractionBattery.CurrentCurrent": vehicle.Float(-20),
	} {
		state.Slot(path).Set(value, now, now)
	}
	want := map[string]string{
		"Vehicle.IsMoving": "true",
		"Vehicle.Powertrain.Transmission.IsParkLockEngaged": "false",
		"Vehicle.Powertrain.TractionBattery.CurrentPower":   "-7400",
		"Vehicle.Driving.IsBrakingHard":                     "missing", // until the window is full
		"Vehicle.Driving.IsCorneringHard":                   "missing",
		"Vehicle.Driving.MeanConsumption":                   "missing",
	}
	if len(plan.Derived) != len(want) {
		t.Errorf("%d paths are derived, want %d", len(plan.Derived), len(want))
	}
	for _, d := range plan.Derived {
		expression, err := state.Compile(d.Expr)
		if err != nil {
			t.Errorf("%s: %v", d.Path, err)
			continue
		}
		value, err := expression.Eval(now)
		if errors.Is(err, vehicle.ErrMissing) && want[d.Path] == "missing" {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", d.Path, err)
			continue
		}
		if got := d.Convert(value).String(); got != want[d.Path] {
			t.Errorf("%s is %s, want %s", d.Path, got, want[d.Path])
		}
	}
}
