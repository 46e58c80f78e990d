package demo

import (
	"fmt"
	"slices"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/dbc"
	democonfig "github.com/fascia-edge/fascia/configs/demo"
)

// Signals with these names are not measured: a message that has them counts its
// frames and guards them, as safety asks (ISO 26262-5 table D.6).
const (
	aliveCounter = "AliveCounter"
	checksum     = "Checksum"
)

// spread is how many steps the first frames of two messages of the same cycle
// time are apart, so that a second does not begin with all of them.
const spread = 3

// ecu is a control unit: the messages that it sends.
type ecu struct {
	name     string
	messages []*message
}

// message sends one message of the DBC in its cycle time.
type message struct {
	*dbc.Message
	every, first uint64 // steps
	frame        can.Frame
	outputs      []output
	counter      *dbc.Signal // nil without one
	checksum     *dbc.Signal // nil without one
	count        uint8

	multiplexer *dbc.Signal // nil if the message has one form only
	forms       []uint64    // values of the multiplexer, sent in turn
	turn        int
}

// output is a signal and where its value comes from.
type output struct {
	*dbc.Signal
	value func(*State) float64
}

// newECUs builds the control units that vehicle.dbc names as senders, and what
// they are asked by the gateway.
func newECUs() ([]*ecu, *climateRequest, error) {
	text, err := democonfig.Files.ReadFile(democonfig.DBC)
	if err != nil {
		return nil, nil, fmt.Errorf("demo: %w", err)
	}
	db, warnings, err := dbc.Parse(democonfig.DBC, text)
	if err != nil {
		return nil, nil, fmt.Errorf("demo: %w", err)
	}
	if len(warnings) > 0 {
		return nil, nil, fmt.Errorf("demo: %s", warnings[0])
	}
	var ecus []*ecu
	known := 0
	for i, m := range db.Messages {
		if m.Sender == gatewayNode {
			continue
		}
		msg, err := newMessage(m, uint64(i))
		if err != nil {
			return nil, nil, err
		}
		known += len(msg.outputs)
		at := slices.IndexFunc(ecus, func(e *ecu) bool { return e.name == m.Sender })
		if at < 0 {
			at = len(ecus)
			ecus = append(ecus, &ecu{name: m.Sender})
		}
		ecus[at].messages = append(ecus[at].messages, msg)
	}
	if known != len(signals) {
		return nil, nil, fmt.Errorf("demo: %s has %d of the %d signals that the ECUs can send", democonfig.DBC, known, len(signals))
	}
	request, err := newClimateRequest(db)
	return ecus, request, err
}

func newMessage(m *dbc.Message, index uint64) (*message, error) {
	if m.Cycle < Step || m.Cycle%Step != 0 {
		return nil, fmt.Errorf("demo: %s: message %s: cycle time %s: want a multiple of %s", m.Place, m.Name, m.Cycle, Step)
	}
	if m.Size > can.MaxData {
		return nil, fmt.Errorf("demo: %s: message %s has %d bytes: want at most %d", m.Place, m.Name, m.Size, can.MaxData)
	}
	msg := &message{Message: m, every: uint64(m.Cycle / Step)}
	msg.first = index * spread % msg.every
	msg.frame = can.Frame{ID: m.ID, Len: uint8(m.Size)}
	if m.Extended {
		msg.frame.Flags = can.Extended
	}
	for _, sig := range m.Signals {
		switch {
		case sig.Name == aliveCounter:
			msg.counter = sig
		case sig.Name == checksum:
			msg.checksum = sig
		case sig.Multiplexer:
			msg.multiplexer = sig
		default:
			value, ok := signals[m.Name+"."+sig.Name]
			if !ok {
				return nil, fmt.Errorf("demo: %s: no ECU can send signal %s.%s", sig.Place, m.Name, sig.Name)
			}
			msg.outputs = append(msg.outputs, output{sig, value})
		}
		if sig.Multiplexed && !slices.Contains(msg.forms, sig.MuxValue) {
			msg.forms = append(msg.forms, sig.MuxValue)
		}
	}
	return msg, nil
}

// send appends the frames that are due at a step.
func (e *ecu) send(frames []can.Frame, s *State, at uint64) []can.Frame {
	for _, m := range e.messages {
		if at%m.every == m.first {
			m.fill(s)
			frames = append(frames, m.frame)
		}
	}
	return frames
}

// fill puts the car's state into the frame.
func (m *message) fill(s *State) {
	m.frame.Data = [can.MaxDataFD]byte{}
	data := m.frame.Bytes()
	form := uint64(0)
	if m.multiplexer != nil {
		form = m.forms[m.turn]
		m.turn = (m.turn + 1) % len(m.forms)
		m.multiplexer.Encode(data, float64(form))
	}
	for _, out := range m.outputs {
		if !out.Multiplexed || out.MuxValue == form {
			out.Encode(data, out.value(s))
		}
	}
	if m.counter != nil {
		m.counter.Encode(data, float64(m.count))
		m.count = (m.count + 1) % (1 << m.counter.Length)
	}
	if m.checksum != nil {
		m.checksum.Encode(data, float64(protect(m.ID, data, m.checksum.Start/8)))
	}
}
