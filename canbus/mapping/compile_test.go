package mapping

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const powertrain = `BO_ 1 Engine: 8 X
 SG_ Speed : 0|16@1+ (0.25,0) [0|0] "rpm" X
 SG_ Temperature : 16|8@1+ (1,-40) [0|0] "degC" X
 SG_ State : 24|4@1+ (1,0) [0|0] "" X
 SG_ Counter : 28|4@1+ (1,0) [0|0] "" X
BO_ 2 Gearbox: 8 X
 SG_ Gear : 0|4@1- (1,0) [0|0] "" X
 SG_ Counter : 4|4@1+ (1,0) [0|0] "" X
 SG_ Road : 8|16@1+ (0.01,0) [0|0] "km/h" X
 SG_ Trip : 24|32@1+ (1,0) [0|0] "km" X
`

const body = `BO_ 3 Doors: 1 X
 SG_ FrontLeft : 0|2@1+ (1,0) [0|0] "" X
BO_ 2 Gearbox: 8 X
 SG_ Gear : 0|4@1- (1,0) [0|0] "" X
`

func database(t testing.TB, bus, text string) BusDatabase {
	t.Helper()
	db, _, err := dbc.Parse(bus+".dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return BusDatabase{bus, db}
}

func parse(t testing.TB, text string) *File {
	t.Helper()
	f, err := Parse("mapping.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEveryMistakeIsReportedAtItsPlace(t *testing.T) {
	first := parse(t, `signals:
  - {signal: Engine.Spead, path: Vehicle.A}
  - {signal: Enginee.Speed, path: Vehicle.B}
  - {signal: Motor.Speed, path: Vehicle.C}
  - {signal: Raod, path: Vehicle.D}
  - {signal: Nothing, path: Vehicle.E}
  - {signal: Counter, bus: can0, path: Vehicle.F}
  - {signal: Gearbox.Gear, path: Vehicle.G}
  - {signal: Doors.FrontLeft, bus: can7, path: Vehicle.H}
  - {signal: Doors.FrontLeft, bus: can0, path: Vehicle.I}
  - {signal: Engine.Speed, path: Vehicle.J, unit: {to: km/h}}
  - {signal: Engine.State, path: Vehicle.K, unit: {to: km/h}}
  - {signal: Engine.Speed, path: Vehicle.L}
  - {signal: Engine.Speed, path: Vehicle.L}
derived:
  - {path: Vehicle.L, expr: "1 > 0"}
`)
	second, err := Parse("second.yaml", []byte("signals:\n  - {signal: Road, path: Vehicle.L}\n"))
	if err != nil {
		t.Fatal(err)
	}
	plan, _, err := Compile([]*File{first, second}, []BusDatabase{database(t, "can0", powertrain), database(t, "can1", body)}, nil)
	problems, ok := errors.AsType[config.Errors](err)
	if plan != nil || !ok {
		t.Fatal(plan, err)
	}
	want := []string{
		`mapping.yaml:2:14: signals[0].signal: no database has the signal Engine.Spead: did you mean "Engine.Speed"?`,
		`mapping.yaml:3:14: signals[1].signal: no database has the signal Enginee.Speed: did you mean "Engine.Speed"?`,
		`mapping.yaml:4:14: signals[2].signal: no database has the signal Motor.Speed: did you mean "Engine.Speed"?`,
		`mapping.yaml:5:14: signals[3].signal: no database has the signal Raod: did you mean "Road"?`,
		`mapping.yaml:6:14: signals[4].signal: no database has the signal Nothing`,
		`mapping.yaml:7:14: signals[5].signal: Counter stands in Engine and Gearbox: want Message.Signal, such as Engine.Counter`,
		`mapping.yaml:8:14: signals[6].signal: Gearbox.Gear stands in the databases of the buses can0 and can1: want bus: NAME`,
		`mapping.yaml:9:36: signals[7].bus: no bus is named "can7": did you mean "can0"?`,
		`mapping.yaml:10:14: signals[8].signal: no database of the bus can0 has the signal Doors.FrontLeft`,
		`mapping.yaml:11:51: signals[9].unit: "rpm" is a unit of rotation and "km/h" one of speed: want two of the same kind`,
		`mapping.yaml:12:51: signals[10].unit: the database gives Engine.State the unit "", which is none that can be converted: want from: UNIT`,
		`mapping.yaml:14:34: signals[12].path: Vehicle.L is fed already, at mapping.yaml:13:34: want one source for a path`,
		`mapping.yaml:16:12: derived[0].path: Vehicle.L is fed already, at mapping.yaml:13:34: want one source for a path`,
		`second.yaml:2:26: signals[0].path: Vehicle.L is fed already, at mapping.yaml:13:34: want one source for a path`,
	}
	if got := strings.Join(want, "\n"); problems.Error() != got {
		t.Errorf("have\n%s\nwant\n%s", problems.Error(), got)
	}
}

func TestTheFileItselfIsCheckedWithoutDatabases(t *testing.T) {
	_, err := Parse("mapping.yaml", []byte(`signals:
  - {signal: A.B.C, path: Vehicle.A}
  - {signal: A, path: Speed}
  - {signal: A, path: Vehicle.Front-Left.X}
  - {signal: A, path: Vehicle..X}
  - {signal: A, path: Vehicle.A, type: string}
  - {signal: A, path: Vehicle.A, type: boolean, unit: {from: km/h, to: km/h}}
  - {signal: A, path: Vehicle.A, unit: {from: kmph, to: km/h}}
  - {signal: A, path: Vehicle.A, unit: {from: km/h, to: celsius}}
  - {signal: A, path: Vehicle.A, deadband: -1}
  - {signal: A, path: Vehicle.A, typ: float}
  - {signal: A, path: Vehicle.A, values: {x: 1}}
  - {signal: A, path: Vehicle}
derived:
  - {path: Vehicle.A, expr: " "}
`))
	for i, want := range []string{
		`2:14: signals[0].signal: "A.B.C": want Message.Signal or a bare signal name`,
		`3:23: signals[1].path: "Speed": want a VSS path that begins with Vehicle., such as Vehicle.Speed`,
		`4:23: signals[2].path: "Vehicle.Front-Left.X": want names of letters, digits and underscores between the dots, got "Front-Left"`,
		`5:23: signals[3].path: "Vehicle..X": want names of letters, digits and underscores between the dots, got ""`,
		`6:40: signals[4].type: a string wants values, such as values: {0: P, 1: R}`,
		`7:55: signals[5].unit: a boolean has no unit`,
		`8:47: signals[6].unit.from: unknown unit "kmph": did you mean "km/h"?`,
		`9:40: signals[7].unit: "km/h" is a unit of speed and "celsius" one of temperature: want two of the same kind`,
		`10:44: signals[8].deadband: `,
		`11:34: signals[9].typ: unknown key; did you mean "type"?`,
		`12:43: signals[10].values.x: want an integer as key, got "x"`,
		`13:23: signals[11].path: "Vehicle": want a VSS path`,
		`15:29: derived[0].expr: want an expression`,
	} {
		if !strings.Contains(err.Error(), "mapping.yaml:"+want) {
			t.Errorf("%d: want %s", i, want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestMissingFileIsAnErrorThatNamesIt(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "mapping.yaml"))
	if err == nil || !strings.Contains(err.Error(), "mapping.yaml: no such file") {
		t.Error(err)
	}
}

func TestRulesAreFoundByBusMessageAndSignal(t *testing.T) {
	buses := []BusDatabase{database(t, "can0", powertrain), database(t, "can1", body)}
	plan, _, err := Compile([]*File{parse(t, `signals:
  - {signal: Road, path: Vehicle.Speed, type: float, min_interval: 100ms, on_change: true, deadband: 0.5, format: cbor, timeout: 2s}
  - {signal: Gearbox.Road, path: Vehicle.Other}
  - {signal: Gear, bus: can1, path: Vehicle.Gear}
derived:
  - {path: Vehicle.IsMoving, expr: "Vehicle.Speed > 0.5", type: boolean, on_change: true}
`)}, buses, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := buses[0].Database.Message(2, false)
	rules := plan.Bus("can0").Message(m).Rules(m.Signals[2])
	if len(rules) != 2 || rules[0].Path != "Vehicle.Speed" || rules[1].Path != "Vehicle.Other" {
		t.Fatal(rules)
	}
	want := Limits{MinInterval: int64(100 * time.Millisecond), OnChange: true, Deadband: 0.5}
	if r := rules[0]; r.Limits != want || !r.CBOR || r.Timeout != int64(2*time.Second) || r.Type != Float || r.Bus != "can0" {
		t.Errorf("%+v", r)
	}
	if rules := plan.Bus("can0").Message(m).Rules(m.Signals[0]); rules != nil {
		t.Error("the gear of can0 feeds", rules[0].Path)
	}
	if rules := plan.Bus("can0").Message(buses[0].Database.Message(1, false)).Rules(m.Signals[0]); rules != nil {
		t.Error(rules)
	}
	if rules := plan.Bus("can9").Message(m).Rules(m.Signals[0]); rules != nil {
		t.Error(rules)
	}
	gear := buses[1].Database.Message(2, false)
	if rules := plan.Bus("can1").Message(gear).Rules(gear.Signals[0]); len(rules) != 1 || rules[0].Path != "Vehicle.Gear" {
		t.Error(rules)
	}
	if len(plan.Rules) != 3 || len(plan.Derived) != 1 {
		t.Fatal(plan)
	}
	d := plan.Derived[0]
	if d.Path != "Vehicle.IsMoving" || d.Expr != "Vehicle.Speed > 0.5" || d.Type != Boolean || !d.Limits.OnChange {
		t.Errorf("%+v", d)
	}
	if got := d.Errorf("no").Error(); got != "mapping.yaml:6:36: derived[0].expr: no" {
		t.Error(got)
	}
}

// values of one Engine or Gearbox frame, by signal name
func decode(t *testing.T, db *dbc.Database, id uint32, data ...byte) map[string]dbc.Value {
	t.Helper()
	fr := can.Frame{ID: id, Len: 8}
	copy(fr.Data[:], data)
	values, err := db.Message(id, false).Decode(&fr, nil)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]dbc.Value{}
	for _, v := range values {
		byName[v.Signal.Name] = v
	}
	return byName
}

func TestConvertGivesWhatThePathHolds(t *testing.T) {
	b := database(t, "can0", powertrain)
	engine := decode(t, b.Database, 1, 0x10, 0x27, 60, 0x13) // 2500 rpm, 20 °C, state 3, counter 1
	gearbox := decode(t, b.Database, 2, 0x0F, 0x10, 0x27, 0xFF, 0xFF, 0xFF, 0xFF)
	for _, c := range []struct {
		entry string
		value dbc.Value
		want  vehicle.Value
	}{
		{`signal: Engine.Speed`, engine["Speed"], vehicle.Float(2500)},
		{`signal: Engine.Speed, type: uint16`, engine["Speed"], vehicle.Int(2500)},
		{`signal: Engine.Speed, type: uint8`, engine["Speed"], vehicle.Invalid()},
		{`signal: Temperature`, engine["Temperature"], vehicle.Int(20)},
		{`signal: Temperature, type: float`, engine["Temperature"], vehicle.Float(20)},
		{`signal: Temperature, unit: {to: fahrenheit}`, engine["Temperature"], vehicle.Float(68)},
		{`signal: Temperature, unit: {from: K, to: K}`, engine["Temperature"], vehicle.Int(20)},
		{`signal: State, values: {3: RUNNING, 0: "OFF"}`, engine["State"], vehicle.String("RUNNING")},
		{`signal: State, values: {2: RUNNING, 0: "OFF"}`, engine["State"], vehicle.Invalid()},
		{`signal: State, type: string, values: {3: 7}`, engine["State"], vehicle.String("7")},
		{`signal: State, type: boolean`, engine["State"], vehicle.Invalid()},
		{`signal: State, values: {3: true, 0: false}`, engine["State"], vehicle.Bool(true)},
		{`signal: State, type: int8, values: {0: 126}`, engine["State"], vehicle.Int(3)},
		{`signal: State, type: int8, values: {3: 127}`, engine["State"], vehicle.Int(127)},
		{`signal: Engine.Counter, type: boolean`, engine["Counter"], vehicle.Bool(true)},
		{`signal: Gear, type: int8`, gearbox["Gear"], vehicle.Int(-1)},
		{`signal: Gear, type: uint8`, gearbox["Gear"], vehicle.Invalid()},
		{`signal: Road, type: float, unit: {from: km/h, to: m/s}`, gearbox["Road"], vehicle.Float(100 / 3.6)},
		{`signal: Trip, type: uint32, unit: {to: m}`, gearbox["Trip"], vehicle.Invalid()},
		{`signal: Trip, type: uint64, unit: {to: m}`, gearbox["Trip"], vehicle.Int(4294967295000)},
		// The form in which the format is written down: a text under a number type.
		{`signal: Engine.Speed, type: float, unit: {from: rpm, to: rpm}, values: {2500: D}`, engine["Speed"], vehicle.String("D")},
	} {
		plan, _, err := Compile([]*File{parse(t, "signals: [{"+c.entry+", path: Vehicle.X}]")}, []BusDatabase{b}, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := plan.Rules[0].Convert(c.value); got != c.want {
			t.Errorf("{%s} of %v: %s %v, want %s %v", c.entry, c.value.Physical, got.Kind(), got, c.want.Kind(), c.want)
		}
	}
}

func TestValueThatTheTypeCannotHoldIsWarnedOf(t *testing.T) {
	f := parse(t, "signals:\n  - {signal: Gear, path: Vehicle.X, type: float, values: {5: D, 6: 1.5}}\n")
	w := f.Warnings()
	if len(w) != 1 || !strings.Contains(w[0].Error(), "signals[0].values.5: D is no float") {
		t.Error(w)
	}
}

func TestConvertAllocatesNothing(t *testing.T) {
	b := database(t, "can0", powertrain)
	plan, _, err := Compile([]*File{parse(t, `signals:
  - {signal: State, path: Vehicle.A, values: {3: RUNNING}}
  - {signal: Engine.Speed, path: Vehicle.B, type: float, unit: {from: rpm, to: rad/s}}
`)}, []BusDatabase{b}, nil)
	if err != nil {
		t.Fatal(err)
	}
	values := decode(t, b.Database, 1, 0x10, 0x27, 60, 0x13)
	state, speed := values["State"], values["Speed"]
	if n := testing.AllocsPerRun(100, func() {
		plan.Rules[0].Convert(state)
		plan.Rules[1].Convert(speed)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// The recorded drive and its database are data that no one here made.
func TestRecordedDriveFeedsSpeed(t *testing.T) {
	const file = "../../../shared/data/can/hyundai_i30_2014.dbc"
	db, _, err := dbc.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	if err != nil {
		t.Fatal(err)
	}
	buses := []BusDatabase{{"can0", db}}
	if _, _, err := Compile([]*File{parse(t, "signals: [{signal: VS_TCU, path: Vehicle.Speed}]")}, buses, nil); err == nil ||
		!strings.Contains(err.Error(), "VS_TCU stands in TCU1 and TCU2: want Message.Signal, such as TCU1.VS_TCU") {
		t.Error(err)
	}
	plan, _, err := Compile([]*File{parse(t, `signals:
  - {signal: TCU2.VS_TCU, bus: can0, path: Vehicle.Speed, type: float, unit: {from: km/h, to: km/h},
     values: {5: D}, min_interval: 100ms, on_change: true, deadband: 0.5, format: json}
`)}, buses, nil)
	if err != nil {
		t.Fatal(err)
	}
	fr := can.Frame{ID: 1088, Len: 8}
	m := db.Message(fr.ID, false)
	s := plan.Rules[0].Signal
	s.Encode(fr.Bytes(), 31)
	values, err := m.Decode(&fr, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := plan.Bus("can0").Message(m).Rules(s)
	if got := rules[0].Convert(values[s.Index]); got != vehicle.Float(31) {
		t.Error(got)
	}
}

func FuzzMapping(f *testing.F) {
	f.Add([]byte("signals:\n  - {signal: Road, path: Vehicle.Speed, type: float, unit: {to: m/s}, values: {5: D}, min_interval: 1s, deadband: 0.5}\n"))
	f.Add([]byte("signals: [{signal: Gearbox.Gear, bus: can1, path: Vehicle.Gear, type: int8, values: {0: 126}, on_change: true, format: cbor}]\nderived: [{path: Vehicle.X, expr: a}]\n"))
	f.Add([]byte("signals: [{signal: '', path: Vehicle, unit: {from: g, to: g}, values: {1: true, -1: 1e300}}]"))
	if data, err := os.ReadFile("../../configs/demo/mapping.yaml"); err == nil {
		f.Add(data)
	}
	buses := []BusDatabase{database(f, "can0", powertrain), database(f, "can1", body)}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz.yaml", data)
		if err != nil {
			return
		}
		plan, _, err := Compile([]*File{file}, buses, nil)
		if err != nil {
			return
		}
		for _, r := range plan.Rules {
			v := r.Convert(dbc.Value{Signal: r.Signal, Raw: 5, Physical: 5})
			if fitted := r.Type.Fit(v); r.Type != Any && len(file.Warnings()) == 0 && fitted != v {
				t.Errorf("%v is no %s", v, r.Type)
			}
		}
	})
}

// What an ECU counts in tenths is published in tenths, not with the tail that
// the multiplication has in binary.
func TestConvertedNumbersAreAsShortAsTheSignal(t *testing.T) {
	db := database(t, "can0", `BO_ 1 Pack: 8 X
 SG_ Voltage : 0|16@1+ (0.1,0) [0|0] "V" X
 SG_ Current : 16|16@1- (0.05,-1.5) [0|0] "A" X
 SG_ Latitude : 32|32@1- (1e-07,0) [0|0] "deg" X
`)
	values := decode(t, db.Database, 1, 0x6C, 0x0E, 0x9D, 0xFF, 0x57, 0xBA, 0xB1, 0x1C)
	for signal, want := range map[string]string{"Voltage": "369.2", "Current": "-6.45", "Latitude": "48.1409623"} {
		plan, _, err := Compile([]*File{parse(t, "signals: [{signal: "+signal+", path: Vehicle.X, type: double}]")}, []BusDatabase{db}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Rules[0].Convert(values[signal]).String(); got != want {
			t.Errorf("%s: got %s, want %s", signal, got, want)
		}
	}
}
