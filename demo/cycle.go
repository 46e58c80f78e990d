package demo

// A lap goes through these phases in turn and then begins again.
type phase uint8

const (
	departing phase = iota // doors, belts, switching on
	backing                // a few metres back from the kerb, in reverse
	shifting               // from reverse to drive, standing
	driving                // the route, with its red lights
	arriving               // switching off, out of the car, plugging in
	charging               // until the battery is as full as it was at the start
	unplugging
	phases
)

const (
	// startCharge is the state of charge with which each lap begins.
	startCharge = 0.72
	// backingDistance is how far the car backs before it pulls away, in m.
	backingDistance = 3.0

	// A red light lasts this long, in s, and up to redSpread longer.
	redLight  = 5.0
	redSpread = 3.0
)

// event is what someone in the car does at a moment after a phase began.
type event struct {
	at float64 // s
	do func(*State)
}

// scripts tell what happens in the phases that take a fixed time: each lasts
// until its last event.
var scripts = [phases][]event{
	departing: {
		{1.0, func(s *State) { s.Locked = false }},
		{1.5, func(s *State) { s.DoorOpen[FrontLeft], s.Power = true, Accessory }},
		{2.2, func(s *State) { s.DoorOpen[RearRight] = true }},
		{4.4, func(s *State) { s.DoorOpen[FrontLeft] = false }},
		{5.0, func(s *State) { s.Belted[FrontLeft] = true }},
		{5.6, func(s *State) { s.DoorOpen[RearRight] = false }},
		{6.6, func(s *State) { s.Belted[RearRight] = true }},
		{7.0, func(s *State) { s.Brake, s.Power = restingBrake, On }},
		{8.0, func(s *State) { s.Gear = Reverse }},
		{8.4, func(s *State) { s.ParkingBrake = false }},
		{9.0, func(*State) {}},
	},
	shifting: {
		{0.4, func(s *State) { s.Gear = Drive }},
		{0.8, func(*State) {}},
	},
	arriving: {
		{1.0, func(s *State) { s.Gear = Park }},
		{1.4, func(s *State) { s.ParkingBrake = true }},
		{2.0, func(s *State) { s.Brake, s.Power = 0, Accessory }},
		{2.6, func(s *State) { s.Belted[RearRight] = false }},
		{3.0, func(s *State) { s.Belted[FrontLeft] = false }},
		{3.6, func(s *State) { s.DoorOpen[RearRight] = true }},
		{4.0, func(s *State) { s.DoorOpen[FrontLeft] = true }},
		{6.0, func(s *State) { s.DoorOpen[FrontLeft], s.Power = false, Off }},
		{6.4, func(s *State) { s.DoorOpen[RearRight] = false }},
		{7.4, func(s *State) { s.Locked = true }},
		{9.0, func(s *State) { s.Cable = true }},
		{11.0, func(s *State) { s.Charging = true }},
	},
	unplugging: {
		{0.0, func(s *State) { s.Charging = false }},
		{2.0, func(s *State) { s.Cable = false }},
		{4.0, func(*State) {}},
	},
}

// cycle is where in the lap the car is.
type cycle struct {
	phase phase
	since float64 // s in this phase
	next  int     // event of its script
	halt  int     // traffic light ahead
	red   float64 // s that the light before the car stays red, 0 before it stopped there
}

// advance lets the people in the car do what is due, and tells when the next
// phase begins. random is in [0, 1).
func (c *cycle) advance(s *State, r *road, random func() float64) {
	c.since += step
	switch c.phase {
	case backing:
		if s.Distance > -backingDistance+stopTolerance || s.Moving() {
			return
		}
		c.halt = 0
	case driving:
		c.wait(s, r, random)
		if c.halt < len(r.halts) || s.Distance < r.length-stopTolerance || s.Moving() {
			return
		}
		s.Distance -= r.length
	case charging:
		if s.StateOfCharge < startCharge {
			return
		}
	default:
		script := scripts[c.phase]
		for c.next < len(script) && script[c.next].at <= c.since {
			script[c.next].do(s)
			c.next++
		}
		if c.next < len(script) {
			return
		}
	}
	c.enter(s)
}

// enter begins the phase after the present one.
func (c *cycle) enter(s *State) {
	c.phase = (c.phase + 1) % phases
	c.since, c.next = 0, 0
	if c.phase == departing {
		s.Lap++
	}
}

// wait holds the car at the next red light and lets it go when the light turns.
func (c *cycle) wait(s *State, r *road, random func() float64) {
	if c.halt == len(r.halts) || s.Moving() || s.Distance < r.halts[c.halt]-stopTolerance {
		return
	}
	if c.red == 0 {
		c.red = redLight + redSpread*random()
	}
	if c.red -= step; c.red <= 0 {
		c.red = 0
		c.halt++
	}
}

// stop is the distance at which the car has to stand next, in m.
func (c *cycle) stop(r *road) float64 {
	switch {
	case c.phase == backing:
		return -backingDistance
	case c.halt < len(r.halts):
		return r.halts[c.halt]
	}
	return r.length
}
