package dbc

import (
	"fmt"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

// j1939 is a database of messages with these 29-bit identifiers, named after them.
func j1939(t *testing.T, attributes string, ids ...uint32) *Database {
	t.Helper()
	text := ""
	for _, id := range ids {
		text += fmt.Sprintf("BO_ %d M%08X: 8 X\n", id|extendedBit, id)
	}
	db, warnings := parseText(t, text+attributes)
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	return db
}

const (
	formats    = `BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN","reserved","J1939PG";` + "\n"
	allByGroup = formats + `BA_DEF_DEF_ "VFrameFormat" "J1939PG";` + "\n"
)

func TestJ1939MessagesAreFoundByTheirParameterGroup(t *testing.T) {
	db := j1939(t, allByGroup, 0x0CF004FE, 0x18EA00FE, 0x18FEF100, 0x18FEF103)
	for _, c := range []struct {
		about string
		id    uint32
		want  string
	}{
		{"as the file has it", 0x0CF004FE, "M0CF004FE"},
		{"another source address", 0x0CF00400, "M0CF004FE"},
		{"another priority", 0x18F00403, "M0CF004FE"},
		{"another group extension", 0x0CF00500, ""},
		{"another data page", 0x0DF00400, ""},
		{"another destination", 0x18EA21F9, "M18EA00FE"},
		{"the source that a message names", 0x1CFEF103, "M18FEF103"},
		{"a source that none names", 0x18FEF121, "M18FEF100"},
	} {
		name := ""
		if m := db.Message(c.id, true); m != nil {
			name = m.Name
		}
		if name != c.want {
			t.Errorf("%s (%08X): %q, want %q", c.about, c.id, name, c.want)
		}
	}
	if m := db.Message(0x0CF00400&can.MaxStandardID, false); m != nil {
		t.Errorf("an 11-bit id finds %s", m.Name)
	}
}

func TestMessageOfAnySourceCountsBeforeOneOfAnother(t *testing.T) {
	db := j1939(t, allByGroup, 0x18FEF100, 0x18FEF1FE)
	if m := db.Message(0x18FEF121, true); m == nil || m.Name != "M18FEF1FE" {
		t.Error(m)
	}
}

func TestFileSaysWhatIsJ1939(t *testing.T) {
	for _, c := range []struct {
		name, attributes string
		want             bool
	}{
		{"nothing", "", false},
		{"its own format", formats + `BA_ "VFrameFormat" BO_ 2566844670 3;`, true},
		{"its own format, not defined", `BA_ "VFrameFormat" BO_ 2566844670 3;`, true},
		{"its own format, as a text", `BA_ "VFrameFormat" BO_ 2566844670 "J1939PG";`, true},
		{"the default", allByGroup, true},
		{"not the default", allByGroup + `BA_ "VFrameFormat" BO_ 2566844670 1;`, false},
		{"the protocol", `BA_ "ProtocolType" "J1939";`, true},
		{"another protocol", `BA_ "ProtocolType" "GMLAN";`, false},
		{"the format before the protocol", formats + `BA_DEF_DEF_ "VFrameFormat" "ExtendedCAN";` + "\n" + `BA_ "ProtocolType" "J1939";`, false},
	} {
		m := j1939(t, c.attributes+"\n", 0x18FEF0FE).Messages[0]
		if m.J1939 != c.want {
			t.Errorf("%s: %v, want %v", c.name, m.J1939, c.want)
		}
	}
}

func TestMaskLeavesOutWhatAFrameMayDifferIn(t *testing.T) {
	db, _ := parseText(t, "BO_ 1 A: 8 X\n")
	if mask := db.Messages[0].Mask(); mask != 0x7FF {
		t.Errorf("%X", mask)
	}
	if mask := j1939(t, "", 0x18FEF100).Messages[0].Mask(); mask != 0x1FFFFFFF {
		t.Errorf("%X", mask)
	}
	for _, id := range []uint32{0x18FEF100, 0x18EA00FE, 0x0CF004FE} {
		m := j1939(t, allByGroup, id).Messages[0]
		for bit := range 29 {
			other := m.ID ^ 1<<bit
			if same := pgn(other) == m.PGN(); same == (m.Mask()>>bit&1 == 1) {
				t.Errorf("%08X: mask %08X: bit %d: the group is the same: %v", id, m.Mask(), bit, same)
			}
		}
	}
}

func TestJ1939SurvivesMerging(t *testing.T) {
	db, _ := Merge(j1939(t, "", 0x18FEF0FE), j1939(t, allByGroup, 0x18FEF1FE))
	if m := db.Message(0x18FEF121, true); m == nil || m.Name != "M18FEF1FE" {
		t.Error(m)
	}
	if m := db.Message(0x18FEF021, true); m != nil {
		t.Error(m)
	}
}

func TestMessagesOfCANFDAreTold(t *testing.T) {
	db, _ := parseText(t, `BO_ 1 Classic: 8 X
BO_ 2 Long: 64 X
BO_ 3 Short: 8 X
BO_ 2566844670 Transported: 20 X
BA_ "VFrameFormat" BO_ 3 14;
BA_ "VFrameFormat" BO_ 2566844670 3;
`)
	for i, want := range []bool{false, true, true, false} {
		if m := db.Messages[i]; m.FD != want {
			t.Errorf("%s: %v, want %v", m.Name, m.FD, want)
		}
	}
}
