package canbus

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

const sharedData = "../../shared/data"

// kuksaRig runs KUKSA's mapping of a production car, as it is, on a virtual bus.
func kuksaRig(t *testing.T, catalogue string) (*rig, []config.Problem) {
	t.Helper()
	if _, err := os.Stat(sharedData); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	r := &rig{broker: newRecorder(), state: vehicle.NewState(), virtual: map[string]*source.Virtual{"can0": source.NewVirtual()}}
	r.config = Config{
		Buses:     []BusConfig{{Name: "can0", Source: "virtual://can0", DBC: []string{"can/Model3CAN.dbc"}}},
		Mapping:   []string{"can/kuksa_vss_dbc.json"},
		Catalogue: catalogue,
	}
	r.config.Resolve(sharedData)
	doc, err := config.Decode("fascia.yaml", nil, &struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	plan, warnings, err := Compile(r.config, doc, r.state)
	if err != nil {
		t.Fatal(err)
	}
	r.buses, err = New(r.config, plan, Options{Broker: r.broker, State: r.state, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Virtual: r.virtual})
	if err != nil {
		t.Fatal(err)
	}
	r.start(t)
	return r, warnings
}

// kuksaLeaf is a leaf of the file, read by another reader than ours.
type kuksaLeaf struct {
	Children map[string]*kuksaLeaf
	Datatype string
	DBC2VSS  *struct {
		Signal    string
		Transform *struct {
			Math    string
			Mapping []struct{ From, To any }
		}
	}
}

// want is what KUKSA's provider makes of a signal's value, as JSON; "" where it
// ignores it.
func (l *kuksaLeaf) want(s *dbc.Signal, raw int64) string {
	x := float64(raw)*s.Scale + s.Offset
	label, labelled := s.Choices[raw]
	transform := l.DBC2VSS.Transform
	if transform != nil && transform.Mapping != nil {
		for _, pair := range transform.Mapping {
			if pair.From == label {
				text, _ := json.Marshal(pair.To)
				return string(text)
			}
		}
		return ""
	}
	if labelled || x < s.Min-1e-9 || x > s.Max+1e-9 {
		return ""
	}
	if transform != nil {
		switch transform.Math {
		case "floor((x*40)-100)":
			x = math.Floor(x*40 - 100)
		case "floor(x+0.5)":
			x = math.Floor(x + 0.5)
		case "floor(abs(x/5))":
			x = math.Floor(math.Abs(x / 5))
		default:
			return "an unknown formula " + transform.Math
		}
	}
	text, _ := json.Marshal(math.Round(x*1e7) / 1e7)
	return string(text)
}

func TestProductionCarRunsWithKUKSAsMappingUnchanged(t *testing.T) {
	r, warnings := kuksaRig(t, "")
	text, err := os.ReadFile(r.config.Mapping[0])
	if err != nil {
		t.Fatal(err)
	}
	top := &kuksaLeaf{}
	if err := json.Unmarshal(text, &top.Children); err != nil {
		t.Fatal(err)
	}
	db, _, err := dbc.Load(r.config.Buses[0].DBC[0])
	if err != nil {
		t.Fatal(err)
	}

	fed, unfed, values, skipped := 0, 0, 0, uint64(0)
	var walk func(path string, l *kuksaLeaf)
	walk = func(path string, l *kuksaLeaf) {
		for name, child := range l.Children {
			walk(strings.TrimPrefix(path+"."+name, "."), child)
		}
		if l.DBC2VSS == nil {
			return
		}
		found := false
		for _, m := range db.Messages {
			for _, s := range m.Signals {
				if s.Name != l.DBC2VSS.Signal {
					continue
				}
				found = true
				for _, raw := range raws(s) {
					slot := r.state.Slot(path)
					slot.Set(vehicle.Value{}, 0, 0)
					before := r.buses.Status()[0].Skipped
					fr := can.Frame{ID: m.ID, Len: uint8(m.Size)}
					if m.Extended {
						fr.Flags = can.Extended
					}
					s.Select(fr.Data[:m.Size])
					s.EncodeRaw(fr.Data[:m.Size], raw)
					r.send(t, 0, fr, frame(0x7FF)) // a frame is done with when the next is counted
					got := ""
					if v := slot.Last().Value; v.IsSet() {
						got = v.String()
					}
					want := l.want(s, raw)
					if values++; got != want {
						t.Errorf("%s where %s.%s is %d: got %q, want %q", path, m.Name, s.Name, raw, got, want)
					}
					if want == "" {
						if skipped++; r.buses.Status()[0].Skipped == before {
							t.Errorf("%s where %s.%s is %d: the value is skipped and not counted", path, m.Name, s.Name, raw)
						}
					}
				}
			}
		}
		if found {
			fed++
		} else {
			unfed++
		}
	}
	walk("", top)
	t.Logf("%d paths are fed, %d are not; %d values, %d of them skipped", fed, unfed, values, skipped)
	if fed != 28 || unfed != 7 {
		t.Errorf("%d paths are fed, %d not, want 28 and 7", fed, unfed)
	}
	if skipped == 0 {
		t.Error("no value was skipped")
	}

	expect(t, warnings,
		"kuksa_vss_dbc.json: 7 of 35 paths have no value: no database has their signals",
		"Vehicle.Speed: no database of the bus can0 has the signal DI_uiSpeed",
		"Vehicle.Powertrain.TractionBattery.Charging.IsCharging: the signal CP_hvChargeStatus stands in ID23DCP_chargeStatus of bus can0 and ID13DCP_chargeStatus of bus can0: each of them feeds the path")
	published := r.broker.await(t, "vss/Vehicle/Powertrain/Transmission/CurrentGear", 1)[0]
	if !strings.HasPrefix(published.payload, `{"value":`) {
		t.Errorf("got %s", published.payload)
	}
}

// raws are the raw values of a signal to try: all labels, and the limits and the
// middle of what its bits hold.
func raws(s *dbc.Signal) []int64 {
	var list []int64
	for raw := range s.Choices {
		list = append(list, raw)
	}
	low, high := int64(0), int64(1)<<s.Length-1
	if s.Signed {
		low, high = -(int64(1) << (s.Length - 1)), int64(1)<<(s.Length-1)-1
	}
	return append(list, low, low+1, (low+high)/2, high/3, high-1, high)
}

func expect(t *testing.T, warnings []config.Problem, wants ...string) {
	t.Helper()
	for _, want := range wants {
		found := false
		for _, w := range warnings {
			found = found || strings.Contains(w.Error(), want)
		}
		if !found {
			t.Errorf("no warning says %q", want)
		}
	}
	if t.Failed() {
		t.Log(config.Errors(warnings))
	}
}

func TestKUKSAsMappingIsHeldAgainstAnotherVersionOfVSS(t *testing.T) {
	_, warnings := kuksaRig(t, "vss/vss-5.1.json")
	expect(t, warnings,
		"kuksa_vss_dbc.json:1:1: the file is of VSS 4.2, the catalogue of VSS 5.1",
		"Vehicle.Powertrain.ElectricMotor.Temperature: Vehicle.Powertrain.ElectricMotor.Temperature is int16 here and float in the catalogue")
}
