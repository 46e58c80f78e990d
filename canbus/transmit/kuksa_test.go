package transmit

import (
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const (
	seatDBC = header + `BO_ 512 Seat: 8 GTW
 SG_ Heat : 0|8@1+ (1,0) [0|100] "%" GTW
 SG_ Lock : 8|2@1+ (1,0) [0|3] "" GTW
VAL_ 512 Lock 1 "OPEN" 2 "LOCKED" ;
`
	seatKUKSA = `{"Vehicle": {"type": "branch", "children": {
  "Heating": {"type": "actuator", "datatype": "int8", "min": -100, "max": 100,
    "vss2dbc": {"signal": "Heat", "transform": {"math": "(x+100)/2"}}},
  "IsLocked": {"type": "actuator", "datatype": "boolean",
    "vss2dbc": {"signal": "Lock", "transform": {"mapping": [{"from": true, "to": "LOCKED"}, {"from": false, "to": "OPEN"}]}}}}}}`
)

// A path that a KUKSA mapping sets needs no signal in its rule, and is sent as
// that mapping transforms it.
func TestRuleTakesSignalAndTransformOfAKUKSAMapping(t *testing.T) {
	db, _, err := dbc.Parse("car.dbc", []byte(seatDBC))
	if err != nil {
		t.Fatal(err)
	}
	file, err := mapping.Parse("vss_dbc.json", []byte(seatKUKSA))
	if err != nil {
		t.Fatal(err)
	}
	paths, _, err := mapping.Compile([]*mapping.File{file}, []mapping.BusDatabase{{Bus: "can0", Database: db}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	doc, err := config.Decode("fascia.yaml", []byte(`rules: [{path: Vehicle.Heating, roles: [a], min: -50, max: 100}, {path: Vehicle.IsLocked, roles: [a]}]`), &c)
	if err != nil {
		t.Fatal(err)
	}
	plan, _, problems := Compile(c, doc, nil, []Bus{{Name: "can0", Database: db}}, paths, vehicle.NewState())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	heating, lock := plan.rules[0], plan.rules[1]
	for _, c := range []struct {
		rule  *rule
		value vehicle.Value
		want  string // the frame, or what the refusal says
	}{
		{heating, vehicle.Int(0), "200#3200000000000000"},
		{heating, vehicle.Int(100), "200#6400000000000000"},
		{heating, vehicle.Int(-60), "want -50 to 100"},
		{lock, vehicle.Bool(true), "200#0002000000000000"},
		{lock, vehicle.Bool(false), "200#0001000000000000"},
		{lock, vehicle.Int(1), "it allows no number"},
	} {
		d, err := c.rule.demand(c.value)
		got := ""
		if err == nil {
			got = c.rule.message.build(c.rule.signal, d.physical).String()
		} else {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s = %s: got %s, want %s", c.rule.name, c.value, got, c.want)
		}
	}
}
