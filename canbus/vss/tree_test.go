package vss

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const small = `{
  "Vehicle": {
    "type": "branch", "description": "the vehicle",
    "children": {
      "Speed": {"type": "sensor", "datatype": "float", "unit": "km/h"},
      "Cabin": {"type": "branch", "children": {
        "Door": {"type": "branch", "children": {
          "IsOpen": {"type": "actuator", "datatype": "boolean", "dbc2vss": {"signal": "Ünlock"}},
          "Position": {"type": "actuator", "datatype": "uint8", "min": 0, "max": 100}}},
        "Level": {"type": "sensor", "datatype": "uint8", "max": 3}}},
      "Light": {"type": "sensor", "datatype": "string", "allowed": ["OFF", "ON"]},
      "Step": {"type": "sensor", "datatype": "uint8", "allowed": [1, 2, 2.5]},
      "VersionVSS": {"type": "branch", "children": {
        "Major": {"type": "attribute", "datatype": "uint32", "default": 5},
        "Minor": {"type": "attribute", "datatype": "uint32", "default": 1}}},
      "Odd": {"type": "property"}
    }
  }
}`

func tree(t testing.TB, text string) *Tree {
	t.Helper()
	tree, err := Parse("vss.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTreeKnowsItsLeaves(t *testing.T) {
	tree := tree(t, small)
	var paths []string
	for _, n := range tree.Leaves {
		paths = append(paths, n.Path)
	}
	if got, want := strings.Join(paths, " "), "Vehicle.Speed Vehicle.Cabin.Door.IsOpen Vehicle.Cabin.Door.Position Vehicle.Cabin.Level "+
		"Vehicle.Light Vehicle.Step Vehicle.VersionVSS.Major Vehicle.VersionVSS.Minor"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	speed := tree.Leaf("Vehicle.Speed")
	if speed == nil || speed.Kind != "sensor" || speed.Datatype != "float" || speed.Unit != "km/h" || speed.Bounded() {
		t.Errorf("got %+v", speed)
	}
	if line, column := tree.Place(speed); line != 5 || column != 16 {
		t.Errorf("Vehicle.Speed stands at %d:%d, want 5:16", line, column)
	}
	if tree.Leaf("Vehicle.Cabin") != nil || !tree.IsBranch("Vehicle.Cabin") || tree.IsBranch("Vehicle.Speed") || tree.IsBranch("Vehicle.Nothing") {
		t.Error("branches and leaves are mixed up")
	}
	if got := tree.Version(); got != "5.1" {
		t.Errorf("version %q", got)
	}
	feed, _ := tree.Leaf("Vehicle.Cabin.Door.IsOpen").Keys.Get("dbc2vss")
	signal, _ := feed.Data.(Object).Get("signal")
	if got := tree.Errorf(signal, "Vehicle.X", "no").Error(); signal.Data != "Ünlock" || got != "vss.json:8:87: Vehicle.X: no" {
		t.Errorf("got %v at %s", signal.Data, got)
	}
}

func TestLeavesHoldWhatTheTreeAllows(t *testing.T) {
	tree := tree(t, small)
	for _, c := range []struct {
		path  string
		value vehicle.Value
		want  bool
	}{
		{"Vehicle.Speed", vehicle.Float(-math.MaxFloat64), true},
		{"Vehicle.Cabin.Door.Position", vehicle.Int(0), true},
		{"Vehicle.Cabin.Door.Position", vehicle.Int(100), true},
		{"Vehicle.Cabin.Door.Position", vehicle.Int(101), false},
		{"Vehicle.Cabin.Door.Position", vehicle.Float(-0.1), false},
		{"Vehicle.Cabin.Level", vehicle.Int(-7), true},
		{"Vehicle.Cabin.Level", vehicle.Int(4), false},
		{"Vehicle.Light", vehicle.String("ON"), true},
		{"Vehicle.Light", vehicle.String("on"), false},
		{"Vehicle.Step", vehicle.Float(2), true},
		{"Vehicle.Step", vehicle.Float(2.5), true},
		{"Vehicle.Step", vehicle.Int(3), false},
	} {
		if got := tree.Leaf(c.path).Holds(c.value); got != c.want {
			t.Errorf("%s %v: got %t", c.path, c.value, got)
		}
	}
}

func TestNearestLeafIsFoundLevelByLevel(t *testing.T) {
	tree := tree(t, small)
	for path, want := range map[string]string{
		"Vehicle.Sped":                 "Vehicle.Speed",
		"vehicle.cabin.door.isopen":    "Vehicle.Cabin.Door.IsOpen",
		"Vehicle.Cabin.Dor.Positon":    "Vehicle.Cabin.Door.Position",
		"Vehicle.Body.Trunk.Position":  "Vehicle.Cabin.Door.Position", // the only one of that name
		"Vehicle.Cabin.Door":           "",
		"Vehicle.Something.Else":       "",
		"Vehicle.Cabin.Door.IsOpen.It": "",
	} {
		if got, ok := tree.Nearest(path); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestMistakesInATreeAreNamedWithTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		``:                    "vss.json:1:1: the JSON text ends too early",
		`{"Vehicle": {`:       "vss.json:1:14: the JSON text ends too early",
		"{\n  \"Vehicle\" 3}": "vss.json:2:13: invalid character '3' after object key",
		`{"Vehicle": {}} x`:   "vss.json:1:17: want nothing behind",
		`["Vehicle"]`:         "vss.json:1:1: want a VSS tree, an object with the key Vehicle, got a list",
		`{"Vehicle": 3}`:      "vss.json:1:13: Vehicle: want an object with type and datatype or children, got a number",
		`{"Vehicle": {}}`:     "no leaf is in it",
		`{"A": {}, "A": {}}`:  `vss.json:1:11: the key "A" is there twice`,
		`{"Vehicle": {"type": "branch", "children": []}}`:                        "Vehicle: children: want an object, got a list",
		`{"Vehicle": {"type": "branch", "children": {"A": {"type": "sensor"}}}}`: "Vehicle.A: want a datatype",
		`{"Vehicle": {"type": "sensor", "datatype": 3}}`:                         "Vehicle: datatype: want a text, got a number",
		`{"Vehicle": {"type": "sensor", "datatype": "float", "min": "0"}}`:       "Vehicle: min: want a number, got a text",
		`{"Vehicle": {"type": "sensor", "datatype": "float", "max": 1e999}}`:     "Vehicle: max: want a number",
		`{"Vehicle": {"type": "sensor", "datatype": "float", "allowed": 3}}`:     "Vehicle: allowed: want a list",
		`{"Vehicle": {"type": "sensor", "datatype": "float", "allowed": [[1]]}}`: "Vehicle: allowed: want texts, numbers and booleans, got a list",
		strings.Repeat(`{"A":`, 100) + "1" + strings.Repeat("}", 100):            "want at most 64 levels",
	} {
		_, err := Parse("vss.json", []byte(text))
		if _, ok := errors.AsType[config.Errors](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", text, err, want)
		}
	}
	if _, err := Load("nosuch.json"); err == nil || err.Error() != "nosuch.json: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

// The catalogue is read whole: a second reader, encoding/json, counts the same
// leaves of the same types.
func TestCatalogueIsReadWhole(t *testing.T) {
	file := shared(t, "vss/vss-5.1.json")
	tree, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Children map[string]*node
		Datatype string
		Unit     string
		Min, Max *float64
		Allowed  []any
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	top := &node{}
	if err := json.Unmarshal(text, &top.Children); err != nil {
		t.Fatal(err)
	}
	leaves := 0
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		for name, child := range n.Children {
			walk(strings.TrimPrefix(path+"."+name, "."), child)
		}
		if n.Datatype == "" {
			return
		}
		leaves++
		got := tree.Leaf(path)
		if got == nil || got.Datatype != n.Datatype || got.Unit != n.Unit || len(got.Allowed) != len(n.Allowed) ||
			n.Min != nil && got.Min != *n.Min || n.Max != nil && got.Max != *n.Max {
			t.Errorf("%s: got %+v, want %+v", path, got, n)
		}
	}
	walk("", top)
	if leaves != len(tree.Leaves) || leaves < 1000 || tree.Version() != "5.1" {
		t.Errorf("%d leaves of VSS %s, want %d of 5.1", len(tree.Leaves), tree.Version(), leaves)
	}
}

// FuzzTree: whatever is read has leaves with places inside the text; nothing
// panics.
func FuzzTree(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"Vehicle": {"type": "sensor", "datatype": "float", "allowed": [1, true, "x"], "min": -1e9}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := Parse("vss.json", text)
		if err != nil {
			if problems, ok := errors.AsType[config.Errors](err); !ok || len(problems) == 0 || problems[0].Line < 1 {
				t.Fatalf("%v has no place", err)
			}
			return
		}
		for _, n := range tree.Leaves {
			if line, column := tree.Place(n); line < 1 || column < 1 {
				t.Fatalf("%s stands at %d:%d", n.Path, line, column)
			}
			n.Holds(vehicle.Int(1))
			tree.Nearest(n.Path + "x")
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	file := shared(b, "can/kuksa_vss_dbc.json")
	for b.Loop() {
		if _, err := Load(file); err != nil {
			b.Fatal(err)
		}
	}
}
