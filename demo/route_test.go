package demo

import (
	"math"
	"testing"
)

func TestRouteIsClosedLoop(t *testing.T) {
	r := newRoad(route, startAltitude)
	const pitch = 0.05
	var p place
	steps := int(r.length / pitch)
	for i := range steps {
		middle := (float64(i) + 0.5) * pitch
		p.move(pitch, r.at(middle).direction(middle))
	}
	rest := r.length - float64(steps)*pitch
	p.move(rest, r.at(r.length).direction(r.length))

	if gap := math.Hypot(p.east, p.north); gap > 0.02 {
		t.Errorf("the end of the route is %.3f m east and %.3f m north of its start", p.east, p.north)
	}
	end := r.at(r.length)
	if turned := end.direction(r.length); math.Abs(turned-2*math.Pi) > 1e-9 {
		t.Errorf("the route turns by %v rad in all, want one full turn", turned)
	}
	if h := end.height(r.length); math.Abs(h-startAltitude) > 1e-9 {
		t.Errorf("the route ends at %v m, want %v m as at its start", h, startAltitude)
	}
}

func TestLaneHasNoKinks(t *testing.T) {
	r := newRoad(route, startAltitude)
	const pitch = 0.05
	// The tightest ramp reaches 1/12 per metre in 6 m.
	const steepest = 1.0 / 12 / 6 * pitch * 1.01
	for d := 0.0; d+pitch < r.length; d += pitch {
		here, there := r.at(d), r.at(d+pitch)
		bend := here.bend(d)
		if step := math.Abs(there.bend(d+pitch) - bend); step > steepest {
			t.Fatalf("at %.2f m the curvature jumps by %v", d, step)
		}
		turned := there.direction(d+pitch) - here.direction(d)
		if mean := (bend + there.bend(d+pitch)) / 2 * pitch; math.Abs(turned-mean) > 1e-5 {
			t.Fatalf("at %.2f m the lane turns by %v, but its curvature says %v", d, turned, mean)
		}
		rise := there.height(d+pitch) - here.height(d)
		if want := (here.gradient(d) + there.gradient(d+pitch)) / 2 * pitch; math.Abs(rise-want) > 1e-5 {
			t.Fatalf("at %.2f m the road rises by %v, but its slope says %v", d, rise, want)
		}
	}
}

func TestPaceKeepsLimitsAndCanBeBrakedTo(t *testing.T) {
	r := newRoad(route, startAltitude)
	for i := range r.pace {
		d := float64(i) * pacePitch
		if limit := r.at(d).limit / 3.6; r.pace[i] > limit+1e-9 {
			t.Errorf("at %.0f m the pace is %.1f m/s, the limit %.1f", d, r.pace[i], limit)
		}
		if _, slowing := r.speed(d); slowing > braking+1e-6 {
			t.Errorf("at %.0f m the pace asks for %.2f m/s² of braking, want at most %.2f", d, slowing, braking)
		}
	}
}
