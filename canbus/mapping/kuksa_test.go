package mapping

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const kuksaDBC = `BO_ 1 Drive: 8 X
 SG_ Gear : 0|3@1+ (1,0) [0|7] "" X
 SG_ Volt : 8|8@1+ (0.02,0) [0|5] "V" X
 SG_ Temp : 16|8@1+ (0.5,-40) [-40|80] "C" X
 SG_ Fan : 24|8@1+ (1,0) [0|250] "" X
 SG_ On : 32|1@1+ (1,0) [0|1] "" X
 SG_ Unit : 33|2@1+ (1,0) [0|0] "" X
BO_ 2 Twin: 8 X
 SG_ Level : 0|8@1+ (1,0) [0|0] "" X
BO_ 3 Other: 8 X
 SG_ Level : 8|8@1+ (1,0) [0|0] "" X
VAL_ 1 Gear 4 "D" 0 "INVALID" 3 "N" 1 "P" 2 "R" 7 "SNA" ;
VAL_ 1 Temp 0 "SNA" ;
VAL_ 1 Fan 255 "SNA" 1 "SLOW" ;
VAL_ 1 Unit 0 "MPH" 1 "KPH" ;
`

// kuksaTree is a file with a leaf Vehicle.X for each of the lines.
func kuksaTree(leaves ...string) string {
	return `{"Vehicle": {"type": "branch", "children": {` + strings.Join(leaves, ",\n") + `}}}`
}

