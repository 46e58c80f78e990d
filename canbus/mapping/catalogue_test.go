package mapping

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/vss"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const smallCatalogue = `{"Vehicle": {"type": "branch", "children": {
  "Speed": {"type": "sensor", "datatype": "float", "unit": "km/h"},
  "Engine": {"type": "branch", "children": {
    "Speed": {"type": "sensor", "datatype": "uint16", "unit": "rpm", "max": 8000},
    "Temperature": {"type": "sensor", "datatype": "int16", "unit": "celsius"},
    "State": {"type": "sensor", "datatype": "string", "allowed": ["STOPPED", "RUNNING"]},
    "IsRunning": {"type": "sensor", "datatype": "boolean"}}},
  "Fill": {"type": "sensor", "datatype": "uint8", "unit": "percent", "min": 0, "max": 100},
  "VersionVSS": {"type": "branch", "children": {
    "Major": {"type": "attribute", "datatype": "uint32", "default": 5},
    "Minor": {"type": "attribute", "datatype": "uint32", "default": 1}}}}}}`

const catalogueDBC = `BO_ 1 Engine: 8 X
 SG_ Speed : 0|16@1+ (0.25,0) [0|16383] "rpm" X
 SG_ Temperature : 16|8@1+ (1,-40) [0|0] "degC" X
 SG_ State : 24|4@1+ (1,0) [0|0] "" X
 SG_ Road : 32|16@1+ (0.01,0) [0|0] "m/s" X
 SG_ Fill : 48|8@1+ (0.5,0) [0|127.5] "%" X
`

func against(t testing.TB, catalogue *vss.Tree, files ...*File) (*Plan, []config.Problem) {
	t.Helper()
	plan, warnings, err := Compile(files, []BusDatabase{database(t, "can0", catalogueDBC)}, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	return plan, warnings
}

func parseCatalogue(t testing.TB) *vss.Tree {
	t.Helper()
	tree, err := vss.Parse("vss.json", []byte(smallCatalogue))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestMappingIsHeldAgainstTheCatalogue(t *testing.T) {
	ours := parse(t, `signals:
  - {signal: Engine.Road, path: Vehicle.Speed, type: double}
  - {signal: Engine.Speed, path: Vehicle.Engine.Speed, type: uint16}
  - {signal: Engine.Temperature, path: Vehicle.Engine.Temperature}
  - {signal: Engine.State, path: Vehicle.Engine.State, values: {0: STOPPED, 1: RUNING}}
  - {signal: Engine.State, path: Vehicle.Engine.IsRunning}
  - {signal: Engine.Fill, path: Vehicle.Fill}
  - {signal: Engine.Speed, path: Vehicle.Engine}
  - {signal: Engine.Speed, path: Vehicle.Engin.Sped}
  - {signal: Engine.Speed, path: Vehicle.Mine}
derived:
  - {path: Vehicle.Drive.IsRunning, expr: "Vehicle.Speed > 3"}
  - {path: Vehicle.VersionVSS.Major, expr: "5", type: uint8}
