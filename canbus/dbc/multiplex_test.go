package dbc

import (
	"strings"
	"testing"
)

// carried is the names of the signals that a frame carries.
func carried(t *testing.T, m *Message, data string) string {
	t.Helper()
	values, err := m.Decode(frame(t, m.ID, m.Extended, data), nil)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.Signal.Name
	}
	return strings.Join(names, " ")
}

// Of Vector's extended multiplexing: a signal comes if every multiplexer above
// it has one of the values that lead to it.
func TestExtendedMultiplexingFollowsTheWholeChain(t *testing.T) {
	db, warnings := parseText(t, `BO_ 1 M: 5 X
 SG_ Deep m3 : 32|8@1+ (1,0) [0|0] "" X
 SG_ Inner m0M : 8|8@1+ (1,0) [0|0] "" X
 SG_ Outer M : 0|8@1+ (1,0) [0|0] "" X
 SG_ Beside m1 : 8|8@1+ (1,0) [0|0] "" X
 SG_ Ranges m7 : 24|8@1+ (1,0) [0|0] "" X
 SG_ Always : 16|8@1+ (1,0) [0|0] "" X
SG_MUL_VAL_ 1 Inner Outer 0-0, 5-6;
SG_MUL_VAL_ 1 Beside Outer 1-1;
SG_MUL_VAL_ 1 Deep Inner 3-3;
SG_MUL_VAL_ 1 Ranges Outer 1-2, 7-10 20-20;
`)
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	m := db.Messages[0]
	for data, want := range map[string]string{
		"0003000000": "Deep Inner Outer Always",
		"0603000000": "Deep Inner Outer Always",
		"0002000000": "Inner Outer Always",
		"0103000000": "Outer Beside Ranges Always",
		"0203000000": "Outer Ranges Always",
		"0403000000": "Outer Always", // Inner's bits say 3, but it isn't there
		"0A03000000": "Outer Ranges Always",
		"0B03000000": "Outer Always",
		"1403000000": "Outer Ranges Always",
		"FF03000000": "Outer Always",
	} {
		if got := carried(t, m, data); got != want {
			t.Errorf("%s: %s, want %s", data, got, want)
		}
	}
	if deep := m.Signals[0]; deep.Selector.Name != "Inner" || deep.MuxValue != 3 || deep.Selector.Selector.Name != "Outer" {
		t.Errorf("%+v", deep)
	}
}

// A message may have several multiplexers that do not depend on each other.
func TestMultiplexersBesideEachOther(t *testing.T) {
	db, warnings := parseText(t, `BO_ 1 M: 4 X
 SG_ A M : 0|8@1+ (1,0) [0|0] "" X
 SG_ B M : 8|8@1+ (1,0) [0|0] "" X
 SG_ A0 m0 : 16|8@1+ (1,0) [0|0] "" X
 SG_ A1 m1 : 16|8@1+ (1,0) [0|0] "" X
 SG_ B0 m0 : 24|8@1+ (1,0) [0|0] "" X
 SG_ B1 m1 : 24|8@1+ (1,0) [0|0] "" X
SG_MUL_VAL_ 1 A0 A 0-0;
SG_MUL_VAL_ 1 A1 A 1-1;
SG_MUL_VAL_ 1 B0 B 0-0;
SG_MUL_VAL_ 1 B1 B 1-1;
`)
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	for data, want := range map[string]string{
		"00000000": "A B A0 B0", "00010000": "A B A0 B1", "01000000": "A B A1 B0", "01010000": "A B A1 B1", "02010000": "A B B1",
	} {
		if got := carried(t, db.Messages[0], data); got != want {
			t.Errorf("%s: %s, want %s", data, got, want)
		}
	}
}

// The marks of files are unsigned whatever the multiplexer is, and a long one has
// too many values for a table.
func TestMultiplexersOfEveryKind(t *testing.T) {
	for _, c := range []struct{ name, multiplexer, data string }{
		{"signed", "0|8@1-", "FF0000000000000000"},
		{"Motorola", "7|8@0+", "FF0000000000000000"},
		{"long", "0|64@1+", "FF0000000000000000"},
		{"over nine bytes", "1|64@1+", "FE0100000000000000"},
	} {
		db, _ := parseText(t, "BO_ 1 M: 9 X\n SG_ P M : "+c.multiplexer+` (2,1) [0|0] "" X
 SG_ A m255 : 71|1@1+ (1,0) [0|0] "" X
 SG_ B m254 : 71|1@1+ (1,0) [0|0] "" X
`)
		if got := carried(t, db.Messages[0], c.data); got != "P A" {
			t.Errorf("%s: %s, want P A", c.name, got)
		}
	}
}

func TestSelectMakesAFrameCarryTheSignal(t *testing.T) {
	db, _ := parseText(t, `BO_ 1 M: 5 X
 SG_ Outer M : 0|8@1+ (1,0) [0|0] "" X
 SG_ Inner m6M : 8|8@1+ (1,0) [0|0] "" X
 SG_ Deep m3 : 16|8@1+ (1,0) [0|0] "" X
SG_MUL_VAL_ 1 Inner Outer 6-6;
SG_MUL_VAL_ 1 Deep Inner 3-4;
`)
	fr := frame(t, 1, false, "FFFFFFFFFF")
	db.Messages[0].Signals[2].Select(fr.Bytes())
	if got := fr.String(); got != "001#0603FFFFFF" {
		t.Errorf("%s, want 001#0603FFFFFF", got)
	}
}

// A plan of many values that select differently still decodes as all others do.
func TestPlansOfManyVariantsStayBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("BO_ 1 M: 64 X\n SG_ P M : 0|16@1+ (1,0) [0|0] \"\" X\n")
	for i := range 600 {
		writeSignal(&text, i, "m"+itoa(i*3), 16+8*(i%60), 8)
	}
	db, _ := parseText(t, text.String())
	m := db.Messages[0]
	if len(m.plan.variants) != 1 || m.plan.selector != nil {
		t.Errorf("%d variants of %d signals", len(m.plan.variants), len(m.Signals))
	}
	if got := carried(t, m, "0700"+strings.Repeat("00", 62)); got != "P" {
		t.Error(got)
	}
	if got := carried(t, m, "0600"+strings.Repeat("00", 62)); got != "P S2" {
		t.Error(got)
	}
}
