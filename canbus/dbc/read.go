package dbc

import (
	"fmt"
	"math"
	"os"
	"strings"
	"text/scanner"
	"time"

	"go.einride.tech/can/pkg/dbc"

	"github.com/fascia-edge/fascia/canbus/can"
)

// independent is the pseudo message in which Vector's editor keeps signals that
// belong to none.
const independent = 0xC0000000

// Load reads a DBC file. The error is the operating system's for a file that
// can't be read, and an *Error with its place for one that is no DBC.
func Load(file string) (*Database, []Warning, error) {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: want a file, got a folder, pipe or device", file)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("dbc: %w", err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("dbc: %w", err)
	}
	return Parse(file, data)
}

// Parse reads a DBC file's contents; name stands for the file in places. The
// text is UTF-8 or Windows-1252. The error is an *Error.
func Parse(name string, data []byte) (*Database, []Warning, error) {
	text, extended := prepare(name, data)
	defs, err := parse(name, text)
	if err != nil {
		return nil, nil, err
	}
	r := reader{db: &Database{File: name, byID: map[uint32]*Message{}}}
	if extended != nil {
		r.warnings = append(r.warnings, Warning{*extended, "extended multiplexing (SG_MUL_VAL_) is not applied: multiplexed signals follow their mN mark alone"})
	}
	for _, def := range defs {
		if err := r.read(def); err != nil {
			return nil, nil, err
		}
	}
	r.finish()
	return r.db, r.warnings, nil
}

// parse calls the parser; whatever it trips over becomes an error with a place.
func parse(name string, text []byte) (defs []dbc.Def, err error) {
	p := dbc.NewParser(name, text)
	defer func() {
		if fault := recover(); fault != nil {
			at := Place{name, 1, 1}
			if defs := p.Defs(); len(defs) > 0 {
				at = place(defs[len(defs)-1].Position())
			}
			err = &Error{at, fmt.Sprintf("unreadable after this definition (%v)", fault)}
		}
	}()
	if fault := p.Parse(); fault != nil {
		return nil, &Error{place(fault.Position()), reason(fault.Reason())}
	}
	return p.Defs(), nil
}

func place(p scanner.Position) Place { return Place{p.Filename, p.Line, p.Column} }

// reason turns the parser's words into ours: what was expected.
func reason(text string) string {
	switch {
	case strings.HasPrefix(text, "invalid standard ID"):
		return "message id is more than 2047: want an 11-bit id, or bit 31 set for a 29-bit one"
	case strings.HasPrefix(text, "invalid extended ID"):
		return "message id: want at most 29 bits beside bit 31"
	case text == "expected ident":
		return "want a name or a keyword such as BO_, SG_ or VAL_"
	case text == "expected multiplexer":
		return `want ":", or a multiplexer mark: M or m and a number, before it`
	case strings.Contains(text, "separate successive digits"):
		return "want a name that begins with a letter or an underscore"
	case strings.HasPrefix(text, "expected token: "):
		wanted, found, _ := strings.Cut(strings.TrimPrefix(text, "expected token: "), ", found: ")
		return "want " + wanted + " before this, found " + found
	}
	if wanted, ok := strings.CutPrefix(text, "expected "); ok {
		return "want " + wanted
	}
	return text
}

// reader builds a Database, definition by definition.
type reader struct {
	db       *Database
	warnings []Warning
	cycle    time.Duration // of messages that don't state their own
}

func (r *reader) warn(at Place, format string, args ...any) {
	r.warnings = append(r.warnings, Warning{at, fmt.Sprintf(format, args...)})
}

func (r *reader) read(def dbc.Def) error {
	switch def := def.(type) {
	case *dbc.MessageDef:
		r.message(def)
	case *dbc.SignalDef:
		return &Error{place(def.Pos), "signal " + string(def.Name) + " belongs to no message: want a BO_ before it"}
	case *dbc.UnknownDef:
		return &Error{place(def.Pos), fmt.Sprintf("%q: want a keyword such as BO_, SG_ or VAL_", def.Keyword)}
	case *dbc.ValueDescriptionsDef:
		r.choices(def)
	case *dbc.SignalValueTypeDef:
		r.valueType(def)
	case *dbc.CommentDef:
		r.comment(def)
	case *dbc.AttributeDefaultValueDef:
		if def.AttributeName == "GenMsgCycleTime" {
			r.cycle = milliseconds(def.DefaultIntValue, def.DefaultFloatValue)
		}
	case *dbc.AttributeValueForObjectDef:
		if def.AttributeName == "GenMsgCycleTime" && def.ObjectType == dbc.ObjectTypeMessage {
			if m := r.db.find(def.MessageID); m != nil {
				m.Cycle = milliseconds(def.IntValue, def.FloatValue)
			}
		}
	}
	return nil
}

