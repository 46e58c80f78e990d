package demo

// Gear is a position of the selector, numbered as the Vehicle Signal
// Specification numbers Vehicle.Powertrain.Transmission.SelectedGear.
type Gear int8

// Positions of the selector.
const (
	Reverse Gear = -1
	Neutral Gear = 0
	Park    Gear = 126
	Drive   Gear = 127
)

// Power is what the driver has switched on.
type Power uint8

// States of power, in the order of the DBC's value table.
const (
	Off Power = iota
	Accessory
	On
)

// Seats, doors and wheels are counted in this order.
const (
	FrontLeft = iota // the driver's side
	FrontRight
	RearLeft
	RearRight
)

// State is everything there is to know about the car at one moment, as its
// sensors would tell it. It holds no pointers: a copy is a snapshot.
type State struct {
	// Elapsed is the time simulated so far, in s.
	Elapsed float64
	// Lap counts the laps finished.
	Lap int

	// Distance is the way from the start of the route in this lap, in m; a
	// little below 0 while the car backs away from its parking place.
	Distance float64
	// Speed is never negative, in m/s: the gear tells the direction.
	Speed float64
	// Odometer is the distance driven in the car's life, both ways, in m.
	Odometer float64
	// LongitudinalAcceleration is positive forwards, in m/s².
	LongitudinalAcceleration float64
	// LateralAcceleration is positive to the left, in m/s².
	LateralAcceleration float64
	// YawRate is positive turning left, in degrees/s.
	YawRate float64
	// SteeringAngle is the steering wheel's, positive to the left, in degrees;
	// SteeringRate is its change, in degrees/s.
	SteeringAngle, SteeringRate float64
	// WheelSpeed is each wheel's at its rim, in m/s.
	WheelSpeed [4]float64
	// TyrePressure is above the air's, in kPa; TyreTemperature in °C.
	TyrePressure, TyreTemperature [4]float64

	// Latitude and Longitude are WGS 84, in degrees.
	Latitude, Longitude float64
	// Altitude is in m, Heading clockwise from north in degrees, from 0 to 360.
	Altitude, Heading float64
	// Satellites are those in view: none in the tunnel.
	Satellites int

	// Power is what is switched on; the car drives in On only.
	Power Power
	// Gear is the selector's position.
	Gear Gear
	// Accelerator and Brake are how far the pedals are pressed, from 0 to 1.
	Accelerator, Brake float64
	// ParkingBrake tells whether it holds.
	ParkingBrake bool

	// MotorSpeed is in 1/min, negative in reverse.
	MotorSpeed float64
	// MotorTorque in Nm and MotorPower in W are negative while the motor brakes.
	MotorTorque, MotorPower float64
	// MotorTemperature is in °C.
	MotorTemperature float64

	// PackVoltage is in V.
	PackVoltage float64
	// PackCurrent is positive into the battery, in A.
	PackCurrent float64
	// StateOfCharge is from 0 to 1, RemainingEnergy in J.
	StateOfCharge, RemainingEnergy float64
	// PackTemperature is the average of the cells, in °C.
	PackTemperature float64
	// Contactor tells whether the battery is connected.
	Contactor bool
	// Cable and Charging tell whether a charger is plugged in, and whether it
	// gives ChargingPower, in W.
	Cable, Charging bool
	ChargingPower   float64
	// Range is what the energy left is good for, in m.
	Range float64
	// SupplyVoltage is the 12 V network's, in V.
	SupplyVoltage float64

	// DoorOpen and Belted are by door and by seat.
	DoorOpen, Belted [4]bool
	// Locked holds for all doors.
	Locked bool
	// IndicatorLeft and IndicatorRight are set while one is switched on, whether
	// its lamp is lit at the moment or not.
	IndicatorLeft, IndicatorRight bool
	// LowBeam, RunningLight, BackupLight and BrakeLight are the lamps.
	LowBeam, RunningLight, BackupLight, BrakeLight bool
	// Brightness is the light outside, from 0 to 1.
	Brightness float64

	// CabinTemperature, OutsideTemperature and SetPoint are in °C.
	CabinTemperature, OutsideTemperature, SetPoint float64
	// Fan is from 0 to 1.
	Fan float64
	// Cooling tells whether the air conditioning runs; ClimatePower is what it
	// and the fan take, in W.
	Cooling      bool
	ClimatePower float64
}

// Moving tells whether the wheels turn.
func (s *State) Moving() bool { return s.Speed > 0 }

// direction is +1 forwards and -1 in reverse.
func (s *State) direction() float64 {
	if s.Gear == Reverse {
		return -1
	}
	return 1
}
