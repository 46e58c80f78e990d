package vehicle

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func set(s *State, path string, v Value) { s.Slot(path).Set(v, time.Now().UnixNano(), BootNow()) }

func TestConditions(t *testing.T) {
	s := NewState()
	set(s, "Vehicle.Speed", Float(31.5))
	set(s, "Vehicle.Powertrain.Gear", Int(3))
	set(s, "Vehicle.ADAS.ActiveAutonomyLevel", String("SAE_4"))
	set(s, "Vehicle.Cabin.Door.Row1.DriverSide.IsOpen", Bool(false))
	set(s, "Vehicle.Broken", Invalid())
	set(s, "Link.cloud.up", Bool(true))
	for source, want := range map[string]bool{
		"Vehicle.Speed > 5": true,
		"Vehicle.Speed == 31.5 and Vehicle.Powertrain.Gear == 3":                      true,
		"Vehicle.Powertrain.Gear + 0.5 > 3":                                           true,
		`Vehicle.ADAS.ActiveAutonomyLevel in ["SAE_3", "SAE_4", "SAE_5"]`:             true,
		`Vehicle.ADAS.ActiveAutonomyLevel in ["SAE_0"]`:                               false,
		"not Vehicle.Cabin.Door.Row1.DriverSide.IsOpen":                               true,
		"Link.cloud.up && Vehicle.Speed < 100":                                        true,
		"Vehicle.Unseen > 0":                                                          false,
		"not Vehicle.Unseen":                                                          false, // missing, not "not true"
		"Vehicle.Speed > 5 or Vehicle.Unseen > 0":                                     false,
		"Vehicle.Broken == 0":                                                         false,
		"not (Vehicle.Broken == 0)":                                                   false,
		"Vehicle.ADAS.ActiveAutonomyLevel > 3":                                        false, // types that don't compare
		"let limit = Vehicle.Powertrain.Gear * 20; Vehicle.Speed < limit":             true,
		"Vehicle.Speed":                                                               false, // a number is no condition
		"[Vehicle.Speed, Vehicle.Powertrain.Gear] | all(# > 1)":                       true,
		"max(Vehicle.Speed, Vehicle.Powertrain.Gear) == Vehicle.Speed ? true : false": true,
	} {
		e, err := s.Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got := e.True(BootNow()); got != want {
			_, err := e.Eval(BootNow())
			t.Errorf("%s: got %t, want %t (%v)", source, got, want, err)
		}
	}
}

func TestExpressionNamesItsPathsOnce(t *testing.T) {
	e, err := NewState().Compile("Vehicle.B > 1 and Vehicle.A.C < Vehicle.B and Ride.active")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(e.Paths(), " "), "Ride.active Vehicle.A.C Vehicle.B"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExpressionMistakesAreNamedWhenItIsCompiled(t *testing.T) {
	for source, want := range map[string]string{
		"Vehicle.Speed >":       "(1:15)",
		"Speed > 3":             `"Speed" is not a path: want one that begins with Vehicle.`,
		"Vehicle > 3":           `"Vehicle" is not a path`,
		"vehicle.Speed > 3":     `"vehicle" is not a path`,
		"Vehicle.Speed + \"a":   "literal not terminated",
		"nosuch(Vehicle.Speed)": "nosuch",
	} {
		_, err := NewState().Compile(source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", source, err, want)
		}
	}
	if _, err := NewState().CompileCondition("1 + 1"); err == nil {
		t.Error("a number was accepted as a condition")
	}
}

func TestValuesOlderThanTheirTimeoutAreMissing(t *testing.T) {
	s := NewState()
	slot := s.Slot("Vehicle.Speed")
	slot.Expire(2 * time.Second)
	slot.Set(Float(10), 0, 1e9)
	e, err := s.Compile("Vehicle.Speed")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := e.Eval(3e9); err != nil || v != Float(10) {
		t.Errorf("at two seconds: got %v, %v", v, err)
	}
	if _, err := e.Eval(3e9 + 1); !errors.Is(err, ErrMissing) {
		t.Errorf("after two seconds: got %v, want ErrMissing", err)
	}
	if r := slot.Last(); r.Value != Float(10) {
		t.Errorf("the last value itself went: %v", r.Value)
	}
}

func TestResultsHaveTheirKind(t *testing.T) {
	s := NewState()
	set(s, "Vehicle.Gear", Int(3))
	set(s, "Vehicle.Speed", Float(1.5))
	set(s, "Vehicle.Count", Uint(math.MaxUint64))
	for source, want := range map[string]Value{
		"Vehicle.Gear":                 Int(3),
		"Vehicle.Gear + 1":             Int(4),
		"Vehicle.Speed * 2":            Float(3),
		"Vehicle.Count":                Uint(math.MaxUint64),
		"Vehicle.Speed > 1":            Bool(true),
		`Vehicle.Gear > 2 ? "D" : "P"`: String("D"),
		"Vehicle.Speed / 0":            Invalid(),
		"Vehicle.Gear > 3 ? 1 : nil":   Invalid(),
	} {
		e, err := s.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Eval(BootNow()); err != nil || got != want {
			t.Errorf("%s: got %s %v, %v, want %s %v", source, got.Kind(), got, err, want.Kind(), want)
		}
	}
	list, err := s.Compile("[Vehicle.Gear]")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := list.Eval(BootNow()); err == nil {
		t.Errorf("a list: got %v, want an error", got)
	}
}

func TestStateForgetsValuesOlderThanTheirTimeout(t *testing.T) {
	s := NewState()
	slot := s.Slot("Vehicle.Speed")
	slot.Expire(time.Minute)
	slot.Set(Float(10), 0, BootNow())
	if r, ok := s.Get("Vehicle.Speed"); !ok || r.Value != Float(10) {
		t.Errorf("now: got %v, %t", r, ok)
	}
	slot.Set(Float(10), 0, BootNow()-int64(time.Hour))
	if _, ok := s.Get("Vehicle.Speed"); ok {
		t.Error("a value of an hour ago counts, though its timeout is a minute")
	}
	if _, ok := s.Get("Vehicle.Unseen"); ok {
		t.Error("a path that was never seen has a value")
	}
}

func TestEachGoesThroughPathsInOrder(t *testing.T) {
	s := NewState()
	set(s, "Vehicle.B", Int(2))
	set(s, "Vehicle.A", Invalid())
	s.Slot("Vehicle.Unset")
	var got []string
	s.Each(func(path string, r Reading) { got = append(got, path+"="+r.Value.String()) })
	if want := "Vehicle.A=null Vehicle.B=2"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func BenchmarkCondition(b *testing.B) {
	s := NewState()
	set(s, "Vehicle.Speed", Float(31.5))
	set(s, "Vehicle.Powertrain.Gear", Int(3))
	e, err := s.CompileCondition("Vehicle.Speed > 5 and Vehicle.Powertrain.Gear == 3")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !e.True(BootNow()) {
			b.Fatal("false")
		}
	}
}
