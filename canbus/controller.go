package canbus

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// controller follows what the error frames of a bus tell of its CAN controller.
// The bus's goroutine reports; anyone may read the counters.
type controller struct {
	log    *slog.Logger
	health *health
	logged int64 // moment of the last line, by CLOCK_BOOTTIME
	counts [errorKinds]atomic.Uint64
}

// What error frames tell, as the metrics name it.
const (
	errorBusOff = iota
	errorRestarted
	errorNoAck
	errorProtocol
	errorOnBus
	errorLostArbitration
	errorSendTimeout
	errorTransceiver
	errorOverflow
	errorKinds
)

// ErrorKinds name what BusStatus.Errors counts.
var ErrorKinds = [errorKinds]string{"bus_off", "restarted", "no_acknowledgement", "protocol", "bus_error",
	"arbitration_lost", "send_timeout", "transceiver", "controller_overflow"}

// logEvery bounds the lines of a controller that goes to and fro: a loose plug
// changes its state hundreds of times a second.
const logEvery = int64(time.Second)

// report takes an error frame that came at boot.
func (c *controller) report(fr *can.Frame, boot int64) {
	r := can.ReadReport(fr)
	for kind, is := range [errorKinds]bool{
		r.State == can.StateBusOff, r.Restarted, r.NoAck, r.Protocol, r.BusError,
		r.LostArbitration, r.SendTimeout, r.Transceiver, r.Overflow,
	} {
		if is {
			c.counts[kind].Add(1)
		}
	}
	state := stateOf(r.State)
	if state == "" || !c.health.set(state, r.String()) || boot-c.logged < logEvery && c.logged != 0 {
		return
	}
	c.logged = boot
	level := slog.LevelWarn
	if r.State == can.StateActive {
		level = slog.LevelInfo
	}
	c.log.Log(context.Background(), level, "the controller's state has changed", "state", state, "reason", r.String())
}

// stateOf is the state on health/bus/<bus>, "" if none was told.
func stateOf(s can.State) string {
	switch s {
	case can.StateActive:
		return busActive
	case can.StateWarning:
		return busWarning
	case can.StatePassive:
		return busPassive
	case can.StateBusOff:
		return busOff
	}
	return ""
}

// errors are the counters that are not 0, by kind.
func (c *controller) errors() map[string]uint64 {
	var found map[string]uint64
	for kind := range c.counts {
		if n := c.counts[kind].Load(); n > 0 {
			if found == nil {
				found = map[string]uint64{}
			}
			found[ErrorKinds[kind]] = n
		}
	}
	return found
}
