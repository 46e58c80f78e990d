package demo

import "math"

// piece is one stretch of the route: a straight of some length, or a bend of
// some radius at its tightest.
type piece struct {
	length float64 // m, of a straight
	radius float64 // m, of a bend
	turn   float64 // degrees over the whole bend, positive to the left
	limit  float64 // km/h

	climb    float64 // m of altitude won over the piece
	indicate bool    // the driver indicates before and during the turn
	lights   bool    // traffic lights at the end of the piece, always red
	tunnel   bool
}

// route is one lap from the kerb in front of the house back to it: side street,
// town, a stretch of motorway, a country road, town. It is a made-up loop. The
// straights marked with * close it, and the climbs add up to nothing.
var route = []piece{
	{length: 70, limit: 30},
	{radius: 12, turn: 90, limit: 30, indicate: true},
	{length: 140, limit: 50, lights: true},
	{radius: 16, turn: -90, limit: 50, indicate: true},
	{length: 80, limit: 50},
	{radius: 140, turn: 35, limit: 50, climb: 2},
	{length: 120, limit: 60, climb: 2},
	{radius: 90, turn: -65, limit: 70, climb: -5, indicate: true}, // slip road
	{length: 220, limit: 120, climb: -3},
	{radius: 900, turn: 20, limit: 120, climb: 11},
	{length: 150, limit: 120, tunnel: true},
	{radius: 800, turn: 20, limit: 120, climb: -7},
	{length: 110, limit: 100},
	{radius: 90, turn: -50, limit: 60, climb: 3, indicate: true}, // exit
	{length: 70, limit: 50, lights: true},
	{radius: 18, turn: 110, limit: 50, indicate: true},
	{length: straightNorth, limit: 70}, // *
	{radius: 110, turn: 80, limit: 80, climb: 6},
	{length: 60, limit: 100},
	{radius: 240, turn: 30, limit: 100, climb: -2},
	{length: straightWest, limit: 100, climb: -9}, // *
	{radius: 150, turn: -30, limit: 70},
	{length: 110, limit: 70, climb: 2},
	{radius: 120, turn: 30, limit: 50},
	{length: 80, limit: 50},
	{radius: 16, turn: 90, limit: 50, indicate: true},
	{length: 345, limit: 50},
	{radius: 12, turn: 90, limit: 30, indicate: true},
	{length: 60, limit: 30},
}

// In m.
const (
	straightNorth = 27.23
	straightWest  = 1237.88
)

const (
	// comfort is the sideways acceleration at which the driver takes a bend, and
	// braking that with which he slows down for what he sees coming, in m/s².
	comfort = 2.2
	braking = 1.7

	// A bend begins and ends with a ramp, along which the driver turns the
	// wheel: half the radius long, between these bounds in m.
	shortestRamp, longestRamp = 5.0, 60.0

	// indicateBefore is how long before a turn the driver indicates, in m.
	indicateBefore = 45.0
	// pacePitch is the distance between two entries of road.pace, in m.
	pacePitch = 2.0
)

// road is the route made ready to drive on.
type road struct {
	stretches []stretch
	length    float64
	// pace is the highest sensible speed every pacePitch metres, in m/s, with
	// braking for all that lies ahead except for red lights.
	pace []float64
	// halts are the distances of the traffic lights, in m.
	halts []float64
}

// stretch is a piece in its place.
type stretch struct {
	*piece
	from, span float64 // m
	heading    float64 // rad at its start, counter-clockwise from east
	altitude   float64 // m at its start
	curvature  float64 // 1/m at its tightest, positive to the left
	ramp       float64 // m
}

