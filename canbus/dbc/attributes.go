package dbc

import (
	"slices"
	"strconv"
	"time"
)

// Attributes that mean something here. Editors define others at will.
const (
	cycleTime    = "GenMsgCycleTime"  // milliseconds
	sendType     = "GenMsgSendType"   // enumerated
	startValue   = "GenSigStartValue" // raw
	formatOf     = "VFrameFormat"     // enumerated
	busType      = "BusType"
	protocolType = "ProtocolType"
)

// attributes are those of a message, or the defaults of all; nil is not stated.
type attributes struct {
	cycle, start     *value
	sendType, format *value
}

// value is an attribute's value, a number or a text.
type value struct {
	text   string
	number float64
	isText bool
}

// attribute reads BA_DEF_ [BU_|BO_|SG_|EV_] "name" type …, of which only the
// texts of enumerations are kept.
func (r *reader) attribute(start int) *fault {
	r.space()
	r.word() // the kind of object
	name, err := r.quoted()
	if err != nil {
		return err
	}
	r.space()
	if r.word() != "ENUM" {
		return r.ignored(start)
	}
	var texts []string
	for {
		text, err := r.quoted()
		if err != nil {
			return err
		}
		texts = append(texts, text)
		if r.space(); !r.accept(',') {
			r.enums[name] = texts
			return nil
		}
	}
}

// attributeDefault reads BA_DEF_DEF_ "name" value.
func (r *reader) attributeDefault(int) *fault {
	name, err := r.quoted()
	if err != nil {
		return err
	}
	v, err := r.value()
	if err != nil {
		return err
	}
	r.later = append(r.later, func() {
		r.network(name, v)
		r.defaults.set(name, v)
	})
	return nil
}

// attributeValue reads BA_ "name" [BU_ node | BO_ id | SG_ id signal | EV_ name] value.
func (r *reader) attributeValue(int) *fault {
	name, err := r.quoted()
	if err != nil {
		return err
	}
	r.space()
	var o object
	if c := r.peek(); 'A' <= c && c <= 'Z' {
		if o, err = r.object(); err != nil {
			return err
		}
	}
	v, err := r.value()
	if err != nil {
		return err
	}
	r.later = append(r.later, func() {
		switch m, s := r.find(o.id, o.name); {
		case o.kind == "":
			r.network(name, v)
		case o.kind == "BO_" && m != nil:
			m.stated.set(name, v)
		case o.kind == "SG_" && s != nil && name == startValue:
			s.Initial, s.HasInitial = v.number, true // raw still
		}
	})
	return nil
}

func (r *reader) value() (v value, err *fault) {
	r.space()
	if r.peek() == '"' {
		v.isText, v.text = true, r.textHere()
		v.number, _ = strconv.ParseFloat(v.text, 64)
		return v, nil
	}
	v.number, err = r.number()
	return v, err
}

// network sets the attributes of the database as a whole.
func (r *reader) network(name string, v value) {
	switch name {
	case busType:
		r.db.BusType = v.text
	case protocolType:
		r.db.ProtocolType = v.text
	}
}

func (a *attributes) set(name string, v value) {
	switch name {
	case cycleTime:
		a.cycle = &v
	case sendType:
		a.sendType = &v
	case startValue:
		a.start = &v
	case formatOf:
		a.format = &v
	}
}

// apply sets what attributes say of a message and its signals.
func (r *reader) apply(m *building) {
	stated := m.stated
	if stated.cycle == nil {
		stated.cycle = r.defaults.cycle
	}
	if stated.sendType == nil {
		stated.sendType = r.defaults.sendType
	}
	if stated.format == nil {
		stated.format = r.defaults.format
	}
	if v := stated.cycle; v != nil && v.number > 0 && v.number < 1e9 {
		m.Cycle = time.Duration(v.number * float64(time.Millisecond))
	}
	if v := stated.sendType; v != nil {
		m.SendType = r.enumerated(sendType, *v, nil)
	}
	r.format(m, stated.format)
	for _, s := range m.Signals {
		if !s.HasInitial && r.defaults.start != nil {
			s.Initial, s.HasInitial = r.defaults.start.number, true
		}
		if s.HasInitial {
			s.Initial = float64(s.Initial*s.Scale) + s.Offset
		}
	}
}

// enumerated is the text of an attribute that may stand as its place in the
// list of texts; usual is the list where the file defines none.
func (r *reader) enumerated(name string, v value, usual []string) string {
	if v.isText {
		return v.text
	}
	texts := r.enums[name]
	if texts == nil {
		texts = usual
	}
	if i := int(v.number); v.number >= 0 && v.number < float64(len(texts)) {
		return texts[i]
	}
	return ""
}

// frameFormats are the texts of VFrameFormat in Vector's editor.
var frameFormats = slices.Concat(
	[]string{"StandardCAN", "ExtendedCAN", "reserved", "J1939PG"},
	slices.Repeat([]string{"reserved"}, 10),
	[]string{"StandardCAN_FD", "ExtendedCAN_FD"},
)

// format sets FD and J1939. What VFrameFormat says counts before the protocol of
// the whole file.
func (r *reader) format(m *building, stated *value) {
	format := ""
	if stated != nil {
		format = r.enumerated(formatOf, *stated, frameFormats)
	}
	m.J1939 = format == "J1939PG" || stated == nil && r.db.ProtocolType == "J1939"
	if m.J1939 && !m.Extended {
		if stated != nil {
			r.warnAt(m.Place, "message %s is of J1939 and its id has 11 bits: it is found by its id alone", m.Name)
		}
		m.J1939 = false
	}
	m.FD = format == "StandardCAN_FD" || format == "ExtendedCAN_FD" || m.Size > 8 && !m.J1939
}
