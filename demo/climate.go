package demo

const (
	cabinHeat = 62e3  // J/K of air and trim
	cabinLeak = 45.0  // W/K through walls and vents
	doorLeak  = 260.0 // W/K through an open door
	sunshine  = 620.0 // W through the windows

	coolingGain = 950.0 // W for each K too warm
	coolingMost = 5200.0
	coolingCOP  = 2.6   // heat moved for each joule the compressor takes
	fanPower    = 180.0 // W at full speed
	fanLeast    = 0.2

	airAtStart   = 23.5   // °C
	airByHeight  = 0.0065 // K cooler for each m of altitude
	airInTunnel  = 2.5    // K cooler
	sensorLag    = 25.0   // s of the outside temperature sensor
	brightDay    = 0.86
	tunnelLamps  = 0.06
	eyeLag       = 0.8  // s of the brightness sensor
	beamsOnBelow = 0.35 // brightness
)

// weather is what the sensors outside see where the car is.
func (s *State) weather(tunnel bool) {
	air := airAtStart - airByHeight*(s.Altitude-startAltitude)
	light := brightDay
	if tunnel {
		air -= airInTunnel
		light = tunnelLamps
	}
	s.OutsideTemperature += (air - s.OutsideTemperature) * step / sensorLag
	s.Brightness += (light - s.Brightness) * step / eyeLag
}

// climate brings the cabin towards the set point while the car is on, and lets
// it go towards sun and air otherwise.
func (s *State) climate() {
	leak := cabinLeak
	for _, open := range s.DoorOpen {
		if open {
			leak += doorLeak
		}
	}
	heat := leak*(s.OutsideTemperature-s.CabinTemperature) + sunshine

	s.Fan, s.ClimatePower, s.Cooling = 0, 0, false
	if s.Power == On {
		excess := s.CabinTemperature - s.SetPoint
		cooling := min(max(coolingGain*excess, 0), coolingMost)
		s.Cooling = cooling > 0
		s.Fan = min(fanLeast+max(excess, 0)/6, 1)
		s.ClimatePower = cooling/coolingCOP + fanPower*s.Fan
		heat -= cooling
	}
	s.CabinTemperature += heat / cabinHeat * step
}
