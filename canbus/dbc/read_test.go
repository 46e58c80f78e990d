package dbc

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFilesThatCannotBeUsedAreRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no DBC at all", "\nhello world\n", `dbc: test.dbc:2:1: no line begins with a keyword such as BO_, SG_ or VAL_: want a DBC file, found "hello"`},
		{"empty", " \n", "dbc: test.dbc:1:1: the file is empty"},
		{"binary", "BO_ 1 M: 8 X\n\x00\x01\x02", "dbc: test.dbc:2:1: the file is binary, not text"},
		{"UTF-16", "\xFF\xFEB\x00O\x00", "dbc: test.dbc:1:1: the file is written in UTF-16: want UTF-8 or Windows-1252"},
		{"a signal without a message", " SG_ A : 0|8@1+ (1,0) [0|1] \"\" X\n", "dbc: test.dbc:1:2: none of the 1 signals can be used, the first because: no message begins before this signal"},
		{"ids above 29 bits", "BO_ 3221225473 M: 8 X\nBO_ 4294967296 N: 8 X\n", `dbc: test.dbc:1:5: none of the 2 messages can be used, the first because: message id "3221225473" has more than 29 bits`},
		{"messages without a size", "BO_ 1 M: X\nBO_ 2 N: X\n", `dbc: test.dbc:1:10: none of the 2 messages can be used, the first because: want a whole number, found "X"`},
		{"messages without a layout", "BO_ 1 M: 8 X\n SG_ A : x\n SG_ B : 0|8\n", `dbc: test.dbc:2:10: none of the 2 signals can be used, the first because: want a whole number, found "x"`},
		{"messages that are too long", "BO_ 1 M: 65 X\n", "dbc: test.dbc:1:1: none of the 1 messages can be used, the first because: message M has 65 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, _, err := Parse("test.dbc", []byte(c.text))
			var fault *Error
			if db != nil || !errors.As(err, &fault) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

// Each text is followed by one more message, which must be found whatever came
// before it.
func TestWhatAStrictReaderRefusesIsReadAndSaid(t *testing.T) {
	const signal = " SG_ A : 0|8@1+ (2,1) [0|1] \"km/h\" X\n"
	for _, c := range []struct {
		name, text string
		want       string // "" is no warning
		check      func(db *Database) bool
	}{
		{"id of more than 11 bits", "BO_ 2048 M: 8 X\nCM_ BO_ 2048 \"text\";\n", "1:5: message id of M is more than 2047 and bit 31 is not set: it is read as the 29-bit id 0x00000800",
			func(db *Database) bool { return db.Message(2048, true).Comment == "text" }},
		{"hexadecimal id", "BO_ 0x1F M: 8 X\n", "1:5: message id of M is hexadecimal, want a decimal number: it is read as 0x1F", func(db *Database) bool { return db.Message(31, false).Name == "M" }},
		{"no colon", "BO_ 1 M 8 X\n", "1:9: no colon after the name M", func(db *Database) bool { return db.Message(1, false).Size == 8 }},
		{"no sender", "BO_ 1 M: 8\n", "1:11: message M names no sender", func(db *Database) bool { return db.Message(1, false).Sender == "" }},
		{"a name in two words", "BO_ 1 My M: 8 X\n", `1:7: name "My M": want letters, digits and underscores: it is read as My_M`,
			func(db *Database) bool { return db.Message(1, false).Name == "My_M" }},
		{"a name that begins with a digit", "BO_ 1 M: 8 X\n SG_ 0_A m : 0|8@1+ (1,0) [0|1] \"\" X\nVAL_ 1 0_A 3 \"three\";\n", "2:6: name 0_A begins with a digit",
			func(db *Database) bool { return db.Messages[0].Signals[0].Choices[3] == "three" }},
		{"a name with a dot", "BO_ 1 M: 8 X\n SG_ A.B : 0|8@1+ (1,0) [0|1] \"\" X\nCM_ SG_ 1 A.B \"text\";\n", `2:6: name "A.B"`,
			func(db *Database) bool {
				return db.Messages[0].Signals[0].Name == "A_B" && db.Messages[0].Signals[0].Comment == "text"
			}},
		{"two messages of one name", "BO_ 1 M: 8 X\nBO_ 2 M: 8 X\n", "2:1: two messages have the name M, the other is at test.dbc:1:1: both are kept",
			func(db *Database) bool { return db.Message(2, false).Name == "M" }},
		{"no sign", "BO_ 1 M: 8 X\n SG_ A : 0|8@1 (2,1) [0|1] \"km/h\" X\n", "2:16: signal A: want + (unsigned) or - (signed)",
			func(db *Database) bool { s := db.Messages[0].Signals[0]; return s.Scale == 2 && !s.Signed }},
		{"no factor", "BO_ 1 M: 8 X\n SG_ A : 0|8@1+ [0|1] \"km/h\" X\n", `2:17: signal A: want '(', found "[0|1]": factor 1 and offset 0 are taken`,
			func(db *Database) bool { s := db.Messages[0].Signals[0]; return s.Scale == 1 && s.Unit == "km/h" }},
		{"no range", "BO_ 1 M: 8 X\n SG_ A : 0|8@1+ (2,1) \"km/h\" X\n", "2:23: signal A: want '['",
			func(db *Database) bool { s := db.Messages[0].Signals[0]; return s.Scale == 2 && s.Unit == "km/h" }},
		{"no unit", "BO_ 1 M: 8 X\n SG_ A : 0|8@1+ (2,1) [0|1]\n", "2:28: signal A: want the unit in quotation marks, found the end of the line",
			func(db *Database) bool { return db.Messages[0].Signals[0].Scale == 2 }},
		{"a unit without an end", "BO_ 1 M: 8 X\n SG_ A : 0|8@1+ (2,1) [0|1] \"km/h\n SG_ B : 8|8@1+ (2,1) [0|1] \"\" X\n", "2:29: no quotation mark ends the text that begins here",
			func(db *Database) bool {
				m := db.Messages[0]
				return m.Signals[0].Unit == "km/h" && len(m.Signals) == 2
			}},
		{"a signal that is none", "BO_ 1 M: 8 X\n SG_ A : what\n SG_ B : 8|8@1+ (2,1) [0|1] \"\" X\n", `2:10: want a whole number, found "what": this SG_ is left out`,
			func(db *Database) bool { return db.Messages[0].Signals[0].Name == "B" }},
		{"no semicolon", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"text\"\n", "2:17: no semicolon ends this CM_: it is read as if one did",
			func(db *Database) bool { return db.Messages[0].Comment == "text" }},
		{"more than the statement", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"text\" more;\n", `2:18: "more;": want a semicolon: the rest of this CM_ is passed over`,
			func(db *Database) bool { return db.Messages[0].Comment == "text" }},
		{"a text without an end", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"text;\n", "2:11: no quotation mark ends the text that begins here: it is read to the end of its line",
			func(db *Database) bool { return db.Messages[0].Comment == "text" }},
		{"quotation marks inside a text", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"the \"real\" one\";\n", "2:11: the text that begins here has quotation marks inside",
			func(db *Database) bool { return db.Messages[0].Comment == `the "real" one` }},
		{"text over lines", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"one\nBO_ 3 two\";\n", "", func(db *Database) bool { return db.Messages[0].Comment == "one\nBO_ 3 two" }},
		{"an unknown keyword", "FOO_ 1 2;\nmore of it\nBO_ 1 M: 8 X\n", `1:1: "FOO_": want a keyword such as BO_, SG_ or VAL_: what stands here is passed over`,
			func(db *Database) bool { return db.Messages[0].Name == "M" }},
		{"a name of a value that is none", "BO_ 1 M: 8 X\n" + signal + "VAL_ 1 A 0.5 \"half\" 1 \"one\";\n", `3:10: 0.5 "half": want a whole number of at most 64 bits: this name is left out`,
			func(db *Database) bool { return db.Messages[0].Signals[0].Choices[1] == "one" }},
		{"values that are none", "BO_ 1 M: 8 X\n" + signal + "VAL_ 1 A 0 zero;\n", `3:12: want a text in quotation marks, found "zero;": this VAL_ is left out`,
			func(db *Database) bool { return db.Messages[0].Signals[0].Choices == nil }},
		{"a table in place of values", "VAL_TABLE_ Gears 1 \"one\";\nBO_ 1 M: 8 X\n" + signal + "VAL_ 1 A Gears ;\n", "4:10: value table Gears stands in place of values",
			func(db *Database) bool { return db.Messages[0].Signals[0].Choices[1] == "one" }},
		{"a table that is not there", "BO_ 1 M: 8 X\n" + signal + "VAL_ 1 A Gears ;\n", "3:10: no value table Gears", func(db *Database) bool { return db.Messages[0].Signals[0].Choices == nil }},
		{"a statement before what it is about", "CM_ BO_ 1 \"text\";\nBO_ 1 M: 8 X\n", "", func(db *Database) bool { return db.Messages[0].Comment == "text" }},
		{"a node twice", "BU_: A B A\n", "1:10: node A is named twice", func(db *Database) bool { return len(db.Nodes) == 2 }},
		{"Windows-1252", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"\x80 \xFC\";\n", "2:12: this character is no UTF-8: the file is read as Windows-1252",
			func(db *Database) bool { return db.Messages[0].Comment == "€ ü" }},
		{"a byte order mark", "\xEF\xBB\xBFBO_ 1 M: 8 X\n", "", func(db *Database) bool { return db.Messages[0].Name == "M" }},
		{"the end of the world", "BO_ 1 M: 8 X\n" + signal + "SIG_VALTYPE_ 1 A : 7;\n", "3:1: signal M.A: type 7: want 0 (integer), 1 (float32) or 2 (float64)",
			func(db *Database) bool { return !db.Messages[0].Signals[0].Float }},
		{"an id for what belongs to no message", "BO_ 1073741824 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX\n SG_ A : 0|8@1+ (1,0) [0|0] \"\" X\n", "1:5: message VECTOR__INDEPENDENT_SIG_MSG has the id 1073741824",
			func(db *Database) bool { return len(db.Messages) == 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, warnings, err := Parse("test.dbc", []byte(c.text+"BO_ 99 Last: 8 X\n"+signal))
			if err != nil {
				t.Fatal(err)
			}
			if last := db.Message(99, false); last == nil || len(last.Signals) != 1 {
				t.Errorf("the message behind it is not read: %+v", last)
			}
			if !c.check(db) {
				t.Errorf("read as %+v", *db.Messages[0])
			}
			if c.want == "" && len(warnings) == 0 {
				return
			}
			if len(warnings) == 0 || !strings.HasPrefix(warnings[0].String(), "test.dbc:"+c.want) || c.want == "" {
				t.Errorf("warnings %q, want %q", warnings, c.want)
			}
		})
	}
}

func TestOneFileHasABoundedNumberOfWarnings(t *testing.T) {
	_, warnings := parseText(t, "BO_ 1 M: 8 X\n"+strings.Repeat("CM_ 1;\n", 3*maxWarnings))
	if len(warnings) != maxWarnings+1 || warnings[maxWarnings].Message != "2000 more warnings are not shown" {
		t.Errorf("%d warnings, the last: %s", len(warnings), warnings[len(warnings)-1])
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	_, _, err := Load(filepath.Join(t.TempDir(), "powertrain.dbc"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "powertrain.dbc") {
		t.Error(err)
	}
}

func TestWhatIsLeftOutIsSaid(t *testing.T) {
	for _, c := range []struct {
		name, text string
		kept       string // signals of the first message
		want       []string
	}{
		{"beyond the end", `BO_ 1 M: 1 X
 SG_ A : 0|8@1+ (1,0) [0|1] "" X
 SG_ B : 4|5@1+ (1,0) [0|1] "" X
 SG_ C : 3|5@0+ (1,0) [0|1] "" X
 SG_ D : 9999999999|8@1+ (1,0) [0|1] "" X
 SG_ E : 0|0@1+ (1,0) [0|1] "" X
`, "A", []string{
			"test.dbc:3:2: signal M.B (5 bits from bit 4) does not lie within the 1 bytes of its message: it is left out",
			"test.dbc:4:2: signal M.C (5 bits from bit 3)",
			"test.dbc:5:2: signal M.D (8 bits from bit 9999999999)",
			"test.dbc:6:2: signal M.E (0 bits from bit 0)",
		}},
		{"overlap", `BO_ 1 M: 8 X
 SG_ A : 0|8@1+ (1,0) [0|1] "" X
 SG_ B : 7|4@0+ (1,0) [0|1] "" X
 SG_ C : 8|8@1+ (1,0) [0|1] "" X
`, "A B C", []string{"test.dbc:3:2: signal M.B shares bits with A (test.dbc:2:2)"}},
		{"pages of a multiplexer do not overlap", `BO_ 1 M: 8 X
 SG_ P M : 0|8@1+ (1,0) [0|1] "" X
 SG_ A m0 : 8|8@1+ (1,0) [0|1] "" X
 SG_ B m1 : 8|8@1+ (1,0) [0|1] "" X
 SG_ C m1 : 12|8@1+ (1,0) [0|1] "" X
`, "P A B C", []string{"test.dbc:5:2: signal M.C shares bits with B (test.dbc:4:2)"}},
		{"no multiplexer", `BO_ 1 M: 8 X
 SG_ A m0 : 8|8@1+ (1,0) [0|1] "" X
 SG_ B : 0|8@1+ (1,0) [0|1] "" X
`, "B", []string{"test.dbc:2:2: signal M.A is multiplexed and its message has no multiplexer: it is left out"}},
		{"two multiplexers", `BO_ 1 M: 8 X
 SG_ A M : 0|8@1+ (1,0) [0|1] "" X
 SG_ B M : 8|8@1+ (1,0) [0|1] "" X
`, "A B", []string{"test.dbc:3:2: message M has a second multiplexer B beside A: it is read as a plain signal"}},
		{"same name", `BO_ 1 M: 8 X
 SG_ A : 0|8@1+ (1,0) [0|1] "" X
 SG_ A : 8|8@1+ (1,0) [0|1] "" X
`, "A", []string{"test.dbc:3:2: message M has two signals A, the other at test.dbc:2:2: this one is left out"}},
		{"same id", `BO_ 1 M: 8 X
 SG_ A : 0|8@1+ (1,0) [0|1] "" X
BO_ 1 N: 8 X
 SG_ B : 0|8@1+ (1,0) [0|1] "" X
`, "A", []string{"test.dbc:3:1: message N has the id 0x001 of M (test.dbc:1:1), which is used: this one is left out"}},
		{"too long", "BO_ 1 M: 8 X\nBO_ 2 N: 65 X\n", "", []string{"test.dbc:2:1: message N has 65 bytes, no frame has more than 64: it is left out"}},
		{"nothing", "VERSION \"1\"\n", "", []string{"test.dbc:1:1: the file defines no message"}},
		{"a signal that depends on itself", `BO_ 1 M: 8 X
 SG_ A : 0|8@1+ (1,0) [0|1] "" X
 SG_ B m1M : 8|8@1+ (1,0) [0|1] "" X
 SG_ C m1M : 16|8@1+ (1,0) [0|1] "" X
 SG_ D m1 : 24|8@1+ (1,0) [0|1] "" X
SG_MUL_VAL_ 1 B C 1-1;
SG_MUL_VAL_ 1 C B 1-1;
SG_MUL_VAL_ 1 D C 1-1;
`, "A", []string{
			"test.dbc:3:2: signal M.B depends on the multiplexer C, which depends on it: it is left out",
			"test.dbc:4:2: signal M.C depends on the multiplexer B, which depends on it: it is left out",
			"test.dbc:5:2: signal M.D is multiplexed and its message has no multiplexer: it is left out",
		}},
		{"a multiplexer that nobody marked", `BO_ 1 M: 8 X
 SG_ A : 0|8@1+ (1,0) [0|1] "" X
 SG_ B : 8|8@1+ (1,0) [0|1] "" X
SG_MUL_VAL_ 1 B A 1-1;
`, "A B", []string{"test.dbc:2:2: signal M.A has no mark M and B depends on it: it is read as a multiplexer"}},
		{"a lone m", `BO_ 1 M: 8 X
 SG_ A m : 0|8@1+ (1,0) [0|1] "" X
 SG_ B m1 : 8|8@1+ (1,0) [0|1] "" X
 SG_ C m : 16|8@1+ (1,0) [0|1] "" X
`, "A B C", []string{
			"test.dbc:2:8: signal M.A: want M, or m and a number: it is read as the multiplexer, which the message lacks",
			"test.dbc:4:8: signal M.C: want M, or m and a number: it is read as a plain signal",
		}},
		{"a multiplexer that is not there", `BO_ 1 M: 8 X
 SG_ A M : 0|8@1+ (1,0) [0|1] "" X
 SG_ B m1 : 8|8@1+ (1,0) [0|1] "" X
SG_MUL_VAL_ 1 B X 1-1;
`, "A B", []string{"test.dbc:4:1: message M has no signal X on which B could depend: the mark of B alone counts"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, warnings := parseText(t, c.text)
			var kept []string
			if len(db.Messages) > 0 {
				for _, s := range db.Messages[0].Signals {
					kept = append(kept, s.Name)
				}
			}
			if got := strings.Join(kept, " "); got != c.kept {
				t.Errorf("kept %s, want %s", got, c.kept)
			}
			if len(warnings) != len(c.want) {
				t.Fatalf("warnings %v, want %v", warnings, c.want)
			}
			for i, w := range warnings {
				if !strings.HasPrefix(w.String(), c.want[i]) {
					t.Errorf("%s\nwant %s", w, c.want[i])
				}
			}
		})
	}
}

// Every statement of a file that an editor wrote is either read or passed over,
// and the line after one that is passed over is read.
func TestWholeFileIsRead(t *testing.T) {
	text := `VERSION "1"

NS_ :
	NS_DESC_
	CM_
    FILTER
BS_: 500 : 0,0
BU_: VCU ESP Vector__XXX
VAL_TABLE_ Gears 1 "N" 0 "P" ;
BO_ 100 Gearbox: 8 VCU
 SG_ Gear : 0|4@1+ (1,0) [0|15] "" ESP,Vector__XXX
 SG_ Temperature : 8|8@1- (1,-40) [-40|215] "` + "\xb0" + `C" ESP
BO_ 101 Other: 8 Vector__XXX
BO_TX_BU_ 100 : VCU,ESP;
EV_ Env: 0 [0|1] "" 0 1 DUMMY_NODE_VECTOR8000 ESP;
SIG_GROUP_ 100 Group 1 : Gear Temperature;
CM_ SG_ 100 Gear "the selected gear;
BS_ beside the 5\" screen;
BS_ text";
CM_ BO_ 100 "the gearbox";
CM_ BU_ VCU "the
main unit";
BA_DEF_REL_ BU_SG_REL_ "GenSigTimeout" INT 0 100;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 10000;
BA_DEF_DEF_ "GenMsgCycleTime" 100;
BA_ "GenMsgCycleTime" BO_ 100 20;
BA_DEF_ BO_ "GenMsgSendType" ENUM "None","Cyclic";
BA_ "GenMsgSendType" BO_ 100 1;
BA_ "BusType" "CAN";
BA_DEF_ SG_ "GenSigStartValue" INT 0 100;
BA_ "GenSigStartValue" SG_ 100 Temperature 60;
BA_REL_ "GenSigTimeout" BU_SG_REL_ ESP SG_ 100 Gear 5;
VAL_ 100 Gear 0 "P" 1 "R" 15 "invalid \"" ;
VAL_ 100 Nothing 0 "P" ;
VAL_ Env 0 "off" ;
`
	db, warnings := parseText(t, text)
	if len(warnings) != 1 || warnings[0].Place.String() != "test.dbc:12:46" { // the degree sign
		t.Error(warnings)
	}
	if want := []Node{{Name: "VCU", Comment: "the\nmain unit"}, {Name: "ESP"}}; !slices.Equal(db.Nodes, want) || db.Version != "1" {
		t.Errorf("%v, want %v; version %q", db.Nodes, want, db.Version)
	}
	if db.Tables["Gears"][1] != "N" || db.BusType != "CAN" || db.ProtocolType != "" {
		t.Errorf("%+v", db)
	}
	m := db.Message(100, false)
	if m.SendType != "Cyclic" || m.Sender != "VCU" || m.Comment != "the gearbox" || m.Cycle != 20*time.Millisecond || m.Place.String() != "test.dbc:10:1" {
		t.Errorf("%+v", m)
	}
	if other := db.Message(101, false); other.Sender != "" || other.Cycle != 100*time.Millisecond {
		t.Errorf("%+v", other)
	}
	gear := m.Signals[0]
	if want := map[int64]string{0: "P", 1: "R", 15: `invalid "`}; !reflect.DeepEqual(gear.Choices, want) {
		t.Errorf("%v, want %v", gear.Choices, want)
	}
	if want := "the selected gear;\nBS_ beside the 5\" screen;\nBS_ text"; gear.Comment != want {
		t.Errorf("%q, want %q", gear.Comment, want)
	}
	if temperature := m.Signals[1]; temperature.Unit != "°C" || temperature.Place.String() != "test.dbc:12:2" || !temperature.Integer() || !temperature.HasInitial || temperature.Initial != 20 || gear.HasInitial {
		t.Errorf("%+v", temperature)
	}
	values, err := m.Decode(frame(t, 100, false, "0F00000000000000"), nil)
	if name, ok := values[0].Choice(); err != nil || !ok || name != `invalid "` {
		t.Error(name, ok, err)
	}
}

func TestOfTwoDatabasesTheFirstWins(t *testing.T) {
	first, _, err1 := Parse("first.dbc", []byte("BO_ 1 A: 8 X\nBO_ 2 B: 8 X\n"))
	second, _, err2 := Parse("second.dbc", []byte("BO_ 3 C: 8 X\nBO_ 1 D: 8 X\nBO_ 2147483649 E: 8 X\n"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	db, warnings := Merge(first, second)
	if len(db.Messages) != 4 || db.Message(1, false).Name != "A" || db.Message(3, false).Name != "C" || db.Message(1, true).Name != "E" {
		t.Error(db.Messages)
	}
	if len(warnings) != 1 || warnings[0].String() != "second.dbc:2:1: message D has the id 0x001 of A (first.dbc:1:1), which is used: this one is left out" {
		t.Error(warnings)
	}
}
