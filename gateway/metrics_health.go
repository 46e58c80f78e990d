package gateway

import "github.com/fascia-edge/fascia/canbus/health"

// health has a series a bus and state, however many messages and signals there
// are.
func (m metrics) health(s health.Status) {
	for _, b := range s.Buses {
		m := m.of("bus", b.Bus)
		for _, state := range health.MessageStates {
			m.gauge("fascia_can_messages", "Messages that are watched, by state.", float64(b.Messages[state]), "state", string(state))
		}
		for _, state := range health.SignalStates {
			m.gauge("fascia_can_signals", "Mapped signals, by state.", float64(b.Signals[state]), "state", string(state))
		}
		m.counter("fascia_can_miscounts_total", "Frames whose alive counter did not rise by one.", b.Miscounts)
	}
}
