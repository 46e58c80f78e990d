package demo

import (
	"math"
	"testing"
)

// laps drives and shows every moment to see, the moment before it too.
func laps(t *testing.T, n int, see func(v *Vehicle, before, now *State)) *Vehicle {
	t.Helper()
	v := New(Seed)
	const longest = 60_000 // steps: ten minutes, far more than a lap takes
	started := 0
	for i := 0; v.state.Lap < n; i++ {
		before := v.state
		v.advance()
		if v.state.Lap != before.Lap {
			started = i
		}
		if i-started > longest {
			t.Fatalf("lap %d does not end: at %.1f m, phase %d, %.1f m/s", v.state.Lap, v.state.Distance, v.cycle.phase, v.state.Speed)
		}
		see(v, &before, &v.state)
		if t.Failed() {
			t.Fatalf("at %.2f s, %.1f m, phase %d", v.state.Elapsed, v.state.Distance, v.cycle.phase)
		}
	}
	return v
}

// within is false for NaN too.
func within(x, low, high float64) bool { return low <= x && x <= high }

func TestMotionIsPlausible(t *testing.T) {
	fastest := 0.0
	laps(t, 2, func(_ *Vehicle, _, s *State) {
		fastest = max(fastest, s.Speed)
		if !within(s.Speed, 0, 135/3.6) {
			t.Errorf("speed is %.2f m/s", s.Speed)
		}
		if !within(s.LongitudinalAcceleration, -5, 5) || !within(s.LateralAcceleration, -5, 5) {
			t.Errorf("acceleration is %.2f m/s² along and %.2f sideways", s.LongitudinalAcceleration, s.LateralAcceleration)
		}
		if !within(s.SteeringAngle, -540, 540) || !within(s.SteeringRate, -500, 500) {
			t.Errorf("steering wheel is at %.0f°, turning with %.0f°/s", s.SteeringAngle, s.SteeringRate)
		}
		if !within(s.YawRate, -40, 40) {
			t.Errorf("yaw rate is %.1f °/s", s.YawRate)
		}
		for i, w := range s.WheelSpeed {
			if !within(w-s.Speed, -0.15*s.Speed, 0.15*s.Speed) {
				t.Errorf("wheel %d turns at %.2f m/s, the car drives at %.2f", i, w, s.Speed)
			}
		}
	})
	if fastest < 110/3.6 {
		t.Errorf("the car never drives faster than %.0f km/h, want a stretch of motorway", kmh(fastest))
	}
}

func TestSpeedIsChangeOfPlace(t *testing.T) {
	laps(t, 2, func(_ *Vehicle, before, now *State) {
		north := (now.Latitude - before.Latitude) * metresNorth
		east := (now.Longitude - before.Longitude) * metresEast
		moved := math.Hypot(north, east)
		want := (before.Speed + now.Speed) / 2 * step
		if !within(moved-want, -1e-5, 1e-5) && now.Lap == before.Lap {
			t.Errorf("moved by %.4f m at %.2f m/s", moved, now.Speed)
		}
		if moved > 0.5 {
			t.Errorf("jumped by %.2f m", moved)
		}
		if moved > 0.01 && now.Gear == Drive {
			course := math.Mod(math.Atan2(east, north)*180/math.Pi+360, 360)
			if off := math.Abs(math.Remainder(course-now.Heading, 360)); off > 1 {
				t.Errorf("moves towards %.1f°, heads for %.1f°", course, now.Heading)
			}
		}
		if d := now.Odometer - before.Odometer; math.Abs(d-want) > 1e-6 {
			t.Errorf("odometer rises by %v m, want %v", d, want)
		}
	})
}

func TestCarIsHandledSafely(t *testing.T) {
	laps(t, 2, func(_ *Vehicle, before, s *State) {
		if s.Gear != before.Gear && before.Moving() {
			t.Errorf("gear changes from %d to %d at %.2f m/s", before.Gear, s.Gear, before.Speed)
		}
		if !s.Moving() {
			return
		}
		if s.Gear == Park || s.Gear == Neutral || s.ParkingBrake {
			t.Errorf("moves in gear %d, parking brake %v", s.Gear, s.ParkingBrake)
		}
		if s.DoorOpen != [4]bool{} {
			t.Errorf("moves with doors open: %v", s.DoorOpen)
		}
		if !s.Belted[FrontLeft] || s.Power != On || s.Cable || s.Charging {
			t.Errorf("moves with driver's belt %v, power %d, cable %v", s.Belted[FrontLeft], s.Power, s.Cable)
		}
		if s.Accelerator > 0 && s.Brake > 0 {
			t.Errorf("both pedals are pressed: %.2f and %.2f", s.Accelerator, s.Brake)
		}
	})
}

