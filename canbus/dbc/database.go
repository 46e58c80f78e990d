// Package dbc reads CAN databases (Vector's DBC format) and decodes and encodes
// frames with them.
//
// DBC files in daily use break the format's rules in many ways. They are read as
// what their authors meant wherever that can be told, with a Warning for each
// thing that a strict reader would refuse.
//
// What a database says is compiled once, when it is read, into a Plan for each
// message; decoding then costs a few nanoseconds a signal and allocates nothing.
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
	// Version is the text of the VERSION section.
	Version string
	// Nodes are the ECUs of the network, in the order of the file.
	Nodes []Node
	// Messages in the order of the file. No two have the same identifier.
	Messages []*Message
	// Tables are the named value tables (VAL_TABLE_): names of raw values.
	Tables map[string]map[int64]string
	// BusType and ProtocolType are the attributes of these names: "CAN FD",
	// "J1939"; "" if the file doesn't say.
	BusType, ProtocolType string

	index index
}

// Node is an ECU of the network.
type Node struct {
	Name    string
	Comment string // of the CM_ section
}

// Message is the layout of one frame.
type Message struct {
	Name     string
	ID       uint32 // 11 bits, or 29 if Extended
	Extended bool
	// FD tells that it is sent as a CAN FD frame: attribute VFrameFormat, or more
	// than 8 bytes.
	FD bool
	// J1939 tells that ID stands for a parameter group: frames of any priority and
	// source address, and for a group that has one of any destination, are this
	// message. Attribute VFrameFormat, or a file of ProtocolType J1939.
	J1939    bool
	Size     int           // bytes, at most 64
	Sender   string        // the ECU that sends it, "" if the file names none
	Comment  string        // of the CM_ section
	Cycle    time.Duration // attribute GenMsgCycleTime; 0 if the file doesn't say
	SendType string        // attribute GenMsgSendType, e.g. "Cyclic"; "" if the file doesn't say
	Signals  []*Signal     // in the order of the file
	Place    Place         // of its definition

	plan *Plan // of all Signals
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

	// Multiplexer is a signal that chooses, by its raw bits read as an unsigned
	// number, which Multiplexed signals a frame carries. A signal may be both: it
	// then chooses among others in those frames that carry it.
	Multiplexer bool
	Multiplexed bool
	// Selector is the multiplexer that a Multiplexed signal depends on, else nil.
	Selector *Signal
	// Selected are the values of Selector with which a frame carries the signal.
	Selected []Range
	// MuxValue is the first of them.
	MuxValue uint64

	// A physical value is raw×Scale+Offset, in Unit. Min and Max are what the
	// file states (0 and 0: nothing); decoding does not clamp to them.
	Scale, Offset float64
	Min, Max      float64
	Unit          string

	// Initial is the physical value before anything is known, if HasInitial:
	// attribute GenSigStartValue, which files state as a raw value.
	Initial    float64
	HasInitial bool

	Choices map[int64]string // names of raw values (VAL_), nil without any
	Comment string           // of the CM_ section
	Message *Message         // to which the signal belongs
	Index   int              // in Message.Signals
	Place   Place            // of its definition

	field                 field
	intScale, intOffset   int64
	integer, fullUnsigned bool
}

// Range is an unbroken run of values of a multiplexer, both ends included.
type Range struct{ First, Last uint64 }

func (r Range) has(value uint64) bool { return r.First <= value && value <= r.Last }

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

// Merge makes one database of several. Where two have a message with the same
// identifier the first one's is kept, with a warning at the other. The messages
// are shared with the databases that they come from.
func Merge(dbs ...*Database) (*Database, []Warning) {
	merged := &Database{Tables: map[string]map[int64]string{}}
	var warnings []Warning
	for i, db := range dbs {
		if i == 0 {
			merged.File, merged.Version = db.File, db.Version
			merged.BusType, merged.ProtocolType = db.BusType, db.ProtocolType
		}
		merged.Nodes = append(merged.Nodes, db.Nodes...)
		for name, table := range db.Tables {
			if _, taken := merged.Tables[name]; !taken {
				merged.Tables[name] = table
			}
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
