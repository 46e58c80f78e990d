package can

import (
	"fmt"
	"strings"
)

// State is how a controller takes part in its bus (ISO 11898-1, fault
// confinement), as far as an error frame tells.
type State uint8

// The states, from best to worst.
const (
	StateUntold  State = iota // the error frame doesn't tell one
	StateActive               // error active: as it should be
	StateWarning              // an error counter is at 96 or more
	StatePassive              // error passive, a counter at 128 or more: it may no longer stop a faulty frame
	StateBusOff               // off the bus: it neither sends nor receives
)

// Report is what an error frame of Linux says (linux/can/error.h). One frame may
// say several things at once.
type Report struct {
	State     State
	Restarted bool // the controller was started again after a bus-off

	LostArbitration bool // a frame of a higher priority went first
	NoAck           bool // no other node acknowledged: none is there, or none listens
	Protocol        bool // a bit, form, stuff or CRC error
	BusError        bool // an error on the bus of any kind
	SendTimeout     bool // the driver gave up sending a frame
	Transceiver     bool // the transceiver tells of a broken wire or a short circuit
	Overflow        bool // the controller lost frames: it was not read in time

	// TxErrors and RxErrors are the controller's error counters, valid with
	// HasCounters. Many drivers give none.
	HasCounters        bool
	TxErrors, RxErrors uint8
}

// Error classes, in the identifier of an error frame.
const (
	classTxTimeout   = 0x001
	classLostArb     = 0x002
	classController  = 0x004 // details in data byte 1
	classProtocol    = 0x008 // bytes 2 and 3
	classTransceiver = 0x010 // byte 4
	classNoAck       = 0x020
	classBusOff      = 0x040
	classBusError    = 0x080
	classRestarted   = 0x100
	classCounters    = 0x200 // bytes 6 and 7; since Linux 6.0
)

// Details of classController.
const (
	detailOverflow = 0x01 | 0x02
	detailWarning  = 0x04 | 0x08
	detailPassive  = 0x10 | 0x20
	detailActive   = 0x40
)

// ReadReport reads an error frame. Of a frame that is none it reads nothing.
func ReadReport(fr *Frame) Report {
	var r Report
	if !fr.Has(Error) {
		return r
	}
	has := func(class uint32) bool { return fr.ID&class != 0 }
	r.SendTimeout = has(classTxTimeout)
	r.LostArbitration = has(classLostArb)
	r.Protocol = has(classProtocol)
	r.Transceiver = has(classTransceiver)
	r.NoAck = has(classNoAck)
	r.BusError = has(classBusError)
	r.Restarted = has(classRestarted)
	if has(classController) {
		r.Overflow = fr.Data[1]&detailOverflow != 0
		r.State = controllerState(fr.Data[1])
	}
	switch {
	case has(classBusOff):
		r.State = StateBusOff
	case r.Restarted && r.State == StateUntold:
		r.State = StateActive // its error counters begin at 0
	}
	if has(classCounters) {
		r.HasCounters, r.TxErrors, r.RxErrors = true, fr.Data[6], fr.Data[7]
	}
	return r
}

// controllerState is the worst that the details tell: each direction has a
// counter of its own.
func controllerState(details byte) State {
	switch {
	case details&detailPassive != 0:
		return StatePassive
	case details&detailWarning != 0:
		return StateWarning
	case details&detailActive != 0:
		return StateActive
	}
	return StateUntold
}

// String lists what the report says, such as "no acknowledgement, error counters
// 128 sending and 0 receiving". The state is not among it.
func (r Report) String() string {
	var said []string
	for _, s := range []struct {
		is   bool
		text string
	}{
		{r.Restarted, "restarted"},
		{r.NoAck, "no acknowledgement"},
		{r.Protocol, "protocol error"},
		{r.BusError, "bus error"},
		{r.LostArbitration, "lost arbitration"},
		{r.SendTimeout, "sending timed out"},
		{r.Transceiver, "transceiver fault"},
		{r.Overflow, "the controller lost frames"},
	} {
		if s.is {
			said = append(said, s.text)
		}
	}
	if r.HasCounters {
		said = append(said, fmt.Sprintf("error counters %d sending and %d receiving", r.TxErrors, r.RxErrors))
	}
	return strings.Join(said, ", ")
}