func TestEverythingHappensInALap(t *testing.T) {
	seen := map[string]bool{}
	var gears = map[Gear]string{Park: "P", Reverse: "R", Drive: "D"}
	stops := 0
	laps(t, 1, func(v *Vehicle, before, s *State) {
		seen["gear "+gears[s.Gear]] = true
		for name, on := range map[string]bool{
			"driver's door":   s.DoorOpen[FrontLeft],
			"passenger's":     s.DoorOpen[RearRight],
			"belt":            s.Belted[RearRight],
			"left indicator":  s.IndicatorLeft,
			"right indicator": s.IndicatorRight,
			"low beam":        s.LowBeam,
			"running light":   s.RunningLight,
			"backup light":    s.BackupLight,
			"brake light":     s.BrakeLight,
			"regeneration":    s.PackCurrent > 10 && !s.Charging,
			"charging":        s.Charging,
			"no satellites":   s.Satellites == 0,
		} {
			if on {
				seen[name] = true
			}
		}
		if v.cycle.phase == driving && before.Moving() && !s.Moving() {
			stops++
		}
	})
	if want := 3 + 12; len(seen) != want {
		t.Errorf("saw %d things happen, want %d: %v", len(seen), want, seen)
	}
	if stops != 2 {
		t.Errorf("the car stops %d times on its way, want at 2 red lights", stops)
	}
}

func TestBatteryFollowsMotor(t *testing.T) {
	laps(t, 2, func(_ *Vehicle, before, s *State) {
		if !within(s.StateOfCharge, 0.5, 0.8) {
			t.Errorf("state of charge is %.3f", s.StateOfCharge)
		}
		rises := s.StateOfCharge > before.StateOfCharge
		if rises && !s.Charging && s.MotorPower >= 0 {
			t.Errorf("state of charge rises while the motor takes %.0f W", s.MotorPower)
		}
		if rises != (s.PackCurrent > 0) {
			t.Errorf("state of charge goes from %v to %v at %.2f A", before.StateOfCharge, s.StateOfCharge, s.PackCurrent)
		}
		if !within(s.PackVoltage, cells*3.0, cells*4.25) {
			t.Errorf("pack voltage is %.1f V", s.PackVoltage)
		}
		if !within(s.MotorTorque, -maxRegen, maxTorque) || !within(s.MotorPower, -regenPower*1.01, maxPower*1.01) {
			t.Errorf("motor gives %.0f Nm, %.0f W", s.MotorTorque, s.MotorPower)
		}
		if !within(s.PackTemperature, 15, 45) || !within(s.MotorTemperature, 20, 120) {
			t.Errorf("pack is at %.1f °C, motor at %.1f °C", s.PackTemperature, s.MotorTemperature)
		}
	})
}

func TestEnergyIsConserved(t *testing.T) {
	var battery, warmth, motor, losses, resisted float64 // J while switched on
	charge, start := New(Seed).state.StateOfCharge, 0.0
	v := laps(t, 1, func(_ *Vehicle, before, s *State) {
		if s.Power != On {
			return
		}
		if start == 0 {
			start = before.StateOfCharge
		}
		charge = s.StateOfCharge
		battery -= s.PackVoltage * s.PackCurrent * step
		warmth += inner * s.PackCurrent * s.PackCurrent * step
		motor += s.MotorPower * step
		losses += (motorLoss(s.MotorTorque, motorSpeed(before.Speed)) + s.ClimatePower + auxiliaries) * step
		speed := (before.Speed + s.Speed) / 2
		resisted += resistance(speed, 0) * speed * step
	})
	taken := (start - charge) * capacity * openVoltage((start+charge)/2)
	if !within(taken/(battery+warmth), 0.98, 1.02) {
		t.Errorf("the charge falls by %.0f Wh, the battery gives %.0f Wh and warms with %.0f Wh", taken/3600, battery/3600, warmth/3600)
	}
	if !within(battery/(motor+losses), 0.98, 1.02) {
		t.Errorf("the battery gives %.0f Wh, the motor %.0f Wh with losses of %.0f Wh", battery/3600, motor/3600, losses/3600)
	}
	// The discs take little of what the motor can regenerate; the route ends as
	// high as it began, and the car as fast.
	if !within(motor/resisted, 1, 1.15) {
		t.Errorf("the motor gives %.0f Wh, air and tyres take %.0f Wh", motor/3600, resisted/3600)
	}
	// What a compact electric car takes in mixed traffic, with air conditioning.
	if perKilometre := battery / 3600 / (v.road.length / 1000); !within(perKilometre, 110, 200) {
		t.Errorf("the car takes %.0f Wh/km", perKilometre)
	}
}

