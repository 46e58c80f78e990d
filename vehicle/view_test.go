package vehicle

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

const second = int64(time.Second)

// sample is a value with its moment.
type sample struct {
	at    int64
	value float64
}

// truth computes what functions of a window should give, from all samples and
// without cells.
func truth(samples []sample, length, now int64) map[string]float64 {
	begin := now - length
	at := 0
	for i, s := range samples {
		if s.at <= begin {
			at = i
		}
	}
	low, high, area, count := samples[at].value, samples[at].value, 0.0, 0.0
	for i := at; i < len(samples); i++ {
		from, to := max(samples[i].at, begin), now
		if i+1 < len(samples) {
			to = samples[i+1].at
		}
		area += samples[i].value * float64(to-from)
		low, high = min(low, samples[i].value), max(high, samples[i].value)
		if samples[i].at > begin {
			count++
		}
	}
	first, last := samples[at].value, samples[len(samples)-1].value
	seconds := float64(length) / float64(second)
	return map[string]float64{
		"rate": (last - first) / seconds, "delta": last - first, "mean": area / float64(length),
		"min": low, "max": high, "integral": area / float64(second), "count": count,
	}
}

func TestFunctionsOfAWindowGiveWhatAllItsValuesGive(t *testing.T) {
	const length = 10 * second
	for _, c := range []struct {
		name      string
		cycle     int64   // of the values, about
		jitter    float64 // of the cycle
		tolerance float64 // of the largest value: what a cell at the window's beginning may hide
		looks     int64   // one value in so many
	}{
		{"every 100 ms", second / 10, 0.5, 1e-9, 1},
		{"now and then", 3 * second, 0.9, 1e-9, 1},
		{"every 5 ms, four in a cell", second / 200, 0.5, 0.05, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			s := NewState()
			slot := s.Slot("Vehicle.Speed")
			expressions := map[string]*Expression{}
			for name := range viewFunctions {
				e, err := s.Compile(name + `(Vehicle.Speed, "10s")`)
				if err != nil {
					t.Fatal(err)
				}
				expressions[name] = e
			}
			var samples []sample
			for now := second; now < 100*second; {
				value := 50 + 40*math.Sin(float64(now)/float64(7*second)) // smooth, as speeds are
				samples = append(samples, sample{now, value})
				slot.Set(Float(value), 0, now)
				look := now + random.Int64N(c.cycle/2) // between the values too
				if look > 11*second+c.cycle && random.Int64N(c.looks) == 0 {
					for name, want := range truth(samples, length, look) {
						tolerance := c.tolerance * 90
						switch name {
						case "integral":
							tolerance *= 10
						case "count":
							tolerance = c.tolerance * 100 // of 2,000, four in a cell
						}
						got, err := expressions[name].Eval(look)
						if number, _ := got.Number(); err != nil || math.Abs(number-want) > tolerance+1e-9*math.Abs(want) {
							t.Fatalf("%s at %d: got %v, %v, want %v", name, look, got, err, want)
						}
					}
				}
				now += c.cycle + int64((random.Float64()-0.5)*c.jitter*float64(c.cycle))
			}
		})
	}
}

