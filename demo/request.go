package demo

import (
	"fmt"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

const (
	// gatewayNode is the node of the DBC that stands for Fascia: its messages are
	// requests, which the ECUs receive.
	gatewayNode = "GTW"
	climateAsk  = "GTW_Climate"
	setPointAsk = "SetPointRequest"

	// mostRequests is how many frames may wait for the next step; more are lost,
	// as in a controller whose mailbox is full.
	mostRequests = 16
)

// climateRequest is what the climate control is asked for.
type climateRequest struct {
	message  *dbc.Message
	setPoint *dbc.Signal
	counter  *dbc.Signal
	checksum *dbc.Signal

	values []dbc.Value
	last   float64 // counter of the newest request, -1 before the first
}

func newClimateRequest(db *dbc.Database) (*climateRequest, error) {
	for _, m := range db.Messages {
		if m.Name != climateAsk {
			continue
		}
		r := &climateRequest{message: m, last: -1}
		for _, s := range m.Signals {
			switch s.Name {
			case setPointAsk:
				r.setPoint = s
			case aliveCounter:
				r.counter = s
			case checksum:
				r.checksum = s
			}
		}
		if r.setPoint != nil && r.counter != nil && r.checksum != nil {
			return r, nil
		}
	}
	return nil, fmt.Errorf("demo: %s has no message %s with %s, %s and %s", db.File, climateAsk, setPointAsk, aliveCounter, checksum)
}

// take sets what the frame asks for. As in a car, a frame that is damaged, or
// whose counter stands still, changes nothing.
func (r *climateRequest) take(fr *can.Frame, s *State) {
	if fr.ID != r.message.ID || fr.Has(can.Extended) != r.message.Extended {
		return
	}
	var err error
	if r.values, err = r.message.Decode(fr, r.values[:0]); err != nil {
		return
	}
	value := map[*dbc.Signal]float64{}
	for _, v := range r.values {
		value[v.Signal] = v.Physical
	}
	if value[r.checksum] != float64(protect(fr.ID, fr.Bytes(), r.checksum.Start/8)) || value[r.counter] == r.last {
		return
	}
	r.last = value[r.counter]
	if asked := value[r.setPoint]; asked >= r.setPoint.Min && asked <= r.setPoint.Max {
		s.SetPoint = asked
	}
}

// Receive gives the ECUs a frame from the bus; it shows in what they send after
// the next Step. It may be called by another goroutine than the one that drives,
// and never blocks.
func (v *Vehicle) Receive(fr can.Frame) {
	select {
	case v.inbox <- fr:
	default:
	}
}

// receive is what the ECUs do with the frames that have come.
func (v *Vehicle) receive() {
	for {
		select {
		case fr := <-v.inbox:
			v.climate.take(&fr, &v.state)
		default:
			return
		}
	}
}