func TestCabinCoolsToSetPoint(t *testing.T) {
	first := 0.0
	laps(t, 1, func(v *Vehicle, before, s *State) {
		switch {
		case before.Elapsed == 0:
			first = before.CabinTemperature
		case v.cycle.phase == arriving && v.cycle.since <= step:
			if !within(s.CabinTemperature-s.SetPoint, -0.5, 1) {
				t.Errorf("cabin went from %.1f to %.1f °C, set point %.1f", first, s.CabinTemperature, s.SetPoint)
			}
		}
	})
	if first < 28 {
		t.Errorf("cabin starts at %.1f °C: there is nothing to cool", first)
	}
}

func TestTyreWarmsAndGainsPressure(t *testing.T) {
	v := laps(t, 3, func(_ *Vehicle, _, s *State) {
		for i, p := range s.TyrePressure {
			if !within(p, 220, 290) {
				t.Errorf("tyre %d has %.0f kPa", i, p)
			}
		}
	})
	start := New(Seed)
	for i, p := range v.state.TyrePressure {
		if p < start.state.TyrePressure[i]+1 {
			t.Errorf("tyre %d went from %.1f to %.1f kPa", i, start.state.TyrePressure[i], p)
		}
	}
}

func TestLapEndsWhereItBegan(t *testing.T) {
	start := New(Seed)
	var times []float64
	last := 0.0
	v := laps(t, 3, func(_ *Vehicle, before, s *State) {
		if s.Lap != before.Lap {
			times = append(times, s.Elapsed-last)
			last = s.Elapsed
		}
	})
	for lap, lasted := range times {
		if !within(lasted, 4*60, 6.2*60) {
			t.Errorf("lap %d takes %.0f s", lap, lasted)
		}
	}
	a, b := start.state, v.state
	if d := math.Hypot((a.Latitude-b.Latitude)*metresNorth, (a.Longitude-b.Longitude)*metresEast); d > 1 {
		t.Errorf("the car ends %.2f m from where it began", d)
	}
	if b.Speed != 0 || b.Gear != Park || b.Power != Off || b.DoorOpen != a.DoorOpen || b.Belted != a.Belted || b.Locked != a.Locked || b.Cable {
		t.Errorf("the car ends with speed %v, gear %d, power %d, doors %v, belts %v, locked %v, cable %v",
			b.Speed, b.Gear, b.Power, b.DoorOpen, b.Belted, b.Locked, b.Cable)
	}
	if d := b.StateOfCharge - a.StateOfCharge; math.Abs(d) > 0.001 {
		t.Errorf("the battery ends with %.4f, began with %.4f", b.StateOfCharge, a.StateOfCharge)
	}
	if d := math.Abs(math.Remainder(b.Heading-a.Heading, 360)); d > 0.01 {
		t.Errorf("the car ends heading for %.2f°, began with %.2f°", b.Heading, a.Heading)
	}
}

func TestSameSeedGivesSameDrive(t *testing.T) {
	a := New(7)
	b := New(7)
	other := New(8)
	differs := false
	for i := range 12_000 {
		fa, fb := a.Step(nil), b.Step(nil)
		if a.state != b.state {
			t.Fatalf("step %d: the states differ", i)
		}
		for j := range fa {
			if fa[j] != fb[j] {
				t.Fatalf("step %d: frames %s and %s differ", i, fa[j], fb[j])
			}
		}
		other.Step(nil)
		differs = differs || other.state.Distance != a.state.Distance
	}
	if !differs {
		t.Error("another seed gives the same drive")
	}
}
