package demo

const (
	// pullingOut and pullingIn are where the driver indicates at the kerb, in m
	// from the start and before the end of the route.
	pullingOut = 14.0
	pullingIn  = 35.0
	// slowedByMotor is the deceleration from which the brake light is lit though
	// no brake pedal is pressed, in m/s² (UN R13-H: from 1.3, may from 0.7).
	slowedByMotor = 1.0
)

// light switches the lamps as driver and light sensor do.
func (s *State) light(c *cycle, r *road) {
	turn := 0.0
	switch {
	case c.phase == backing, c.phase == shifting, c.phase == driving && s.Distance < pullingOut:
		turn = 1
	case c.phase == driving && s.Distance > r.length-pullingIn:
		turn = -1
	case c.phase == driving:
		turn = r.indicated(s.Distance)
	}
	s.IndicatorLeft, s.IndicatorRight = turn > 0, turn < 0

	on := s.Power == On
	s.LowBeam = on && s.Brightness < beamsOnBelow
	s.RunningLight = on && !s.LowBeam
	s.BackupLight = on && s.Gear == Reverse
	s.BrakeLight = s.Brake > 0 || s.MotorTorque < 0 && -s.LongitudinalAcceleration*s.direction() > slowedByMotor
}
