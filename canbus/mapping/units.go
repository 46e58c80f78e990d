package mapping

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/config"
)

// unit is a linear scale of a quantity: number×factor+offset is in the
// quantity's base unit, the one with factor 1.
type unit struct {
	quantity       string
	factor, offset float64
	names          []string // the first is VSS's, where VSS has the unit
}

// units are those of VSS's catalogue that a number can be converted between, and
// what databases use beside them. A name may stand for several (g is a mass and
// an acceleration); the other side of the conversion decides. Upper and lower
// case are told apart only where two names differ in nothing else.
var units = []unit{
	{"speed", 1, 0, []string{"m/s"}},
	{"speed", 1 / 3.6, 0, []string{"km/h", "kmh", "kph", "km/hr"}},
	{"speed", 0.44704, 0, []string{"mph", "mi/h"}},
	{"speed", 1852.0 / 3600, 0, []string{"kn", "kt", "knots"}},
	{"speed", 0.3048, 0, []string{"ft/s"}},
	{"speed", 0.01, 0, []string{"cm/s"}},

	{"acceleration", 1, 0, []string{"m/s^2", "m/s2", "m/s²", "m/s**2", "m/s/s"}},
	{"acceleration", 9.80665, 0, []string{"g"}}, // ISO 80000-3: standard acceleration of free fall
	{"acceleration", 0.01, 0, []string{"cm/s^2", "cm/s2"}},

	{"temperature", 1, 0, []string{"celsius", "C", "°C", "degC", "deg C", "degreesC", "degrees C", "°Celsius"}},
	{"temperature", 5.0 / 9, -160.0 / 9, []string{"fahrenheit", "F", "°F", "degF", "deg F"}},
	{"temperature", 1, -273.15, []string{"kelvin", "K"}},

	{"pressure", 1, 0, []string{"Pa"}},
	{"pressure", 100, 0, []string{"mbar", "hPa"}},
	{"pressure", 1e3, 0, []string{"kPa"}},
	{"pressure", 1e5, 0, []string{"bar"}},
	{"pressure", 1e6, 0, []string{"MPa"}},
	{"pressure", 6894.757293168, 0, []string{"psi"}},
	{"pressure", 133.322387415, 0, []string{"mmHg"}},

	{"length", 1, 0, []string{"m", "meter", "metre"}},
	{"length", 1e-3, 0, []string{"mm"}},
	{"length", 1e-2, 0, []string{"cm"}},
	{"length", 1e3, 0, []string{"km"}},
	{"length", 0.0254, 0, []string{"inch", "in"}},
	{"length", 0.3048, 0, []string{"ft", "foot", "feet"}},
	{"length", 0.9144, 0, []string{"yd"}},
	{"length", 1609.344, 0, []string{"mile", "miles", "mi"}},

	{"volume", 1, 0, []string{"l", "liter", "litre"}},
	{"volume", 1e-3, 0, []string{"ml"}},
	{"volume", 1e-3, 0, []string{"cm^3", "cm3", "ccm"}},
	{"volume", 1e-6, 0, []string{"mm^3", "mm3", "ul", "µl"}},
	{"volume", 1e3, 0, []string{"m^3", "m3"}},
	{"volume", 3.785411784, 0, []string{"gal", "gallon", "gallons"}}, // US liquid

	{"volume flow", 1, 0, []string{"l/h"}},
	{"volume flow", 60, 0, []string{"l/min", "lpm"}},
	{"volume flow", 3600, 0, []string{"l/s"}},
	{"volume flow", 3.6, 0, []string{"ml/s"}},

	{"mass", 1, 0, []string{"kg"}},
	{"mass", 1e-3, 0, []string{"g", "gram", "grams"}},
	{"mass", 1e-6, 0, []string{"mg"}},
	{"mass", 1e3, 0, []string{"t"}},
	{"mass", 0.45359237, 0, []string{"lbs", "lb"}},

	{"mass flow", 1, 0, []string{"g/s"}},
	{"mass flow", 1e-3, 0, []string{"mg/s"}},
	{"mass flow", 1 / 3.6, 0, []string{"kg/h"}},
	{"mass flow", 1e3, 0, []string{"kg/s"}},

	{"rotation", 1, 0, []string{"rad/s"}},
	{"rotation", math.Pi / 180, 0, []string{"degrees/s", "deg/s", "°/s", "deg/sec"}},
	{"rotation", math.Pi / 30, 0, []string{"rpm", "1/min", "r/min", "rev/min", "U/min"}},

	{"frequency", 1, 0, []string{"Hz", "1/s"}},
	{"frequency", 1e3, 0, []string{"kHz"}},
	{"frequency", 1.0 / 60, 0, []string{"cpm", "1/min"}},
	{"frequency", 1.0 / 60, 0, []string{"bpm"}},

	{"angle", 1, 0, []string{"degrees", "deg", "degree", "°"}},
	{"angle", 180 / math.Pi, 0, []string{"rad"}},

	{"force", 1, 0, []string{"N"}},
	{"force", 1e3, 0, []string{"kN"}},
	{"torque", 1, 0, []string{"Nm", "N.m", "N*m", "N·m"}},
	{"torque", 1e-2, 0, []string{"cNm"}},
	{"torque", 1e3, 0, []string{"kNm"}},
	{"torque", 1.3558179483314, 0, []string{"lbf ft", "lb-ft", "lbft"}},

	{"voltage", 1, 0, []string{"V", "Volt", "Volts"}},
	{"voltage", 1e-3, 0, []string{"mV"}},
	{"voltage", 1e3, 0, []string{"kV"}},
	{"current", 1, 0, []string{"A", "Amp", "Amps"}},
	{"current", 1e-3, 0, []string{"mA"}},
	{"resistance", 1, 0, []string{"Ohm", "Ω"}},
	{"resistance", 1e-3, 0, []string{"mOhm"}},
	{"resistance", 1e3, 0, []string{"kOhm"}},
	{"charge", 1, 0, []string{"Ah"}},
	{"charge", 1e-3, 0, []string{"mAh"}},
	{"charge", 1.0 / 3600, 0, []string{"As"}},
	{"power", 1, 0, []string{"W", "Watt"}},
	{"power", 1e-3, 0, []string{"mW"}},
	{"power", 1e3, 0, []string{"kW"}},
	{"power", 1e6, 0, []string{"MW"}},
	{"power", 735.49875, 0, []string{"PS"}},
	{"power", 745.69987158227022, 0, []string{"hp"}},
	{"energy", 1, 0, []string{"Wh"}},
	{"energy", 1e3, 0, []string{"kWh"}},
	{"energy", 1.0 / 3600, 0, []string{"J"}},
	{"energy", 1e3 / 3600, 0, []string{"kJ"}},
	{"energy", 1e6 / 3600, 0, []string{"MJ"}},

	{"fuel consumption", 1, 0, []string{"l/100km"}},
	{"fuel consumption", 1e-3, 0, []string{"ml/100km"}},
	{"energy consumption", 1, 0, []string{"kWh/100km"}},
	{"energy consumption", 0.1, 0, []string{"Wh/km"}},
	{"emission", 1, 0, []string{"g/km"}},
	{"emission", 1e-3, 0, []string{"mg/km"}},

	{"time", 1, 0, []string{"s", "sec", "second", "seconds"}},
	{"time", 1e-3, 0, []string{"ms"}},
	{"time", 1e-6, 0, []string{"us", "µs", "usec"}},
	{"time", 60, 0, []string{"min", "minute", "minutes"}},
	{"time", 3600, 0, []string{"h", "hr", "hour", "hours"}},
	{"time", 86400, 0, []string{"day", "days", "d"}},

	{"ratio", 1, 0, []string{"ratio", "1"}},
	{"ratio", 0.01, 0, []string{"percent", "%"}},
	{"ratio", 1e-3, 0, []string{"permille", "‰"}},
	{"ratio", 1e-6, 0, []string{"ppm"}},
}

