package demo

// signals tells for each signal in vehicle.dbc where its physical value comes
// from. Counters, checksums and multiplexers are the ECU's own affair.
var signals = map[string]func(*State) float64{
	"ESP_Motion.VehicleSpeed":             func(s *State) float64 { return kmh(s.Speed) },
	"ESP_Motion.LongitudinalAcceleration": func(s *State) float64 { return s.LongitudinalAcceleration },
	"ESP_Motion.LateralAcceleration":      func(s *State) float64 { return s.LateralAcceleration },
	"ESP_Motion.YawRate":                  func(s *State) float64 { return s.YawRate },

	"MCU_Motor.MotorSpeed":       func(s *State) float64 { return s.MotorSpeed },
	"MCU_Motor.MotorTorque":      func(s *State) float64 { return s.MotorTorque },
	"MCU_Motor.MotorPower":       func(s *State) float64 { return s.MotorPower / 1000 },
	"MCU_Motor.MotorTemperature": func(s *State) float64 { return s.MotorTemperature },
	"MCU_Motor.MotorState":       motorState,

	"EPS_Steering.SteeringAngle": func(s *State) float64 { return s.SteeringAngle },
	"EPS_Steering.SteeringRate":  func(s *State) float64 { return s.SteeringRate },

	"VCU_Drive.AcceleratorPedal": func(s *State) float64 { return percent(s.Accelerator) },
	"VCU_Drive.BrakePedal":       func(s *State) float64 { return percent(s.Brake) },
	"VCU_Drive.SelectedGear":     func(s *State) float64 { return float64(s.Gear) },
	"VCU_Drive.PowerState":       func(s *State) float64 { return float64(s.Power) },
	"VCU_Drive.ParkingBrake":     func(s *State) float64 { return bit(s.ParkingBrake) },
	"VCU_Drive.BrakeLight":       func(s *State) float64 { return bit(s.BrakeLight) },

	"ESP_Wheels.WheelSpeedFL": func(s *State) float64 { return kmh(s.WheelSpeed[FrontLeft]) },
	"ESP_Wheels.WheelSpeedFR": func(s *State) float64 { return kmh(s.WheelSpeed[FrontRight]) },
	"ESP_Wheels.WheelSpeedRL": func(s *State) float64 { return kmh(s.WheelSpeed[RearLeft]) },
	"ESP_Wheels.WheelSpeedRR": func(s *State) float64 { return kmh(s.WheelSpeed[RearRight]) },

	"BMS_Pack.PackVoltage":    func(s *State) float64 { return s.PackVoltage },
	"BMS_Pack.PackCurrent":    func(s *State) float64 { return s.PackCurrent },
	"BMS_Pack.Charging":       func(s *State) float64 { return bit(s.Charging) },
	"BMS_Pack.ChargingCable":  func(s *State) float64 { return bit(s.Cable) },
	"BMS_Pack.ContactorState": func(s *State) float64 { return 2 * bit(s.Contactor) },

	"BCM_Body.DoorFrontLeft":     func(s *State) float64 { return bit(s.DoorOpen[FrontLeft]) },
	"BCM_Body.DoorFrontRight":    func(s *State) float64 { return bit(s.DoorOpen[FrontRight]) },
	"BCM_Body.DoorRearLeft":      func(s *State) float64 { return bit(s.DoorOpen[RearLeft]) },
	"BCM_Body.DoorRearRight":     func(s *State) float64 { return bit(s.DoorOpen[RearRight]) },
	"BCM_Body.DoorsLocked":       func(s *State) float64 { return bit(s.Locked) },
	"BCM_Body.BeltFrontLeft":     func(s *State) float64 { return bit(s.Belted[FrontLeft]) },
	"BCM_Body.BeltFrontRight":    func(s *State) float64 { return bit(s.Belted[FrontRight]) },
	"BCM_Body.BeltRearLeft":      func(s *State) float64 { return bit(s.Belted[RearLeft]) },
	"BCM_Body.BeltRearRight":     func(s *State) float64 { return bit(s.Belted[RearRight]) },
	"BCM_Body.IndicatorLeft":     func(s *State) float64 { return bit(s.IndicatorLeft) },
	"BCM_Body.IndicatorRight":    func(s *State) float64 { return bit(s.IndicatorRight) },
	"BCM_Body.LowBeam":           func(s *State) float64 { return bit(s.LowBeam) },
	"BCM_Body.RunningLight":      func(s *State) float64 { return bit(s.RunningLight) },
	"BCM_Body.BackupLight":       func(s *State) float64 { return bit(s.BackupLight) },
	"BCM_Body.OutsideBrightness": func(s *State) float64 { return percent(s.Brightness) },

	"BMS_State.StateOfCharge":          func(s *State) float64 { return percent(s.StateOfCharge) },
	"BMS_State.RemainingEnergy":        func(s *State) float64 { return s.RemainingEnergy / 3.6e6 },
	"BMS_State.PackTemperatureMin":     func(s *State) float64 { return s.PackTemperature - coldestCell },
	"BMS_State.PackTemperatureAverage": func(s *State) float64 { return s.PackTemperature },
	"BMS_State.PackTemperatureMax":     func(s *State) float64 { return s.PackTemperature + warmestCell },
	"BMS_State.StateOfHealth":          func(*State) float64 { return stateOfHealth },

	"HVAC_Climate.CabinTemperature":   func(s *State) float64 { return s.CabinTemperature },
	"HVAC_Climate.OutsideTemperature": func(s *State) float64 { return s.OutsideTemperature },
	"HVAC_Climate.SetPointDriver":     func(s *State) float64 { return s.SetPoint },
	"HVAC_Climate.FanSpeed":           func(s *State) float64 { return percent(s.Fan) },
	"HVAC_Climate.AirConditioning":    func(s *State) float64 { return bit(s.Cooling) },
	"HVAC_Climate.ClimatePower":       func(s *State) float64 { return s.ClimatePower },

	"ESP_Tyres.TyrePressureFL":    func(s *State) float64 { return s.TyrePressure[FrontLeft] / 100 },
	"ESP_Tyres.TyreTemperatureFL": func(s *State) float64 { return s.TyreTemperature[FrontLeft] },
	"ESP_Tyres.TyrePressureFR":    func(s *State) float64 { return s.TyrePressure[FrontRight] / 100 },
	"ESP_Tyres.TyreTemperatureFR": func(s *State) float64 { return s.TyreTemperature[FrontRight] },
	"ESP_Tyres.TyrePressureRL":    func(s *State) float64 { return s.TyrePressure[RearLeft] / 100 },
	"ESP_Tyres.TyreTemperatureRL": func(s *State) float64 { return s.TyreTemperature[RearLeft] },
	"ESP_Tyres.TyrePressureRR":    func(s *State) float64 { return s.TyrePressure[RearRight] / 100 },
	"ESP_Tyres.TyreTemperatureRR": func(s *State) float64 { return s.TyreTemperature[RearRight] },

	"VCU_Totals.Odometer":      func(s *State) float64 { return s.Odometer / 1000 },
	"VCU_Totals.Range":         func(s *State) float64 { return s.Range / 1000 },
	"VCU_Totals.SupplyVoltage": func(s *State) float64 { return s.SupplyVoltage },

	"GNSS_Position.Latitude":  func(s *State) float64 { return s.Latitude },
	"GNSS_Position.Longitude": func(s *State) float64 { return s.Longitude },
	"GNSS_Motion.Heading":     func(s *State) float64 { return s.Heading },
	"GNSS_Motion.Altitude":    func(s *State) float64 { return s.Altitude },
	"GNSS_Motion.GroundSpeed": func(s *State) float64 { return kmh(s.Speed) },
	"GNSS_Motion.Satellites":  func(s *State) float64 { return float64(s.Satellites) },
	"GNSS_Motion.FixType":     fixType,
}

const (
	// The coldest and the warmest cell differ this much from the average, in K.
	coldestCell, warmestCell = 1.5, 2.0
	// stateOfHealth is what a nearly new battery has left, in %.
	stateOfHealth = 97.5
)

// motorState numbers what the motor does as the DBC's value table has it.
func motorState(s *State) float64 {
	switch {
	case s.Power != On:
		return 0
	case s.MotorTorque > 0:
		return 2
	case s.MotorTorque < 0:
		return 3
	}
	return 1
}

// fixType is 2, a position in three dimensions, under an open sky, else 0.
func fixType(s *State) float64 { return 2 * bit(s.Satellites > 0) }

func kmh(speed float64) float64    { return speed * 3.6 }
func percent(part float64) float64 { return part * 100 }

func bit(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
