package vehicle

import (
	"errors"
	"slices"
	"testing"
)

// Whatever stands in a mapping file is refused when it is compiled, or reads
// paths alone, is missing while one of them is, and gives a value or an error.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"Vehicle.Speed > 5 and Vehicle.Powertrain.Gear == 3",
		`Vehicle.ADAS.ActiveAutonomyLevel in ["SAE_3", "SAE_4"]`,
		"let limit = Vehicle.Gear * 20; Vehicle.Speed < limit",
		"[Vehicle.Speed, Link.cloud.up] | all(# > 1)",
		`rate(Vehicle.Speed, "1s") < -3`, `count(Vehicle.A, "5m") + max(Vehicle.A, Vehicle.B)`, `mean(mean(Vehicle.A, "1s"), "1s")`,
		"Vehicle?.Speed ?? 1", `Vehicle["Speed"]`, "Vehicle.A.B[0]", "$env", "1 + 1", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 300 {
			return // nested loops may take long and are not what is looked for
		}
		s := NewState()
		e, err := s.Compile(source)
		if err != nil {
			return
		}
		for _, path := range e.Paths() {
			if !isPath(path) {
				t.Fatalf("%q reads %q, which is no path", source, path)
			}
		}
		if _, err := e.Eval(BootNow()); len(e.Paths()) > 0 && !errors.Is(err, ErrMissing) {
			t.Fatalf("%q with nothing seen: %v, want ErrMissing", source, err)
		}
		for _, v := range []Value{Int(3), Float(1.5), Uint(1 << 63), Bool(true), String("SAE_3")} {
			for _, path := range e.Paths() {
				s.Slot(path).Set(v, 0, 1)
			}
			got, err := e.Eval(1 + int64(longestWindow)) // a value holds until the next
			if errors.Is(err, ErrMissing) || err == nil && !got.IsSet() {
				t.Fatalf("%q with %v: %v, %v", source, v, got, err)
			}
		}
		if !slices.IsSorted(e.Paths()) {
			t.Fatalf("%q: paths %v", source, e.Paths())
		}
	})
}