// milliseconds takes an attribute's value, of which the type that it doesn't
// have is 0.
func milliseconds(whole int64, fraction float64) time.Duration {
	ms := float64(whole) + fraction
	if !(ms > 0 && ms < 1e9) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// find is the message with a DBC file's form of an identifier.
func (db *Database) find(id dbc.MessageID) *Message { return db.Message(id.ToCAN(), id.IsExtended()) }

func (m *Message) signal(name dbc.Identifier) *Signal {
	if m != nil {
		for _, s := range m.Signals {
			if s.Name == string(name) {
				return s
			}
		}
	}
	return nil
}

func (r *reader) message(def *dbc.MessageDef) {
	if def.MessageID == independent {
		return
	}
	m := &Message{Name: string(def.Name), ID: def.MessageID.ToCAN(), Extended: def.MessageID.IsExtended(),
		Sender: string(def.Transmitter), Cycle: -1, Place: place(def.Pos)}
	if m.Sender == "Vector__XXX" {
		m.Sender = ""
	}
	if def.Size > can.MaxDataFD {
		r.warn(m.Place, "message %s has %d bytes, no frame has more than %d: it is left out", m.Name, def.Size, can.MaxDataFD)
		return
	}
	m.Size = int(def.Size)
	if first := r.db.add(m); first != nil {
		r.warnings = append(r.warnings, sameID(m, first))
		return
	}
	for i := range def.Signals {
		r.signal(m, &def.Signals[i])
	}
}

func (r *reader) signal(m *Message, def *dbc.SignalDef) {
	at := place(def.Pos)
	if first := m.signal(def.Name); first != nil {
		r.warn(at, "message %s has two signals %s, the other at %s: this one is left out", m.Name, def.Name, first.Place)
		return
	}
	if !fits(def, m.Size) {
		r.warn(at, "signal %s.%s (%d bits from bit %d) does not lie within the %d bytes of its message: it is left out",
			m.Name, def.Name, def.Size, def.StartBit, m.Size)
		return
	}
	m.Signals = append(m.Signals, &Signal{
		Name: string(def.Name), Start: int(def.StartBit), Length: int(def.Size),
		BigEndian: def.IsBigEndian, Signed: def.IsSigned,
		Multiplexer: def.IsMultiplexerSwitch, Multiplexed: def.IsMultiplexed, MuxValue: def.MultiplexerSwitch,
		Scale: def.Factor, Offset: def.Offset, Min: def.Minimum, Max: def.Maximum,
		Unit: unescape(def.Unit), Message: m, Place: at,
	})
}

// fits reports whether a signal has a length that we decode and lies within the
// bytes of its message.
func fits(def *dbc.SignalDef, size int) bool {
	bits := uint64(size) * 8
	if def.Size < 1 || def.Size > 64 || def.StartBit >= bits {
		return false
	}
	first := def.StartBit
	if def.IsBigEndian {
		first = first&^7 + 7 - first&7
	}
	return first+def.Size <= bits
}

func (r *reader) choices(def *dbc.ValueDescriptionsDef) {
	if def.ObjectType != dbc.ObjectTypeSignal {
		return
	}
	s := r.db.find(def.MessageID).signal(def.SignalName)
	if s == nil {
		return // left out with a warning, or the file names what it doesn't define: either way nothing decodes with it
	}
	if s.Choices == nil {
		s.Choices = make(map[int64]string, len(def.ValueDescriptions))
	}
	for _, choice := range def.ValueDescriptions {
		if whole := math.Trunc(choice.Value); whole == choice.Value && math.Abs(whole) < math.MaxInt64 {
			s.Choices[int64(whole)] = unescape(choice.Description)
		}
	}
}

func (r *reader) valueType(def *dbc.SignalValueTypeDef) {
	s := r.db.find(def.MessageID).signal(def.SignalName)
	if s == nil || def.SignalValueType == dbc.SignalValueTypeInt {
		return
	}
	want := 32
	if def.SignalValueType == dbc.SignalValueTypeFloat64 {
		want = 64
	}
	if s.Length != want {
		r.warn(place(def.Pos), "signal %s.%s has %d bits, a float%d wants %d: it is read as an integer", s.Message.Name, s.Name, s.Length, want, want)
		return
	}
	s.Float = true
}

func (r *reader) comment(def *dbc.CommentDef) {
	m := r.db.find(def.MessageID)
	switch {
	case m == nil:
	case def.ObjectType == dbc.ObjectTypeMessage:
		m.Comment = unescape(def.Comment)
	case def.ObjectType == dbc.ObjectTypeSignal:
		if s := m.signal(def.SignalName); s != nil {
			s.Comment = unescape(def.Comment)
		}
	}
}

// unescape takes away the backslash that the parser leaves before a quotation mark.
func unescape(text string) string { return strings.ReplaceAll(text, `\"`, `"`) }
