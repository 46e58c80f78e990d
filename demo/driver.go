package demo

import "math"

const (
	// restingBrake is how far the brake pedal is pressed at a standstill.
	restingBrake = 0.18
	// stopTolerance is how far from its mark a car may come to stand, in m.
	stopTolerance = 0.6
	// backingPace is the speed in reverse, in m/s.
	backingPace = 1.2
	// stoppingBrake is the deceleration towards a mark, in m/s².
	stoppingBrake = 1.5
	// creep is the speed of the last decimetres before a mark, in m/s.
	creep = 0.35

	// The driver answers a difference in speed with gain m/s² for each m/s,
	// within what passengers like, in m/s², changing it by no more than jerk, in
	// m/s³.
	gain    = 0.9
	hardest = 2.2
	jerk    = 3.0
)

// driver turns the road ahead into pedal positions.
type driver struct {
	wish float64 // acceleration along the way, m/s²
}

// press sets the pedals for the next step. Outside of driving and backing the
// script of the phase has them.
func (d *driver) press(s *State, r *road, c *cycle) {
	if c.phase != backing && c.phase != driving {
		d.wish = 0
		return
	}
	togo := (c.stop(r) - s.Distance) * s.direction()
	if togo < stopTolerance/2 && s.Speed < creep || togo <= 0 {
		d.hold(s)
		return
	}
	pace, slowing := r.speed(s.Distance)
	if c.phase == backing {
		pace, slowing = backingPace, 0
	}
	if stop := math.Sqrt(2*stoppingBrake*togo) + creep/2; stop < pace {
		pace, slowing = stop, stoppingBrake
	}
	want := gain * (pace - s.Speed)
	if want < gain {
		want -= slowing // the pace falls: keep up with it, not behind it
	}
	want = min(max(want, -hardest), hardest)
	d.wish += min(max(want-d.wish, -jerk*step), jerk*step)
	s.Accelerator, s.Brake = pedals(s, d.wish, r.slope(s))
}

// hold brings the last bit of speed to nothing and keeps the car standing.
func (d *driver) hold(s *State) {
	s.Accelerator = 0
	s.Brake += min(max(restingBrake-s.Brake, -0.5*step), 0.5*step)
	d.wish = 0
}

// slope is the gradient in the direction of travel.
func (r *road) slope(s *State) float64 {
	return r.at(s.Distance).gradient(s.Distance) * s.direction()
}

// pedals are the positions that give an acceleration: what a driver who knows
// his car does without thinking.
func pedals(s *State, acceleration, gradient float64) (accelerator, brake float64) {
	force := inertia*acceleration + resistance(s.Speed, gradient)
	motor := motorSpeed(s.Speed)
	full, lifted := fullTorque(motor), liftTorque(motor)
	torque := force / wheelForce
	if torque >= -lifted {
		return min((torque+lifted)/(full+lifted), 1), 0
	}
	return 0, min((-force-lifted*wheelForce)/fullBraking, 1)
}
