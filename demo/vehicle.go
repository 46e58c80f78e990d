// Package demo simulates a battery-electric car of our own invention that
// drives one loop of about six minutes for ever, and the ECUs that tell of it
// on a CAN bus. The bus is described by configs/demo/vehicle.dbc.
//
// The physics is plain: a driver follows the speed that the road allows, a motor
// and a battery with limits and losses move a mass against air, tyres and
// slopes. The same seed gives the same drive, step for step.
package demo

import (
	"math/rand/v2"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Step is the time that one call of Vehicle.Step simulates: the shortest cycle
// time on the bus.
const Step = 10 * time.Millisecond

// Seed is the one to take where it doesn't matter which.
const Seed = 1

// step is Step in s.
const step = float64(Step) / float64(time.Second)

// Vehicle is the car with its ECUs. It is for one goroutine at a time, but for
// Receive.
type Vehicle struct {
	state  State
	road   *road
	place  place
	cycle  cycle
	driver driver
	random *rand.Rand

	ecus    []*ecu
	climate *climateRequest
	inbox   chan can.Frame
	steps   uint64
}

// New parks a car at the start of the route. The seed decides how long traffic
// lights stay red and what noise the sensors have. New panics if the DBC that is
// built in and the ECUs don't fit together, which the tests of this package
// rule out.
func New(seed uint64) *Vehicle {
	ecus, climate, err := newECUs()
	if err != nil {
		panic(err)
	}
	v := &Vehicle{
		road:    newRoad(route, startAltitude),
		random:  rand.New(rand.NewPCG(seed, 0)),
		ecus:    ecus,
		climate: climate,
		inbox:   make(chan can.Frame, mostRequests),
		state: State{
			Odometer:           12_345_600,
			Gear:               Park,
			ParkingBrake:       true,
			Locked:             true,
			StateOfCharge:      startCharge,
			PackVoltage:        openVoltage(startCharge),
			PackTemperature:    27,
			MotorTemperature:   38,
			SupplyVoltage:      12.6,
			CabinTemperature:   29.5,
			OutsideTemperature: airAtStart,
			SetPoint:           21.5,
			Brightness:         brightDay,
		},
	}
	for i := range v.state.TyreTemperature {
		v.state.TyreTemperature[i] = airAtStart
	}
	v.sense()
	return v
}

// State is a copy of the car's present state.
func (v *Vehicle) State() State { return v.state }

// Step simulates Step of time and appends the frames that the ECUs send at the
// end of it. It allocates only if frames has no room.
func (v *Vehicle) Step(frames []can.Frame) []can.Frame {
	v.receive()
	v.advance()
	for _, e := range v.ecus {
		frames = e.send(frames, &v.state, v.steps)
	}
	return frames
}

// advance is the physics of one step.
func (v *Vehicle) advance() {
	s := &v.state
	lap := s.Lap
	v.driver.press(s, v.road, &v.cycle)

	before := s.Distance
	s.drive(v.road.slope(s))
	middle := (before + s.Distance) / 2
	v.place.move(s.Distance-before, v.road.at(middle).direction(middle))

	v.cycle.advance(s, v.road, v.random.Float64)
	if s.Lap != lap {
		// The lane is straight here; this keeps rounding from adding up.
		v.place = place{east: s.Distance}
	}
	s.climate()
	s.discharge()
	v.sense()
	v.steps++
	s.Elapsed = float64(v.steps) * step
}

// sense brings up to date what follows from where the car is.
func (v *Vehicle) sense() {
	s := &v.state
	lane := v.road.at(s.Distance)
	s.steer(lane.bend(s.Distance), v.random.Float64)
	s.locate(v.place, lane.direction(s.Distance), lane.height(s.Distance), lane.tunnel)
	s.weather(lane.tunnel)
	s.warmTyres()
	s.light(&v.cycle, v.road)
}
