package dbc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBrokenFilesNameThePlaceAndWhatWasExpected(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no DBC at all", "hello world\n", `dbc: test.dbc:1:1: "hello": want a keyword such as BO_, SG_ or VAL_`},
		{"binary", "\x00\x01\x02", "dbc: test.dbc:1:1: invalid character NUL"},
		{"signal without a message", "SG_ A : 0|8@1+ (1,0) [0|1] \"\" X\n", "dbc: test.dbc:1:1: signal A belongs to no message: want a BO_ before it"},
		{"id above 11 bits", "\nBO_ 2048 M: 8 X\n", "dbc: test.dbc:2:5: message id is more than 2047: want an 11-bit id, or bit 31 set for a 29-bit one"},
		{"id above 29 bits", "BO_ 3221225473 M: 8 X\n", "dbc: test.dbc:1:5: message id: want at most 29 bits beside bit 31"},
		{"no size", "BO_ 1 M: X\n", "dbc: test.dbc:1:10: want int"},
		{"no colon", "BO_ 1 M 8 X\n", `dbc: test.dbc:1:11: want ":" before this, found Int (8)`},
		{"no semicolon", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"text\"\nBO_ 2 N: 8 X\n", `dbc: test.dbc:3:5: want ";" before this, found Ident (BO_)`},
		{"open text", "BO_ 1 M: 8 X\nCM_ BO_ 1 \"text;\n", "dbc: test.dbc:2:11: unterminated string"},
		{"extended multiplexing", "BO_ 1 M: 8 X\n SG_ A m0M : 0|8@1+ (1,0) [0|1] \"\" X\n", "dbc: test.dbc:2:8: invalid multiplexer value"},
		{"name that begins with a digit", "BO_ 1 M: 8 X\n SG_ 1_A : 0|8@1+ (1,0) [0|1] \"\" X\n", "dbc: test.dbc:2:8: want a name that begins with a letter or an underscore"},
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
		{"extended multiplexing", "BO_ 1 M: 8 X\n SG_ A : 0|8@1+ (1,0) [0|1] \"\" X\nSG_MUL_VAL_ 1 A A 1-2;\n", "A",
			[]string{"test.dbc:3:1: extended multiplexing (SG_MUL_VAL_) is not applied"}},
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
BA_DEF_REL_ BU_SG_REL_ "GenSigTimeout" INT 0 100;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 10000;
BA_DEF_DEF_ "GenMsgCycleTime" 100;
BA_ "GenMsgCycleTime" BO_ 100 20;
BA_REL_ "GenSigTimeout" BU_SG_REL_ ESP SG_ 100 Gear 5;
VAL_ 100 Gear 0 "P" 1 "R" 15 "invalid \"" ;
VAL_ 100 Nothing 0 "P" ;
VAL_ Env 0 "off" ;
`
	db, warnings := parseText(t, text)
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	m := db.Message(100, false)
	if m.Sender != "VCU" || m.Comment != "the gearbox" || m.Cycle != 20*time.Millisecond || m.Place.String() != "test.dbc:10:1" {
		t.Errorf("%+v", m)
	}
	if other := db.Message(101, false); other.Sender != "" || other.Cycle != 100*time.Millisecond {
		t.Errorf("%+v", other)
	}
	gear := m.Signals[0]
	if want := map[int64]string{0: "P", 1: "R", 15: `invalid "`}; !reflect.DeepEqual(gear.Choices, want) {
		t.Errorf("%v, want %v", gear.Choices, want)
	}
	if want := `the selected gear; BS_ beside the 5" screen; BS_ text`; gear.Comment != want {
		t.Errorf("%q, want %q", gear.Comment, want)
	}
	if temperature := m.Signals[1]; temperature.Unit != "°C" || temperature.Place.String() != "test.dbc:12:2" || !temperature.Integer() {
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

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"BO_ 1 M: 8 X\n SG_ A m0 : 0|8@1+ (1,0) [0|1] \"\" X\n SG_ P M : 8|8@0- (0.5,-40) [0|1] \"\" X\nVAL_ 1 A 0 \"x\" ;\n",
		"NS_ :\n\tCM_\nBS_:\nSG_MUL_VAL_ 1 A P 1-2;\nSIG_VALTYPE_ 1 A : 1;\n",
		"BA_DEF_ BO_ \"GenMsgCycleTime\" INT 0 1;\nBA_DEF_DEF_ \"GenMsgCycleTime\" 1;\nCM_ \"\xb0\\\";\";\n",
		"BO_ 1 M: 64 X\n SG_ A : 455|64@0- (1,0) [0|1] \"\" X\n",
	} {
		f.Add([]byte(text))
	}
	if files, err := filepath.Glob(sharedData + "/dbc/_*.dbc"); err == nil {
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		db, _, err := Parse("fuzz.dbc", data)
		if err != nil {
			return
		}
		for _, m := range db.Messages {
			fr := frame(t, m.ID, m.Extended, strings.Repeat("A5", m.Size))
			values, err := m.Decode(fr, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				v.AppendJSON(nil)
				v.Signal.Encode(fr.Bytes(), v.Physical)
			}
		}
	})
}
