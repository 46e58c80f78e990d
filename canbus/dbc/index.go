package dbc

import "github.com/fascia-edge/fascia/canbus/can"

// index finds messages by identifier. 11-bit identifiers go by an array: 3 ns
// where a map takes 8, and most frames of a vehicle's bus are of messages
// that nobody needs.
type index struct {
	standard [can.MaxStandardID + 1]int32 // 1 + index into Messages; 0 is none
	extended map[uint32]int
	groups   map[uint32][]int // J1939, by parameter group number
}

// Message finds the message of an identifier, nil if the database has none. The
// messages of J1939 are found as IndexOf says.
func (db *Database) Message(id uint32, extended bool) *Message {
	if i := db.IndexOf(id, extended); i >= 0 {
		return db.Messages[i]
	}
	return nil
}

// IndexOf is Message for who keeps things of his own beside Messages: the index
// in it, -1 if the database has none.
//
// An extended identifier that no message has itself is looked for as J1939 does:
// of the messages of its parameter group the one that names its source address
// counts, then one that names the null address (0xFE, "any" to the editors of
// these files), then the first.
func (db *Database) IndexOf(id uint32, extended bool) int {
	if !extended {
		if id > can.MaxStandardID {
			return -1
		}
		return int(db.index.standard[id]) - 1
	}
	if i, ok := db.index.extended[id]; ok {
		return i
	}
	if len(db.index.groups) == 0 {
		return -1
	}
	group := db.index.groups[pgn(id)]
	if len(group) == 0 {
		return -1
	}
	best := group[0]
	for _, i := range group {
		switch source := db.Messages[i].ID & 0xFF; {
		case source == id&0xFF:
			return i
		case source == anySource && db.Messages[best].ID&0xFF != anySource:
			best = i
		}
	}
	return best
}

// anySource is the null address of SAE J1939-81.
const anySource = 0xFE

// PGN is the parameter group number in the message's identifier (SAE J1939-21):
// 18 bits, of which the lower 8 are 0 where the identifier has a destination
// address in their place. It means something only if the message is J1939.
func (m *Message) PGN() uint32 { return pgn(m.ID) }

// Mask has the bits of the identifier in which a frame must be like the message
// to be one of it: all, but for J1939 those of the parameter group.
func (m *Message) Mask() uint32 {
	switch {
	case !m.Extended:
		return can.MaxStandardID
	case !m.J1939:
		return can.MaxExtendedID
	case m.ID>>16&0xFF < firstPDU2:
		return 0x3FF0000
	}
	return 0x3FFFF00
}

// firstPDU2 is the lowest PDU format whose identifiers have a group extension in
// the place of a destination address.
const firstPDU2 = 240

// pgn leaves priority, source address and, in PDU1, the destination
// address out.
func pgn(id uint32) uint32 {
	group := id >> 8 & 0x3FFFF
	if group>>8&0xFF < firstPDU2 {
		group &^= 0xFF
	}
	return group
}

// add takes a message unless the database has one with its identifier, which it
// then returns.
func (db *Database) add(m *Message) (first *Message) {
	next := len(db.Messages)
	if !m.Extended {
		if i := db.index.standard[m.ID]; i > 0 {
			return db.Messages[i-1]
		}
		db.index.standard[m.ID] = int32(next + 1)
	} else {
		if i, taken := db.index.extended[m.ID]; taken {
			return db.Messages[i]
		}
		if db.index.extended == nil {
			db.index.extended = map[uint32]int{}
		}
		db.index.extended[m.ID] = next
		if m.J1939 {
			db.addToGroup(m, next)
		}
	}
	db.Messages = append(db.Messages, m)
	return nil
}

// addToGroup makes a message found by its parameter group.
func (db *Database) addToGroup(m *Message, index int) {
	if db.index.groups == nil {
		db.index.groups = map[uint32][]int{}
	}
	db.index.groups[m.PGN()] = append(db.index.groups[m.PGN()], index)
}