func newRoad(pieces []piece, altitude float64) *road {
	r := &road{}
	heading := 0.0
	for i := range pieces {
		s := stretch{piece: &pieces[i], from: r.length, heading: heading, altitude: altitude}
		s.span = s.length
		if s.radius > 0 {
			turn := s.turn * math.Pi / 180
			s.curvature = math.Copysign(1/s.radius, turn)
			s.ramp = min(max(s.radius/2, shortestRamp), longestRamp)
			// The two ramps turn as much as one of them at full curvature.
			s.span = math.Abs(turn)*s.radius + s.ramp
			heading += turn
		}
		r.length += s.span
		altitude += s.climb
		r.stretches = append(r.stretches, s)
		if s.lights {
			r.halts = append(r.halts, r.length)
		}
	}
	r.plan()
	return r
}

// plan fills pace: what limits and bends allow, then, from the end backwards,
// what can be braked down to it.
func (r *road) plan() {
	n := int(r.length/pacePitch) + 1
	r.pace = make([]float64, n)
	for i := range r.pace {
		s := r.at(float64(i) * pacePitch)
		r.pace[i] = s.limit / 3.6
		if c := math.Abs(s.curvature); c > 0 {
			r.pace[i] = min(r.pace[i], math.Sqrt(comfort/c))
		}
	}
	for i := n - 2; i >= 0; i-- {
		r.pace[i] = min(r.pace[i], math.Sqrt(r.pace[i+1]*r.pace[i+1]+2*braking*pacePitch))
	}
}

// at finds the stretch at a distance. Before the start and after the end the
// first and the last straight go on.
func (r *road) at(distance float64) *stretch {
	low, high := 0, len(r.stretches)-1
	for low < high {
		middle := (low + high + 1) / 2
		if r.stretches[middle].from <= distance {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return &r.stretches[low]
}

// speed is the highest sensible speed at a distance, in m/s, and the
// deceleration that keeping to it takes, in m/s².
func (r *road) speed(distance float64) (pace, slowing float64) {
	i := int(distance / pacePitch)
	if i < 0 {
		return r.pace[0], 0
	}
	if i+1 >= len(r.pace) {
		return r.pace[len(r.pace)-1], 0
	}
	a, b := r.pace[i], r.pace[i+1]
	part := distance/pacePitch - float64(i)
	return a + (b-a)*part, max(0, (a*a-b*b)/(2*pacePitch))
}

// indicated is the turn for which the driver indicates at a distance: positive
// to the left, 0 if for none.
func (r *road) indicated(distance float64) float64 {
	if s := r.at(distance); s.indicate {
		return s.turn
	}
	if s := r.at(distance + indicateBefore); s.indicate {
		return s.turn
	}
	return 0
}

// bend is the curvature of the lane at a distance, in 1/m.
func (s *stretch) bend(distance float64) float64 {
	if s.curvature == 0 {
		return 0
	}
	into := min(max(distance-s.from, 0), s.span)
	return s.curvature * min(1, into/s.ramp, (s.span-into)/s.ramp)
}

// direction is the lane's heading at a distance, in rad counter-clockwise from
// east: the integral of bend.
func (s *stretch) direction(distance float64) float64 {
	if s.curvature == 0 {
		return s.heading
	}
	into := min(max(distance-s.from, 0), s.span)
	turned := into - s.ramp/2
	if into < s.ramp {
		turned = into * into / (2 * s.ramp)
	}
	if left := s.span - into; left < s.ramp {
		turned = s.span - s.ramp - left*left/(2*s.ramp)
	}
	return s.heading + s.curvature*turned
}

// gradient is the slope at a distance, and height the altitude in m. Each piece
// climbs in the shape of a cosine, so that slopes meet without a step.
func (s *stretch) gradient(distance float64) float64 {
	into := min(max(distance-s.from, 0), s.span)
	return s.climb / s.span * (1 - math.Cos(2*math.Pi*into/s.span))
}

func (s *stretch) height(distance float64) float64 {
	into := min(max(distance-s.from, 0), s.span)
	return s.altitude + s.climb*(into/s.span-math.Sin(2*math.Pi*into/s.span)/(2*math.Pi))
}
