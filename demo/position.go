package demo

import "math"

// Where the lap begins: a made-up street in open country.
const (
	startLatitude  = 52.10120 // degrees
	startLongitude = 8.60870  // degrees
	startAltitude  = 96.0     // m
)

// satellitesInView is how many the receiver sees under an open sky.
const satellitesInView = 13

// place is a point in metres east and north of the start.
type place struct{ east, north float64 }

// move goes on by a distance in a direction in rad, counter-clockwise from east.
func (p *place) move(distance, direction float64) {
	sin, cos := math.Sincos(direction)
	p.east += distance * cos
	p.north += distance * sin
}

// Metres for a degree at the start, on the WGS 84 ellipsoid: over the few
// kilometres of the route the earth is flat to within centimetres.
var metresNorth, metresEast = func() (north, east float64) {
	const (
		equator      = 6378137.0
		eccentricity = 6.69437999014e-3 // squared
		degree       = math.Pi / 180
	)
	sin, cos := math.Sincos(startLatitude * degree)
	w := 1 - eccentricity*sin*sin
	normal := equator / math.Sqrt(w)
	return normal * (1 - eccentricity) / w * degree, normal * cos * degree
}()

// locate is what the GNSS receiver makes of a place. In the tunnel it carries on
// by dead reckoning.
func (s *State) locate(p place, direction, altitude float64, tunnel bool) {
	s.Latitude = startLatitude + p.north/metresNorth
	s.Longitude = startLongitude + p.east/metresEast
	s.Altitude = altitude
	s.Heading = math.Mod(450-direction*180/math.Pi, 360)
	s.Satellites = satellitesInView
	if tunnel {
		s.Satellites = 0
	}
}