`)
	_, warnings := against(t, parseCatalogue(t), ours)
	wants := []string{
		"mapping.yaml:2:5: signals[0].unit: the value is in m/s and the path in km/h: want a conversion",
		"mapping.yaml:2:54: signals[0].type: Vehicle.Speed is double here and float in the catalogue",
		"mapping.yaml:3:14: signals[1].signal: the database has Engine.Speed from 0 to 16383, the catalogue allows Vehicle.Engine.Speed to 8000: what lies outside is invalid",
		`mapping.yaml:5:80: signals[3].values.1: the catalogue allows Vehicle.Engine.State one of "STOPPED" and "RUNNING": "RUNING" is invalid`,
		"mapping.yaml:6:14: signals[4].signal: the catalogue has Vehicle.Engine.IsRunning as boolean: want type: boolean",
		"mapping.yaml:7:14: signals[5].signal: the catalogue has Vehicle.Fill as uint8: want type: uint8",
		"mapping.yaml:7:14: signals[5].signal: the database has Engine.Fill from 0 to 127.5, the catalogue allows Vehicle.Fill from 0 to 100: what lies outside is invalid",
		"mapping.yaml:8:34: signals[6].path: Vehicle.Engine is a branch in the catalogue, which has no value",
		"mapping.yaml:9:34: signals[7].path: the catalogue has no Vehicle.Engin.Sped: did you mean Vehicle.Engine.Speed?",
		"mapping.yaml:10:34: signals[8].path: the catalogue has no Vehicle.Mine",
		"mapping.yaml:12:12: derived[0].path: the catalogue has no Vehicle.Drive.IsRunning: did you mean Vehicle.Engine.IsRunning?",
		"mapping.yaml:13:55: derived[1].type: Vehicle.VersionVSS.Major is uint8 here and uint32 in the catalogue",
	}
	for i, want := range wants {
		if i >= len(warnings) || warnings[i].Error() != want {
			t.Errorf("%d: want %s", i, want)
		}
	}
	if t.Failed() || len(warnings) != len(wants) {
		t.Errorf("%d warnings, want %d:\n%v", len(warnings), len(wants), config.Errors(warnings))
	}
}

func TestKUKSAFileIsHeldAgainstTheCatalogue(t *testing.T) {
	file, err := Parse("vss_dbc.json", []byte(`{"Vehicle": {"type": "branch", "children": {
  "Speed": {"type": "sensor", "datatype": "double", "unit": "m/s", "dbc2vss": {"signal": "Road"}},
  "Fil": {"type": "sensor", "datatype": "uint8", "unit": "percent", "dbc2vss": {"signal": "Fill"}},
  "VersionVSS": {"type": "branch", "children": {
    "Major": {"type": "attribute", "datatype": "uint32", "default": 4},
    "Minor": {"type": "attribute", "datatype": "uint32", "default": 2}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	_, warnings := against(t, parseCatalogue(t), file)
	want := `vss_dbc.json:1:1: the file is of VSS 4.2, the catalogue of VSS 5.1
vss_dbc.json:2:12: Vehicle.Speed: Vehicle.Speed is double here and float in the catalogue
vss_dbc.json:2:12: Vehicle.Speed: it is in "m/s" here and in "km/h" in the catalogue
vss_dbc.json:3:10: Vehicle.Fil: the catalogue has no Vehicle.Fil: did you mean Vehicle.Fill?`
	if got := config.Errors(warnings).Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// VSS: a value outside min and max can't be assigned, one that is not allowed is
// an error.
func TestValuesThatTheCatalogueDoesNotAllowAreInvalid(t *testing.T) {
	ours := parse(t, `signals:
  - {signal: Engine.Fill, path: Vehicle.Fill, type: uint8}
  - {signal: Engine.State, path: Vehicle.Engine.State, values: {0: STOPPED, 1: RUNING}}
derived:
  - {path: Vehicle.Engine.Speed, expr: "1", type: uint16}
`)
	for _, c := range []struct {
		catalogue *vss.Tree
		want      string
	}{
		{nil, `100 101 "STOPPED" "RUNING" 9000`},
		{parseCatalogue(t), `100 null "STOPPED" null null`},
	} {
		plan, _ := against(t, c.catalogue, ours)
		fill, state := plan.Rules[0], plan.Rules[1]
		got := []string{
			fill.Convert(dbc.Value{Signal: fill.Signal, Raw: 200, Physical: 100}).String(),
			fill.Convert(dbc.Value{Signal: fill.Signal, Raw: 202, Physical: 101}).String(),
			state.Convert(dbc.Value{Signal: state.Signal, Raw: 0, Physical: 0}).String(),
			state.Convert(dbc.Value{Signal: state.Signal, Raw: 1, Physical: 1}).String(),
			plan.Derived[0].Convert(vehicle.Int(9000)).String(),
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("got %v, want %s", got, c.want)
		}
	}
}

// Every unit that the catalogue has can be compared, and the catalogue is one
// that its own paths agree with.
func TestCatalogueAgreesWithItself(t *testing.T) {
	const file = "../../../shared/data/vss/vss-5.1.json"
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	tree, err := vss.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("derived:\n")
	for _, leaf := range tree.Leaves {
		if Type(leaf.Datatype).known() {
			text.WriteString("  - {path: " + leaf.Path + `, expr: "1", type: ` + leaf.Datatype + "}\n")
		}
	}
	plan, warnings := against(t, tree, parse(t, text.String()))
	if len(warnings) > 0 || len(plan.Derived) < 1000 {
		t.Errorf("%d paths, %v", len(plan.Derived), config.Errors(warnings))
	}
}
