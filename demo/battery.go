package demo

import "math"

// The traction battery: 96 cells in series, two in parallel.
const (
	cells      = 96.0
	cellEmpty  = 3.35         // V with no load, at 0 %
	cellFull   = 4.12         // V, at 100 %
	capacity   = 165.0 * 3600 // C
	inner      = 0.07         // ohm of the pack
	packHeat   = 320e3        // J/K
	packCooler = 220.0        // W/K to the air

	auxiliaries  = 320.0 // W of computers, lamps and pumps while switched on
	asleep       = 15.0  // W while not
	chargerPower = 130e3 // W
	chargerRise  = 40e3  // W/s, as the charger starts
	consumption  = 560.0 // J/m on average, for the range
)

// fullEnergy is what a full battery holds, in J.
const fullEnergy = cells * (cellEmpty + cellFull) / 2 * capacity

// openVoltage is the pack's voltage without a load, in V.
func openVoltage(charge float64) float64 {
	return cells * (cellEmpty + (cellFull-cellEmpty)*charge)
}

// discharge draws what the motor, the climate control and the rest take out of
// the battery for one step, or puts in what motor and charger give.
func (s *State) discharge() {
	s.Contactor = s.Power == On || s.Charging
	power := asleep
	if s.Power != Off {
		power = auxiliaries
	}
	if s.Power == On {
		power += s.MotorPower + motorLoss(s.MotorTorque, math.Abs(s.MotorSpeed)*radPerSec) + s.ClimatePower
	}
	s.charge()
	power -= s.ChargingPower

	// P = (U0 − R·I)·I, solved for the smaller current.
	open := openVoltage(s.StateOfCharge)
	out := (open - math.Sqrt(open*open-4*inner*power)) / (2 * inner)
	s.PackCurrent = -out
	s.PackVoltage = open - inner*out
	s.StateOfCharge -= out * step / capacity
	s.RemainingEnergy = s.StateOfCharge * fullEnergy
	s.Range = s.RemainingEnergy / consumption
	s.PackTemperature += step / packHeat * (inner*out*out - packCooler*(s.PackTemperature-s.OutsideTemperature))

	supply := 12.6
	if s.Contactor {
		supply = 14.3
	}
	s.SupplyVoltage += (supply - s.SupplyVoltage) * step / 1.5
}

// charge lets the charger's power rise to its full height, or cuts it off.
func (s *State) charge() {
	if !s.Charging {
		s.ChargingPower = 0
		return
	}
	s.ChargingPower = min(s.ChargingPower+chargerRise*step, chargerPower)
}