// What comes and goes within one cell counts to the last nanosecond.
func TestPeakBetweenTwoValuesOfACellCounts(t *testing.T) {
	s := NewState()
	slot := s.Slot("Vehicle.Speed")
	wants := map[string]Value{"max": Float(100), "min": Float(-50), "integral": Float(0.4 - 0.1), "count": Float(4), "delta": Float(0)}
	expressions := map[string]*Expression{}
	for name := range wants {
		e, err := s.Compile(name + `(Vehicle.Speed, "10s")`) // a cell is 20 ms
		if err != nil {
			t.Fatal(err)
		}
		expressions[name] = e
	}
	const ms = int64(time.Millisecond)
	slot.Set(Int(0), 0, 0)
	for _, v := range []sample{{5000 * ms, 0}, {5004 * ms, 100}, {5008 * ms, -50}, {5010 * ms, 0}} {
		slot.Set(Float(v.value), 0, v.at)
	}
	for name, want := range wants {
		got, err := expressions[name].Eval(12 * second)
		number, _ := got.Number()
		if expected, _ := want.Number(); err != nil || math.Abs(number-expected) > 1e-12 {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestWindowIsMissingUntilValuesHaveCoveredIt(t *testing.T) {
	s := NewState()
	slot := s.Slot("Vehicle.Speed")
	slot.Expire(2 * time.Second)
	e, err := s.Compile(`mean(Vehicle.Speed, "5s")`)
	if err != nil {
		t.Fatal(err)
	}
	look := func(now int64, want float64) {
		t.Helper()
		got, err := e.Eval(now)
		if math.IsNaN(want) {
			if !errors.Is(err, ErrMissing) {
				t.Errorf("at %d s: got %v, %v, want it to be missing", now/second, got, err)
			}
		} else if err != nil || got != Float(want) {
			t.Errorf("at %d s: got %v, %v, want %v", now/second, got, err, want)
		}
	}
	missing := math.NaN()
	look(0, missing)
	for at := second; at <= 5*second; at += second {
		slot.Set(Float(10), 0, at)
		look(at, missing)
	}
	slot.Set(Float(10), 0, 6*second)
	look(6*second, 10)
	look(8*second, 10)
	look(8*second+1, missing) // older than its timeout

	slot.Set(Float(10), 0, 9*second) // after a gap: from here on
	look(9*second, missing)
	for at := 10 * second; at <= 14*second; at += second {
		slot.Set(Float(20), 0, at)
	}
	look(14*second, 18)

	slot.Set(Invalid(), 0, 15*second)
	look(15*second, missing)
	slot.Set(Float(20), 0, 16*second)
	look(16*second, missing)
	for at := 17 * second; at <= 21*second; at += second {
		slot.Set(Float(20), 0, at)
	}
	look(21*second, 20)
	slot.Set(Value{}, 0, 0) // forgotten
	look(21*second, missing)
}

func TestWindowTakesBooleansAsPartsOfItsTimeAndRefusesTexts(t *testing.T) {
	s := NewState()
	slot := s.Slot("Vehicle.IsMoving")
	e, err := s.Compile(`mean(Vehicle.IsMoving, "10s")`)
	if err != nil {
		t.Fatal(err)
	}
	slot.Set(Bool(true), 0, 0)
	slot.Set(Bool(false), 0, 4*second)
	if got, err := e.Eval(10 * second); err != nil || got != Float(0.4) {
		t.Errorf("got %v, %v, want 0.4", got, err)
	}
	slot.Set(String("yes"), 0, 11*second)
	if got, err := e.Eval(11 * second); err == nil || errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "a text") {
		t.Errorf("a text: got %v, %v", got, err)
	}
}

func TestViewsMixWithValuesAndLists(t *testing.T) {
	sources := map[string]Value{
		`rate(Vehicle.Speed, "4s") == -5`:                                            Bool(true),
		`max(Vehicle.Speed, "4s") - min(Vehicle.Speed, "4s")`:                        Float(20),
		`max(Vehicle.Speed, Vehicle.Count)`:                                          Float(50),
		`count(Vehicle.Count, "4s") + count([Vehicle.Speed, Vehicle.Count], # > 10)`: Float(5),
		`mean([Vehicle.Speed, 70])`:                                                  Float(60),
		`Vehicle.Speed - Vehicle.Count > 40 and max(Vehicle.Count, "2s") == 3`:       Bool(true),
		`let hard = -3; rate(Vehicle.Speed, "4000ms") < hard ? "hard" : "gentle"`:    String("hard"),
	}
	s := NewState()
	expressions := map[string]*Expression{}
	for source := range sources {
		var err error
		if expressions[source], err = s.Compile(source); err != nil {
			t.Fatalf("%s: %v", source, err)
		}
	}
	for at := int64(0); at <= 10; at++ {
		s.Slot("Vehicle.Speed").Set(Float(float64(100-5*at)), 0, at*second)
		s.Slot("Vehicle.Count").Set(Int(3), 0, at*second)
	}
	for source, want := range sources {
		if got, err := expressions[source].Eval(10 * second); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", source, got, err, want)
		}
	}
}

func TestExpressionReadsThePathsOfItsViews(t *testing.T) {
	e, err := NewState().Compile(`rate(Vehicle.B, "1s") < -3 and Vehicle.A > 1 and max(Vehicle.B, "1s") > mean(Vehicle.C, "1m")`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(e.Paths(), " "), "Vehicle.A Vehicle.B Vehicle.C"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMistakesInViewsAreNamedWhenTheyAreCompiled(t *testing.T) {
	for source, want := range map[string]string{
		`rate(Vehicle.Speed)`:                   "rate wants a path and a duration",
		`1 + delta(Vehicle.Speed, 5)`:           "(1:5)",
		`mean(Vehicle.Speed, "5 s")`:            `want a duration from 10ms to 24h, such as "10s", got "5 s"`,
		`max(Vehicle.Speed, "1ms")`:             `got "1ms"`,
		`max(Vehicle.Speed, "25h")`:             `got "25h"`,
		`rate(Vehicle.A + Vehicle.B, "1s")`:     "wants a path, such as Vehicle.Speed",
		`integral(Speed, "1s")`:                 "wants a path",
		`count(Vehicle.Speed, "tomorrow") > 10`: `got "tomorrow"`,
	} {
		if _, err := NewState().Compile(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", source, err, want)
		}
	}
}

// A reload compiles the expressions anew: what the old ones have seen serves the
// new ones, and ends when nobody looks through it any more.
func TestWindowsOutliveAReloadAndEndWithTheirLastExpression(t *testing.T) {
	s := NewState()
	slot := s.Slot("Vehicle.Speed")
	before, err := s.Compile(`delta(Vehicle.Speed, "10s")`)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at <= 10; at++ {
		slot.Set(Float(float64(at)), 0, at*second)
	}
	after, err := s.Compile(`delta(Vehicle.Speed, "10s")`)
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(before)
	if got, err := after.Eval(10 * second); err != nil || got != Float(10) {
		t.Errorf("got %v, %v, want 10", got, err)
	}
	runtime.KeepAlive(after)
	runtime.GC()
	slot.Set(Float(11), 0, 11*second)
	if n := len(slot.windows); n != 0 {
		t.Errorf("%d windows are fed that nobody looks through", n)
	}
}

func TestFeedingAWindowAllocatesNothing(t *testing.T) {
	s := NewState()
	slot := s.Slot("Vehicle.Speed")
	e, err := s.Compile(`rate(Vehicle.Speed, "1s")`)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	if n := testing.AllocsPerRun(5000, func() {
		at += second / 1000
		slot.Set(Float(float64(at)), 0, at)
	}); n > 0 {
		t.Errorf("%v allocations a value", n)
	}
	runtime.KeepAlive(e)
}

func BenchmarkWindow(b *testing.B) {
	s := NewState()
	slot := s.Slot("Vehicle.Speed")
	e, err := s.Compile(`rate(Vehicle.Speed, "1s") < -3`)
	if err != nil {
		b.Fatal(err)
	}
	at := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		at += second / 100
		slot.Set(Float(50), 0, at)
		e.True(at)
	}
}
