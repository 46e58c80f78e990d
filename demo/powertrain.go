package demo

import "math"

// The car: a compact hatchback with one motor at the front axle.
const (
	mass      = 1840.0      // kg, with two people
	inertia   = mass * 1.04 // kg, with what turns
	dragArea  = 0.61        // m², drag coefficient times frontal area
	airWeight = 1.2         // kg/m³
	rolling   = 0.0095      // coefficient of rolling resistance
	gravity   = 9.81        // m/s²

	wheelRadius = 0.331                   // m
	reduction   = 9.7                     // motor turns for one of the wheels
	wheelForce  = reduction / wheelRadius // N at the road for each Nm of the motor
	fullBraking = 9.0 * mass              // N, brake pedal fully pressed
	maxTorque   = 310.0                   // Nm
	maxPower    = 150e3                   // W
	lifting     = 0.9 * mass / wheelForce // Nm of regeneration with no pedal pressed
	maxRegen    = 130.0                   // Nm
	regenPower  = 70e3                    // W
	regenFrom   = 1.5                     // m/s, below which regeneration fades
	radPerSec   = 2 * math.Pi / 60        // rad/s for each 1/min
	motorHeat   = 42e3                    // J/K of motor and inverter
	motorCooler = 130.0                   // W/K to the coolant, which is a little above the air
	coolantRise = 8.0                     // K
)

// resistance is the force of air, tyres and slope at a speed, in N.
func resistance(speed, gradient float64) float64 {
	air := airWeight / 2 * dragArea * speed * speed
	tyres := rolling * mass * gravity
	if speed == 0 {
		tyres = 0
	}
	return air + tyres + mass*gravity*gradient
}

// motorSpeed is the motor's angular speed at a road speed, in rad/s.
func motorSpeed(speed float64) float64 { return speed / wheelRadius * reduction }

// fullTorque is what the motor can give at an angular speed, in Nm.
func fullTorque(motor float64) float64 {
	return min(maxTorque, maxPower/max(motor, 1))
}

// regenTorque is what the motor may brake with at an angular speed, in Nm.
func regenTorque(motor float64) float64 {
	fade := min(motor/motorSpeed(regenFrom), 1)
	return min(maxRegen, regenPower/max(motor, 1)) * fade
}

// liftTorque is what it brakes with when no pedal is pressed, in Nm.
func liftTorque(motor float64) float64 { return min(lifting, regenTorque(motor)) }

// drive moves the car by one step as the pedals, the gear and the slope say.
func (s *State) drive(gradient float64) {
	motor := motorSpeed(s.Speed)
	torque, friction := 0.0, 0.0
	if s.Power == On && s.Gear != Park && s.Gear != Neutral {
		lifted := liftTorque(motor)
		torque = s.Accelerator*(fullTorque(motor)+lifted) - lifted
	}
	if s.Brake > 0 {
		// The motor takes what it can of the braking, the discs the rest.
		braked := s.Brake * fullBraking
		if torque < 0 {
			more := min(braked/wheelForce, regenTorque(motor)+torque)
			torque -= more
			braked -= more * wheelForce
		}
		friction = braked
	}
	s.roll(torque, friction, gradient)

	s.MotorTorque = torque
	s.MotorPower = torque * motorSpeed(s.Speed)
	s.MotorSpeed = s.direction() * motorSpeed(s.Speed) / radPerSec
	heat := 0.0
	if s.Power == On {
		heat = motorLoss(torque, motor)
	}
	s.MotorTemperature += step / motorHeat * (heat - motorCooler*(s.MotorTemperature-s.OutsideTemperature-coolantRise))
}

// roll turns forces into motion. Brakes and the park lock stop the car but
// never push it back.
func (s *State) roll(torque, friction, gradient float64) {
	force := torque*wheelForce - friction - resistance(s.Speed, gradient)
	before := s.Speed
	s.Speed = max(before+force/inertia*step, 0)
	if before == 0 && (s.Gear == Park || s.ParkingBrake || friction > torque*wheelForce) {
		s.Speed = 0
	}
	moved := (before + s.Speed) / 2 * step
	s.Odometer += moved
	s.Distance += moved * s.direction()
	s.LongitudinalAcceleration = (s.Speed - before) / step * s.direction()
}

// motorLoss is what motor, inverter and gears turn into heat, in W: windings by
// the square of the torque, iron, switching and oil by the speed.
func motorLoss(torque, motor float64) float64 {
	return 0.045*torque*torque + 0.75*motor + 60
}
