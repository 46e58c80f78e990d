package democonfig_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/demo"
	"github.com/fascia-edge/fascia/vehicle"
)

// past is what the simulated car really did, a value for each of its steps.
type past []float64

// last is the values of the last d up to now.
func (p past) last(d time.Duration) past { return p[max(0, len(p)-int(d/demo.Step)):] }

func (p past) sum() (sum float64) {
	for _, v := range p {
		sum += v
	}
	return sum
}

func (p past) mean() float64 { return p.sum() / float64(len(p)) }

// What expressions over windows make of the frames is held, over a whole lap,
// against what the simulated car did: its own speed, and the power that it drew.
func TestDerivedWindowsFollowTheCar(t *testing.T) {
	db, _, plan := load(t)
	state := vehicle.NewState()
	expressions := map[*mapping.Derived]*vehicle.Expression{}
	for _, d := range plan.Derived {
		e, err := state.Compile(d.Expr)
		if err != nil {
			t.Fatal(err)
		}
		expressions[d] = e
	}
	const (
		minute      = 60 * time.Second
		consumption = "Vehicle.Driving.MeanConsumption"
	)
	var (
		speed, sideways, power past // km/h, m/s², W
		braking, cornering     int
		judged                 = map[string]int{}
		worst                  float64
		frames                 []can.Frame
		values                 []dbc.Value
	)
	car := demo.New(demo.Seed)
	for car.State().Lap == 0 {
		frames = car.Step(frames[:0])
		s := car.State()
		speed, sideways = append(speed, s.Speed*3.6), append(sideways, s.LateralAcceleration)
		power = append(power, s.PackVoltage*-s.PackCurrent)
		boot := int64(len(speed)) * int64(demo.Step)
		for i := range frames {
			m := db.Message(frames[i].ID, frames[i].Has(can.Extended))
			values, _ = m.Decode(&frames[i], values[:0])
			for _, v := range values {
				for _, rule := range plan.Bus("can0").Message(m).Rules(v.Signal) {
					state.Slot(rule.Path).Set(rule.Convert(v), 0, boot)
				}
			}
		}
		got := map[string]vehicle.Value{}
		for _, d := range plan.Derived {
			if d.Path == consumption && len(speed)%10 != 0 {
				continue // the dearest one by far: a tenth of the steps will do
			}
			v, err := expressions[d].Eval(boot)
			if errors.Is(err, vehicle.ErrMissing) {
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", d.Path, err)
			}
			got[d.Path] = d.Convert(v)
			state.Slot(d.Path).Set(got[d.Path], 0, boot)
		}
		// What is too near to a limit for a signal's resolution is not judged.
		judge := func(path string, value, limit, doubt float64, since time.Duration) bool {
			is, ok := got[path].Bool()
			if len(speed) <= int(since/demo.Step)+20 || math.Abs(value-limit) < doubt {
				return is
			}
			if judged[path]++; !ok || is != (value > limit) {
				t.Fatalf("%s is %v after %d steps: the car has %v", path, got[path], len(speed), value)
			}
			return is
		}
		slowing := -(speed[len(speed)-1] - speed[max(0, len(speed)-101)]) / 3.6
		if judge("Vehicle.Driving.IsBrakingHard", slowing, 1.8, 0.1, time.Second) {
			braking++
		}
		if judge("Vehicle.Driving.IsCorneringHard", math.Abs(sideways.last(500*time.Millisecond).mean()), 1.8, 0.03, 500*time.Millisecond) {
			cornering++
		}
		if distance := speed.last(minute).sum() * demo.Step.Seconds() / 3600; len(speed) > 6100 && len(speed)%10 == 0 && distance > 0.11 {
			energy := power.last(minute).sum() * demo.Step.Seconds() / 3.6e6
			want := energy / distance * 100
			number, ok := got[consumption].Number()
			judged[consumption] += 10
			if worst = max(worst, math.Abs(number-want)); !ok || math.Abs(number-want) > 0.3+0.02*math.Abs(want) {
				t.Fatalf("the car took %v kWh/100km of the last minute, got %v after %d steps", want, got[consumption], len(speed))
			}
		}
	}
	t.Logf("judged %v; hard: %d steps of braking, %d of cornering; consumption off by %.2f kWh/100km at most", judged, braking, cornering, worst)
	for path, n := range judged {
		if n < len(speed)/3 {
			t.Errorf("%s was judged at %d of %d steps", path, n, len(speed))
		}
	}
	if len(judged) != 3 || braking < 50 || cornering < 50 {
		t.Errorf("the lap shows %d steps of hard braking and %d of hard cornering", braking, cornering)
	}
}
