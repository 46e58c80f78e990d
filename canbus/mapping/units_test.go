package mapping

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
)

func TestConversions(t *testing.T) {
	for _, c := range []struct {
		from, to   string
		have, want float64
	}{
		{"km/h", "m/s", 36, 10},
		{"m/s", "km/h", 10, 36},
		{"mph", "km/h", 100, 160.9344},
		{"KPH", "km/h", 7, 7},
		{"degC", "degF", 100, 212},
		{"°F", "celsius", 32, 0},
		{"K", "C", 273.15, 0},
		{"C", "K", 20, 293.15},
		{"bar", "kPa", 2.5, 250},
		{"psi", "kPa", 32, 220.63223338},
		{"hPa", "mbar", 1013, 1013},
		{"km", "m", 12, 12000},
		{"mile", "km", 1, 1.609344},
		{"ft", "mm", 1, 304.8},
		{"gal", "l", 1, 3.785411784},
		{"1/min", "rpm", 800, 800},
		{"1/min", "Hz", 60, 1},
		{"rpm", "rad/s", 30, math.Pi},
		{"rad", "degrees", math.Pi, 180},
		{"deg/s", "rad/s", 180, math.Pi},
		{"mV", "V", 12500, 12.5},
		{"kWh", "Wh", 1.5, 1500},
		{"MJ", "kWh", 3.6, 1},
		{"g", "m/s^2", 1, 9.80665},
		{"g", "kg", 1000, 1},
		{"%", "ratio", 50, 0.5},
		{"ms", "s", 250, 0.25},
		{"min", "h", 90, 1.5},
		{"Wh/km", "kWh/100km", 180, 18},
	} {
		by, err := convert(c.from, c.to)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := c.have*by.scale + by.offset; math.Abs(got-c.want) > 1e-9*max(1, math.Abs(c.want)) {
			t.Errorf("%v %s = %v %s, want %v", c.have, c.from, got, c.to, c.want)
		}
	}
}

func TestShortFactorsAreExact(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     conversion
	}{
		{"m/s", "km/h", conversion{3.6, 0}},
		{"celsius", "fahrenheit", conversion{1.8, 32}},
		{"bar", "kPa", conversion{100, 0}},
		{"mph", "km/h", conversion{1.609344, 0}},
		{"ms", "s", conversion{0.001, 0}},
		{"km/h", "kph", conversion{1, 0}},
	} {
		if got, err := convert(c.from, c.to); got != c.want || err != nil {
			t.Errorf("%s to %s: %v, %v: want %v", c.from, c.to, got, err, c.want)
		}
	}
}

func TestConversionThereAndBackIsNone(t *testing.T) {
	for _, a := range units {
		for _, b := range units {
			if a.quantity != b.quantity || strings.Contains(a.names[0]+b.names[0], "1/min") {
				continue
			}
			there, err1 := convert(a.names[0], b.names[0])
			back, err2 := convert(b.names[0], a.names[0])
			if err := errors.Join(err1, err2); err != nil {
				t.Error(err)
				continue
			}
			if got := (17*there.scale+there.offset)*back.scale + back.offset; math.Abs(got-17) > 1e-9 {
				t.Errorf("17 %s to %s and back: %v", a.names[0], b.names[0], got)
			}
		}
	}
}

func TestUnitsThatCannotBeConverted(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"km/h", "celsius", "want two of the same kind"},
		{"furlong", "m", `unknown unit "furlong"`},
		{"m", "mter", `unknown unit "mter": did you mean "meter"?`},
		{"Mw", "W", `"Mw" may be several units`},
		{"mPa", "Pa", `unknown unit "mPa"`},
		{"", "m", `unknown unit ""`},
	} {
		if _, err := convert(c.from, c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s to %s: %v, want %s", c.from, c.to, err, c.want)
		}
	}
}

// iso8601 is a text, no number.
func TestEveryUnitOfVSSIsKnown(t *testing.T) {
	data, err := os.ReadFile("../../../shared/data/vss/vss-5.1.json")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Unit     string
		Children map[string]*node
	}
	root := &node{}
	if err := json.Unmarshal(data, &root.Children); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if n.Unit != "" && n.Unit != "iso8601" && !seen[n.Unit] && len(named(n.Unit)) == 0 {
			t.Errorf("%s has the unit %q", path, n.Unit)
		}
		seen[n.Unit] = true
		for name, child := range n.Children {
			walk(path+"."+name, child)
		}
	}
	walk("", root)
	if len(seen) < 30 {
		t.Errorf("%d units seen", len(seen))
	}
}