// named are the units that a name may stand for, without regard to case if no
// unit is written exactly so.
func named(name string) []unit {
	name = strings.TrimSpace(name)
	var exact, alike []unit
	for _, u := range units {
		switch {
		case slices.Contains(u.names, name):
			exact = append(exact, u)
		case slices.ContainsFunc(u.names, func(n string) bool { return alikeNames(n, name) }):
			alike = append(alike, u)
		}
	}
	if exact != nil {
		return exact
	}
	return alike
}

// alikeNames takes KPH for kph, but no small m, which may be milli, for mega.
func alikeNames(known, name string) bool {
	return strings.EqualFold(known, name) && (known[0] != 'M' || name[0] != 'm')
}

// conversion is number×scale+offset, from one unit to another.
type conversion struct{ scale, offset float64 }

// convert finds the conversion between two units; the error tells which is
// unknown, or of what kinds they are.
func convert(from, to string) (conversion, error) {
	sources, targets := named(from), named(to)
	if len(sources) == 0 {
		return conversion{}, unknownUnit(from)
	}
	if len(targets) == 0 {
		return conversion{}, unknownUnit(to)
	}
	var found []conversion
	for _, f := range sources {
		for _, t := range targets {
			if f.quantity == t.quantity {
				found = append(found, conversion{clean(f.factor / t.factor), clean((f.offset - t.offset) / t.factor)})
			}
		}
	}
	if len(found) == 0 {
		return conversion{}, fmt.Errorf("%q is a unit of %s and %q one of %s: want two of the same kind", from, sources[0].quantity, to, targets[0].quantity)
	}
	for _, c := range found[1:] {
		if c != found[0] {
			return conversion{}, fmt.Errorf("%q may be several units: want the full name", from)
		}
	}
	return found[0], nil
}

// clean takes the last bits off a quotient that was meant to be a short decimal,
// such as 3.6 or 1.8, and leaves others alone.
func clean(x float64) float64 {
	const places = 1e9
	short := math.Round(x*places) / places
	if short != 0 && math.Abs(short-x) <= 1e-14*math.Abs(x) {
		return short
	}
	return x
}

func unknownUnit(name string) error {
	var known []string
	for _, u := range units {
		known = append(known, u.names...)
	}
	if near, ok := config.Nearest(name, known); ok {
		return fmt.Errorf("unknown unit %q: did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown unit %q: want one such as km/h, celsius, kPa or percent", name)
}

// check refuses what is wrong whatever unit the database states.
func (u *Unit) check(r *config.Reporter, t Type) {
	if t == Boolean || t == String {
		r.Errorf("a %s has no unit", t)
		return
	}
	for _, side := range []struct{ key, name string }{{"from", u.From}, {"to", u.To}} {
		if side.name != "" && len(named(side.name)) == 0 {
			r.At(side.key).Errorf("%s", unknownUnit(side.name))
			return
		}
	}
	if u.From == "" {
		return
	}
	if _, err := convert(u.From, u.To); err != nil {
		r.Errorf("%s", err)
	}
}