func compileKUKSA(t testing.TB, leaves ...string) (*Plan, []config.Problem) {
	t.Helper()
	file, err := Parse("vss_dbc.json", []byte(kuksaTree(leaves...)))
	if err != nil {
		t.Fatal(err)
	}
	plan, warnings, err := Compile([]*File{file}, []BusDatabase{database(t, "can0", kuksaDBC)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan, append(file.Warnings(), warnings...)
}

// Both keys absent, one, the other and both, as mapping/README.md has it.
func TestKUKSAIntervalAndOnChangeHaveItsDefaults(t *testing.T) {
	for keys, want := range map[string]Limits{
		``:                     {MinInterval: int64(time.Second)},
		`, "interval_ms": 500`: {MinInterval: int64(500 * time.Millisecond)},
		`, "interval_ms": 0`:   {},
		`, "on_change": true`:  {OnChange: true},
		`, "on_change": false`: {MinInterval: int64(time.Second)},
		`, "interval_ms": 500, "on_change": true`: {MinInterval: int64(500 * time.Millisecond), OnChange: true},
	} {
		plan, _ := compileKUKSA(t, `"X": {"type": "sensor", "datatype": "uint8", "dbc": {"signal": "Fan"`+keys+`}}`)
		if got := plan.Rules[0].Limits; got != want {
			t.Errorf("%s: got %+v, want %+v", keys, got, want)
		}
	}
}

func TestKUKSAValuesAreTranslatedAsItsProviderDoes(t *testing.T) {
	skipped := vehicle.Value{}
	for _, c := range []struct {
		leaf string // of Vehicle.X
		raw  map[int64]vehicle.Value
	}{
		{`"datatype": "int8", "dbc2vss": {"signal": "Gear", "transform": {"mapping": [
			{"from": "D", "to": 1}, {"from": "P", "to": 0}, {"from": "INVALID", "to": 0}, {"from": "R", "to": -1}, {"from": "D", "to": 9}]}}`,
			map[int64]vehicle.Value{4: vehicle.Int(1), 1: vehicle.Int(0), 0: vehicle.Int(0), 2: vehicle.Int(-1),
				3: skipped, 7: skipped, 5: skipped}}, // labels and numbers without a mapping
		{`"datatype": "boolean", "dbc2vss": {"signal": "Gear", "transform": {"mapping": [{"from": 4, "to": true}, {"from": 5, "to": false}]}}`,
			map[int64]vehicle.Value{4: vehicle.Bool(true), 5: vehicle.Bool(false), 3: skipped}},
		{`"datatype": "string", "dbc2vss": {"signal": "On", "transform": {"mapping": [{"from": true, "to": "LIT"}, {"from": 0, "to": 7}]}}`,
			map[int64]vehicle.Value{1: vehicle.String("LIT"), 0: vehicle.String("7")}},
		{`"datatype": "float", "dbc2vss": {"signal": "Volt", "transform": {"mapping": [{"from": 0.5, "to": 12.5}]}}`,
			map[int64]vehicle.Value{25: vehicle.Float(12.5), 26: skipped}},
		{`"datatype": "int8", "dbc2vss": {"signal": "Volt", "transform": {"math": "floor((x*40)-100)"}}`,
			map[int64]vehicle.Value{100: vehicle.Int(-20), 0: vehicle.Int(-100), 250: vehicle.Int(100), 251: skipped}}, // over 5 V
		{`"datatype": "float", "dbc2vss": {"signal": "Volt", "transform": {"math": "1/x"}}`,
			map[int64]vehicle.Value{100: vehicle.Float(0.5), 0: skipped}},
		{`"datatype": "float", "dbc2vss": {"signal": "Temp"}`,
			map[int64]vehicle.Value{81: vehicle.Float(0.5), 1: vehicle.Float(-39.5), 0: skipped, 250: skipped}}, // SNA, over 80
		{`"datatype": "float", "dbc2vss": {"signal": "Temp", "transform": {"math": "x+1"}}`,
			map[int64]vehicle.Value{81: vehicle.Float(1.5), 0: skipped}},
		{`"datatype": "uint8", "dbc2vss": {"signal": "Fan"}`,
			map[int64]vehicle.Value{1: vehicle.Int(1), 250: vehicle.Int(250), 255: skipped, 252: skipped}},
		{`"datatype": "boolean", "dbc2vss": {"signal": "On"}`,
			map[int64]vehicle.Value{1: vehicle.Bool(true), 0: vehicle.Bool(false)}},
		{`"datatype": "string", "dbc2vss": {"signal": "Unit"}`,
			map[int64]vehicle.Value{0: vehicle.String("MPH"), 1: vehicle.String("KPH"), 2: skipped}},
		{`"datatype": "uint8", "max": 100, "dbc2vss": {"signal": "Fan"}`,
			map[int64]vehicle.Value{100: vehicle.Int(100), 101: vehicle.Invalid()}}, // VSS: what it can be assigned
		{`"datatype": "string", "allowed": ["MPH"], "dbc2vss": {"signal": "Unit"}`,
			map[int64]vehicle.Value{0: vehicle.String("MPH"), 1: vehicle.Invalid()}},
	} {
		plan, _ := compileKUKSA(t, `"X": {"type": "sensor", `+c.leaf+"}")
		rule := plan.Rules[0]
		for raw, want := range c.raw {
			v := dbc.Value{Signal: rule.Signal, Raw: raw, Physical: float64(raw)*rule.Signal.Scale + rule.Signal.Offset}
			if got := rule.Convert(v); got != want {
				t.Errorf("%s\nof %d: got %s %v, want %s %v", c.leaf, raw, got.Kind(), got, want.Kind(), want)
			}
		}
	}
}

func TestKUKSASignalsOfSeveralMessagesAndOfNone(t *testing.T) {
	plan, warnings := compileKUKSA(t,
		`"A": {"type": "sensor", "datatype": "uint8", "dbc2vss": {"signal": "Level"}}`,
		`"B": {"type": "sensor", "datatype": "uint8", "dbc2vss": {"signal": "Gaer"}}`,
		`"C": {"type": "sensor", "datatype": "uint8[]", "dbc2vss": {"signal": "Gear"}}`,
		`"D": {"type": "sensor", "datatype": "uint8", "dbc2vss": {"signal": "Gear", "sginal": 3, "transform": {"mapping": [{"from": "DD", "to": 300}], "mat": ""}}}`,
		`"E": {"type": "sensor", "datatype": "float", "unit": "km/h", "dbc2vss": {"signal": "Volt"}}`)
	var fed []string
	for _, r := range plan.Rules {
		fed = append(fed, r.Path+"<"+r.Signal.Message.Name+"."+r.Signal.Name)
	}
	if want := []string{"Vehicle.A<Twin.Level", "Vehicle.A<Other.Level", "Vehicle.D<Drive.Gear", "Vehicle.E<Drive.Volt"}; !slices.Equal(fed, want) {
		t.Errorf("got %v, want %v", fed, want)
	}
	if plan.Unfed != 1 {
		t.Errorf("%d paths are counted as unfed, want 1", plan.Unfed)
	}
	wants := []string{
		"vss_dbc.json:3:6: Vehicle.C: a signal can't be a uint8[]: the path is left out",
		`vss_dbc.json:4:86: Vehicle.D: the key "sginal" means nothing here`,
		`vss_dbc.json:4:150: Vehicle.D: the key "mat" means nothing here`,
		"vss_dbc.json: 1 of 4 paths have no value: no database has their signals",
		"vss_dbc.json:1:112: Vehicle.A: the signal Level stands in Twin of bus can0 and Other of bus can0: each of them feeds the path",
		`vss_dbc.json:2:68: Vehicle.B: no database of the bus can0 has the signal Gaer: did you mean "Gear"?`,
		`vss_dbc.json:4:124: Vehicle.D: from: Drive.Gear has no label "DD" in the database`,
		"vss_dbc.json:4:136: Vehicle.D: to: 300 is no uint8: the path holds it all the same",
		"vss_dbc.json:5:84: Vehicle.E: the value is in V, the path in km/h: ",
	}
	for i, want := range wants {
		if i >= len(warnings) || !strings.HasPrefix(warnings[i].Error(), want) {
			t.Errorf("%d: want %s", i, want)
		}
	}
	if t.Failed() || len(warnings) != len(wants) {
		t.Errorf("%d warnings, want %d:\n%v", len(warnings), len(wants), config.Errors(warnings))
	}
}

func TestMistakesInAKUKSAFileAreNamedWithTheirPlace(t *testing.T) {
	for leaf, want := range map[string]string{
		`"datatype": "float", "dbc2vss": 3`:                                                                       "want an object with the key signal, got a number",
		`"datatype": "float", "dbc2vss": {}`:                                                                      "want signal, the name of a signal",
		`"datatype": "float", "dbc2vss": {"signal": 3}`:                                                           "signal: want a text, got a number",
		`"datatype": "float", "dbc2vss": {"signal": "Fan"}, "dbc": {"signal": "Fan"}`:                             "dbc stands beside dbc2vss",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "interval_ms": 1.5}`:                                   "interval_ms: want an integer from 0 to 86400000",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "interval_ms": -1}`:                                    "interval_ms: want an integer",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "on_change": "yes"}`:                                   "on_change: want true or false, got a text",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": []}`:                                      "transform: want an object with math or mapping, got a list",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": {}}`:                                      "transform: want math or mapping, one of the two",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": {"math": "x", "mapping": []}}`:            "transform: want math or mapping, one of the two",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": {"math": 3}}`:                             "math: want a text",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": {"math": "floor(y)"}}`:                    `math, column 7: unknown name "y"`,
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": {"mapping": {}}}`:                         "mapping: want a list of {from, to}, got an object",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": {"mapping": [{"from": 1}]}}`:              "mapping: want an object with from and to",
		`"datatype": "float", "dbc2vss": {"signal": "Fan", "transform": {"mapping": [{"from": [], "to": null}]}}`: "mapping: want a text, a number or a boolean for from and to",
		`"datatype": "float", "vss2dbc": {"signal": "Fan"}`:                                                       "vss2dbc is for actuators, and this is a sensor",
	} {
		_, err := Parse("vss_dbc.json", []byte(kuksaTree(`"X": {"type": "sensor", `+leaf+"}")))
		problems, ok := errors.AsType[config.Errors](err)
		if !ok || problems[0].Line != 1 || problems[0].Column < 40 || !strings.Contains(err.Error(), "Vehicle.X: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", leaf, err, want)
		}
	}
	_, err := Parse("vss_dbc.json", []byte(`{"A": {"type": "branch", "children": {"B": {"type": "sensor", "datatype": "int8", "dbc": {"signal": "S"}}}}}`))
	if err == nil || !strings.Contains(err.Error(), "want a VSS path that begins with Vehicle.") {
		t.Errorf("another root: got %v", err)
	}
}

func TestMappingIsReadByWhatItIs(t *testing.T) {
	tree := kuksaTree(`"X": {"type": "sensor", "datatype": "uint8", "dbc": {"signal": "Fan"}}`)
	ours := `{"signals": [{"signal": "Fan", "path": "Vehicle.X"}]}`
	for _, c := range []struct {
		name, text string
		kuksa      bool
	}{
		{"vss_dbc.json", tree, true},
		{"mapping.yaml", tree, true},
		{"mapping.json", ours, false},
		{"mapping.yaml", ours, false},
		{"mapping.yaml", "{signals: [{signal: Fan, path: Vehicle.X}]}", false},
	} {
		file, err := Parse(c.name, []byte(c.text))
		if err != nil || (file.kuksa != nil) != c.kuksa {
			t.Errorf("%s %.20s: got %v, %v", c.name, c.text, file, err)
			continue
		}
		plan, _, err := Compile([]*File{file}, []BusDatabase{database(t, "can0", kuksaDBC)}, nil)
		if err != nil || len(plan.Rules) != 1 {
			t.Errorf("%s %.20s: got %v", c.name, c.text, err)
		}
	}
	if _, err := Parse("vss_dbc.json", []byte("{\n \"Vehicle\": ")); err == nil || !strings.HasPrefix(err.Error(), "vss_dbc.json:2:13: ") {
		t.Errorf("torn JSON: %v", err)
	}
}

func TestPathOfAKUKSAFileIsFedOnce(t *testing.T) {
	tree, err := Parse("vss_dbc.json", []byte(kuksaTree(`"X": {"type": "sensor", "datatype": "uint8", "dbc": {"signal": "Fan"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	ours := parse(t, "signals: [{signal: Gear, path: Vehicle.X}]")
	_, _, err = Compile([]*File{ours, tree}, []BusDatabase{database(t, "can0", kuksaDBC)}, nil)
	if err == nil || err.Error() != "vss_dbc.json:1:50: Vehicle.X: Vehicle.X is fed already, at mapping.yaml:1:32: want one source for a path" {
		t.Error(err)
	}
}

func TestActuatorsTurnThePathsValueIntoTheSignals(t *testing.T) {
	plan, warnings := compileKUKSA(t,
		`"A": {"type": "actuator", "datatype": "int8", "min": -100, "max": 100, "vss2dbc": {"signal": "Volt", "transform": {"math": "(x+100)/40"}}}`,
		`"B": {"type": "actuator", "datatype": "boolean", "vss2dbc": {"signal": "Gear", "transform": {"mapping": [{"from": true, "to": "D"}, {"from": false, "to": 1}, {"from": "x", "to": 1}, {"from": true, "to": "DD"}]}}}`,
		`"C": {"type": "actuator", "datatype": "string", "vss2dbc": {"signal": "Temp"}}`,
		`"D": {"type": "actuator", "datatype": "boolean", "vss2dbc": {"signal": "On"}}`,
		`"E": {"type": "actuator", "datatype": "uint8", "vss2dbc": {"signal": "Level", "transform": {"math": "1/x"}}}`)
	if len(plan.Rules) != 0 {
		t.Errorf("vss2dbc feeds %d paths", len(plan.Rules))
	}
	by := map[string]*Actuator{}
	for _, a := range plan.Actuators() {
		if a.Bus != "can0" {
			t.Errorf("%s is on bus %q", a.Path, a.Bus)
		}
		by[a.Path+" "+a.Signal.Message.Name+"."+a.Signal.Name] = a
	}
	for _, c := range []struct {
		actuator string
		value    vehicle.Value
		want     float64
		err      string
	}{
		{"Vehicle.A Drive.Volt", vehicle.Int(-20), 2, ""},
		{"Vehicle.A Drive.Volt", vehicle.Int(101), 0, "101 is no value of Vehicle.A: want an int8 from -100 to 100"},
		{"Vehicle.A Drive.Volt", vehicle.String("x"), 0, `"x" is no value of Vehicle.A`},
		{"Vehicle.B Drive.Gear", vehicle.Bool(true), 4, ""},
		{"Vehicle.B Drive.Gear", vehicle.Bool(false), 1, ""},
		{"Vehicle.C Drive.Temp", vehicle.String("SNA"), -40, ""},
		{"Vehicle.C Drive.Temp", vehicle.String("SNB"), 0, `Drive.Temp has no label "SNB": did you mean "SNA"?`},
		{"Vehicle.D Drive.On", vehicle.Bool(true), 1, ""},
		{"Vehicle.E Twin.Level", vehicle.Int(4), 0.25, ""},
		{"Vehicle.E Other.Level", vehicle.Int(0), 0, "the transform of Vehicle.E has no result for 0"},
		{"Vehicle.E Other.Level", vehicle.Invalid(), 0, "null is no value of Vehicle.E: want a uint8"},
	} {
		a := by[c.actuator]
		if a == nil {
			t.Fatalf("no actuator %s among %v", c.actuator, by)
		}
		got, err := a.Physical(c.value)
		if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s %v: got %v, %v, want %v %s", c.actuator, c.value, got, err, c.want, c.err)
		}
	}
	for i, want := range []string{
		"no leaf has a dbc2vss: the file feeds no path",
		`Vehicle.B: from: "x" is no boolean: the entry is never used`,
		`Vehicle.B: to: Drive.Gear has no label "DD" in the database: did you mean "D"?: the entry is left out`,
		"Vehicle.E: the signal Level stands in Twin of bus can0 and Other of bus can0: each of them sets the path",
	} {
		if i >= len(warnings) || !strings.Contains(warnings[i].Error(), want) {
			t.Errorf("%d: want %q in\n%v", i, want, config.Errors(warnings))
		}
	}
}

// FuzzKUKSA: whatever is read compiles or says at what place it doesn't, and its
// rules take every value of their signals.
func FuzzKUKSA(f *testing.F) {
	for _, leaf := range []string{
		`"datatype": "int8", "dbc2vss": {"signal": "Gear", "interval_ms": 100, "transform": {"mapping": [{"from": "D", "to": 1}]}}`,
		`"datatype": "float", "unit": "V", "dbc": {"signal": "Volt", "on_change": true, "transform": {"math": "floor(x)"}}`,
		`"datatype": "uint8", "max": 100, "vss2dbc": {"signal": "Level", "transform": {"math": "1/x"}}`,
	} {
		f.Add([]byte(kuksaTree(`"X": {"type": "actuator", ` + leaf + "}")))
	}
	buses := []BusDatabase{database(f, "can0", kuksaDBC)}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("vss_dbc.json", text)
		if err != nil {
			return
		}
		plan, _, err := Compile([]*File{file}, buses, nil)
		if err != nil {
			if problems, ok := errors.AsType[config.Errors](err); !ok || len(problems) == 0 || problems[0].Line < 1 {
				t.Fatalf("%v has no place", err)
			}
			return
		}
		for _, r := range plan.Rules {
			for raw := range int64(256) {
				r.Convert(dbc.Value{Signal: r.Signal, Raw: raw, Physical: float64(raw)*r.Signal.Scale + r.Signal.Offset})
			}
		}
		for _, a := range plan.Actuators() {
			for _, v := range []vehicle.Value{vehicle.Int(1), vehicle.Bool(true), vehicle.String("D"), vehicle.Float(0.5)} {
				_, _ = a.Physical(v)
			}
		}
	})
}
