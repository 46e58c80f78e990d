// Package dbc reads CAN databases (Vector's DBC format) and decodes and encodes
// frames with them. What a database says is compiled once, when it is read, into
// one step a signal; decoding then costs a few nanoseconds a signal and
// allocates nothing.
//
// A Database, its messages and its signals do not change once they are read, so
// any number of goroutines may use them at the same time.
package dbc

import (
	"fmt"
	"time"
)

// Database is what one DBC file, or several merged, knows.
type Database struct {
	// File is the name it was read from; of merged databases the first's.
	File string
	// Messages in the order of the file. No two have the same identifier.
	Messages []*Message

	byID map[uint32]*Message // by key
}

// Message is the layout of one frame.
type Message struct {
	Name     string
	ID       uint32 // 11 bits, or 29 if Extended
	Extended bool
	Size     int           // bytes, at most 64
	Sender   string        // the ECU that sends it, "" if the file names none
	Comment  string        // of the CM_ section
	Cycle    time.Duration // attribute GenMsgCycleTime; 0 if the file doesn't say
	Signals  []*Signal     // in the order of the file
	Place    Place         // of its definition

	steps       []step // of Signals, in their order
	multiplexer *step  // nil if the message isn't multiplexed
}

// Signal is one value in a message. Bits are counted as DBC does: bit n is bit
// n%8 (0 the least significant) of byte n/8.
type Signal struct {
	Name      string
	Start     int  // bit: of the least significant (Intel), of the most significant (Motorola)
	Length    int  // bits, 1 to 64
	BigEndian bool // Motorola byte order
	Signed    bool // two's complement
	Float     bool // IEEE 754, of 32 or 64 bits; Signed means nothing then

	// Multiplexer is the signal of the message that chooses, by its raw value,
	// which Multiplexed signals the frame carries: those with that MuxValue.
	Multiplexer bool
	Multiplexed bool
	MuxValue    uint64

	// A physical value is raw×Scale+Offset, in Unit. Min and Max are what the
	// file states (0 and 0: nothing); decoding does not clamp to them.
	Scale, Offset float64
	Min, Max      float64
	Unit          string

	Choices map[int64]string // names of raw values (VAL_), nil without any
	Comment string           // of the CM_ section
	Message *Message         // to which the signal belongs
	Index   int              // in Message.Signals
	Place   Place            // of its definition

	step                  step
	intScale, intOffset   int64
	integer, fullUnsigned bool
}

// Integer reports whether every physical value of the signal is an integer:
// Scale and Offset are, and the raw value is no float.
func (s *Signal) Integer() bool { return s.integer }

// Place is where in a file something stands; line and column count from 1.
type Place struct {
	File         string
	Line, Column int
}

func (p Place) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Warning tells of something in a DBC file that is left out, or read in a way
// its author may not have meant.
type Warning struct {
	Place   Place
	Message string
}

func (w Warning) String() string { return w.Place.String() + ": " + w.Message }

// Error is a fault that makes a DBC file unusable.
type Error struct {
	Place  Place
	Reason string
}

func (e *Error) Error() string { return "dbc: " + e.Place.String() + ": " + e.Reason }

// Message finds a message by its identifier, nil if the database has none.
func (db *Database) Message(id uint32, extended bool) *Message { return db.byID[key(id, extended)] }

// key tells 29-bit identifiers from 11-bit ones of the same number, by the bit
// that DBC files use for it.
func key(id uint32, extended bool) uint32 {
	if extended {
		id |= 1 << 31
	}
	return id
}

// add takes a message unless the database has one with its identifier, which it
// then returns.
func (db *Database) add(m *Message) (first *Message) {
	k := key(m.ID, m.Extended)
	if first := db.byID[k]; first != nil {
		return first
	}
	db.byID[k] = m
	db.Messages = append(db.Messages, m)
	return nil
}

// Merge makes one database of several. Where two have a message with the same
// identifier the first one's is kept, with a warning at the other.
func Merge(dbs ...*Database) (*Database, []Warning) {
	merged := &Database{byID: map[uint32]*Message{}}
	var warnings []Warning
	for i, db := range dbs {
		if i == 0 {
			merged.File = db.File
		}
		for _, m := range db.Messages {
			if first := merged.add(m); first != nil {
				warnings = append(warnings, sameID(m, first))
			}
		}
	}
	return merged, warnings
}

func sameID(m, first *Message) Warning {
	return Warning{m.Place, fmt.Sprintf("message %s has the id %s of %s (%s), which is used: this one is left out",
		m.Name, m.idText(), first.Name, first.Place)}
}

func (m *Message) idText() string {
	if m.Extended {
		return fmt.Sprintf("0x%08X", m.ID)
	}
	return fmt.Sprintf("0x%03X", m.ID)
}
