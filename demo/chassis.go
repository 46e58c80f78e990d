package demo

import "math"

const (
	wheelbase     = 2.68   // m
	track         = 1.56   // m between the wheels of an axle
	steeringRatio = 14.6   // steering wheel to road wheel
	understeer    = 0.0022 // rad of road wheel for each m/s² sideways

	airPressure  = 101.3 // kPa
	tyreCold     = 20.0  // °C, at which the tyres were filled
	tyreWarming  = 420.0 // s until a tyre has taken on 63 % of its warmth
	tyreFriction = 0.42  // K above the air for each m/s

	// What the inertial sensors add to the truth, at most.
	accelerationNoise = 0.015 // m/s²
	yawNoise          = 0.05  // degrees/s
)

// tyreFilled is each tyre's pressure above the air's at tyreCold, in kPa; one
// could do with a little more.
var tyreFilled = [4]float64{242, 243, 236, 228}

// steer follows the lane: where the steering wheel is, what the sensors feel,
// how fast each wheel turns. random is in [0, 1).
func (s *State) steer(curvature float64, random func() float64) {
	velocity := s.Speed * s.direction()
	sideways := velocity * velocity * curvature
	wheel := math.Atan(wheelbase*curvature) + understeer*sideways
	angle := wheel * steeringRatio * 180 / math.Pi
	s.SteeringRate = (angle - s.SteeringAngle) / step
	s.SteeringAngle = angle

	s.LongitudinalAcceleration += accelerationNoise * (2*random() - 1)
	s.LateralAcceleration = sideways + accelerationNoise*(2*random()-1)
	s.YawRate = velocity*curvature*180/math.Pi + yawNoise*(2*random()-1)

	for i := range s.WheelSpeed {
		side := track / 2 // of the middle of the car, positive to the right
		if i == FrontLeft || i == RearLeft {
			side = -side
		}
		along := 1 + curvature*side
		if i == FrontLeft || i == FrontRight {
			along = math.Hypot(along, curvature*wheelbase) // front wheels run on a wider arc
		}
		s.WheelSpeed[i] = s.Speed * along
	}
}

// warmTyres lets tyres warm up with speed; a warmer one has a higher pressure,
// by the ideal gas law.
func (s *State) warmTyres() {
	const kelvin = 273.15
	target := s.OutsideTemperature + tyreFriction*s.Speed
	for i := range s.TyreTemperature {
		s.TyreTemperature[i] += (target - s.TyreTemperature[i]) * step / tyreWarming
		s.TyrePressure[i] = (tyreFilled[i]+airPressure)*(s.TyreTemperature[i]+kelvin)/(tyreCold+kelvin) - airPressure
	}
}
