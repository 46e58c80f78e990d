package dbc

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

// parseText reads a database written in the test, which must load.
func parseText(t testing.TB, text string) (*Database, []Warning) {
	t.Helper()
	db, warnings, err := Parse("test.dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return db, warnings
}

// The payload of each row is worked out by hand from the definition of DBC's
// two ways of counting bits.
func TestSignalsAreFoundAtTheirBits(t *testing.T) {
	for _, c := range []struct {
		name, signal, data string
		size               int
		want               string // as JSON, which is exact beyond 2^53
	}{
		{"a byte", `0|8@1+ (1,0)`, "AB", 1, "171"},
		{"one bit", `7|1@1+ (1,0)`, "80", 1, "1"},
		{"Intel over two bytes", `4|12@1+ (1,0)`, "C0AB", 2, "2748"},
		{"Motorola over two bytes", `3|12@0+ (1,0)`, "FABC", 2, "2748"},
		{"Motorola of 16 bits", `7|16@0+ (1,0)`, "1234", 2, "4660"},
		{"signed", `0|12@1- (1,0)`, "FF0F", 2, "-1"},
		{"signed Motorola", `7|8@0- (1,0)`, "80", 1, "-128"},
		{"one signed bit", `0|1@1- (1,0)`, "01", 1, "-1"},
		{"factor and offset", `0|8@1+ (0.75,-48)`, "64", 1, "27"},
		{"beyond its own maximum", `0|8@1+ (2,0)`, "FF", 1, "510"},
		{"one bit with a factor", `0|1@1+ (5,1)`, "01", 1, "6"},
		{"64 bits", `0|64@1+ (1,0)`, "FFFFFFFFFFFFFFFF", 8, "18446744073709551615"},
		{"64 signed bits", `0|64@1- (1,0)`, "FEFFFFFFFFFFFFFF", 8, "-2"},
		{"64 bits over nine bytes", `4|64@1+ (1,0)`, "F0FFFFFFFFFFFFFF0F", 9, "18446744073709551615"},
		{"Intel over nine bytes", `7|58@1+ (1,0)`, "800000000000000001", 9, "144115188075855873"},
		{"Motorola over nine bytes", `0|58@0+ (1,0)`, "010000000000000080", 9, "144115188075855873"},
		{"the last byte of an FD frame", `504|8@1+ (1,0)`, strings.Repeat("00", 63) + "2A", 64, "42"},
		{"the last bytes of an FD frame, Motorola", `503|16@0+ (1,0)`, strings.Repeat("00", 62) + "0102", 64, "258"},
		{"64 bits at the end of an FD frame", `455|64@0- (1,0)`, strings.Repeat("00", 56) + "FFFFFFFFFFFFFFFD", 64, "-3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, warnings := parseText(t, fmt.Sprintf("BO_ 1 M: %d X\n SG_ S : %s [0|1] \"\" X\n", c.size, c.signal))
			if len(warnings) > 0 {
				t.Fatal(warnings)
			}
			values, err := db.Message(1, false).Decode(frame(t, 1, false, c.data), nil)
			if err != nil || len(values) != 1 {
				t.Fatal(values, err)
			}
			if got := string(values[0].AppendJSON(nil)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestFloatSignals(t *testing.T) {
	db, warnings := parseText(t, `BO_ 1 M: 16 X
 SG_ F : 0|32@1- (1,0) [0|0] "" X
 SG_ D : 64|64@1- (2,1) [0|0] "" X
 SG_ Short : 32|16@1- (1,0) [0|0] "" X
SIG_VALTYPE_ 1 F : 1;
SIG_VALTYPE_ 1 D : 2;
SIG_VALTYPE_ 1 Short : 1;
`)
	if len(warnings) != 1 || !strings.Contains(warnings[0].String(), "test.dbc:7:1: signal M.Short has 16 bits, a float32 wants 32") {
		t.Error(warnings)
	}
	m := db.Message(1, false)
	fr := frame(t, 1, false, "0000C03F"+"00000000"+"0000000000000440") // 1.5 and 2.5
	values, err := m.Decode(fr, nil)
	if err != nil || values[0].Physical != 1.5 || values[1].Physical != 6 {
		t.Error(values, err)
	}
	m.Signals[0].Encode(fr.Bytes(), math.NaN())
	values, _ = m.Decode(fr, values[:0])
	if text := string(values[0].AppendJSON(nil)); text != "null" {
		t.Errorf("NaN prints as %s, want null", text)
	}
}

func TestFramesThatAreNotOfTheMessage(t *testing.T) {
	db, _ := parseText(t, "BO_ 1 M: 2 X\n SG_ S : 0|16@1+ (1,0) [0|1] \"\" X\n")
	m := db.Message(1, false)
	for _, c := range []struct {
		name string
		fr   *can.Frame
		want error
	}{
		{"short", frame(t, 1, false, "01"), ErrShort},
		{"exact", frame(t, 1, false, "0102"), nil},
		{"longer", frame(t, 1, false, "010203"), nil},
		{"remote", &can.Frame{ID: 1, Flags: can.Remote, Len: 2}, ErrNoData},
		{"error", &can.Frame{ID: 1, Flags: can.Error, Len: 8}, ErrNoData},
	} {
		values, err := m.Decode(c.fr, nil)
		if !errors.Is(err, c.want) || (err == nil) != (len(values) == 1) {
			t.Errorf("%s: %v, %v: want %v", c.name, values, err, c.want)
		}
	}
}

func TestIdentifiersOfBothKindsAreTwoMessages(t *testing.T) {
	db, warnings := parseText(t, "BO_ 291 Short: 1 X\nBO_ 2147483939 Long: 1 X\nBO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX\n")
	if len(warnings) > 0 || len(db.Messages) != 2 {
		t.Error(db.Messages, warnings)
	}
	if m := db.Message(0x123, false); m == nil || m.Name != "Short" || m.Extended {
		t.Error(m)
	}
	if m := db.Message(0x123, true); m == nil || m.Name != "Long" || !m.Extended || m.ID != 0x123 {
		t.Error(m)
	}
	if m := db.Message(0x124, false); m != nil {
		t.Error(m)
	}
}

func TestMultiplexedSignalsComeWithTheirValue(t *testing.T) {
	db, _ := parseText(t, `BO_ 1 M: 3 X
 SG_ A m0 : 8|8@1+ (1,0) [0|0] "" X
 SG_ Page M : 0|8@1+ (1,0) [0|0] "" X
 SG_ B m1 : 8|8@1+ (1,0) [0|0] "" X
 SG_ Always : 16|8@1+ (1,0) [0|0] "" X
`)
	for data, want := range map[string]string{"000102": "A Page Always", "010102": "Page B Always", "020102": "Page Always"} {
		values, err := db.Message(1, false).Decode(frame(t, 1, false, data), nil)
		var names []string
		for _, v := range values {
			names = append(names, v.Signal.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %s, %v: want %s", data, got, err, want)
		}
	}
}

func TestOnlyTheFirstMultiplexerChooses(t *testing.T) {
	db, _ := parseText(t, `BO_ 1 M: 3 X
 SG_ First M : 0|8@1+ (1,0) [0|1] "" X
 SG_ Second M : 8|8@1+ (1,0) [0|1] "" X
 SG_ Page m1 : 16|8@1+ (1,0) [0|1] "" X
`)
	m := db.Messages[0]
	if !m.Signals[0].Multiplexer || m.Signals[1].Multiplexer {
		t.Error("the second multiplexer is one still")
	}
	for data, want := range map[string]int{"010000": 3, "000100": 2} {
		if values, err := m.Decode(frame(t, 1, false, data), nil); err != nil || len(values) != want {
			t.Errorf("%s: %v, %v: want %d signals", data, values, err, want)
		}
	}
}

func TestIntegersPrintExactly(t *testing.T) {
	for _, c := range []struct{ signal, data, want string }{
		{`0|64@1+ (1,0)`, "FFFFFFFFFFFFFFFF", "18446744073709551615"},
		{`0|64@1- (1,0)`, "0000000000000080", "-9223372036854775808"},
		{`0|64@1- (-1,0)`, "0000000000000080", "9223372036854776000"}, // 2^63 fits no int64: a float
		{`0|64@1+ (1,0)`, "0100000000002000", "9007199254740993"},     // 2^53+1
		{`0|64@1- (1,1)`, "0100000000002000", "9007199254740994"},
		{`0|64@1+ (1,-1)`, "0000000000000000", "-1"},
		{`0|64@1+ (2,0)`, "FFFFFFFFFFFFFFFF", "36893488147419103000"}, // beyond 64 bits: a float
		{`0|8@1+ (0.25,0)`, "07", "1.75"},
		{`0|8@1+ (0.25,0)`, "08", "2"},
		{`0|8@1+ (10,-40)`, "01", "-30"},
		{`0|8@1+ (0.1,0)`, "03", "0.30000000000000004"},
	} {
		db, _ := parseText(t, "BO_ 1 M: 8 X\n SG_ S : "+c.signal+` [0|1] "" X`+"\n")
		fr := frame(t, 1, false, c.data)
		fr.Len = 8
		values, err := db.Message(1, false).Decode(fr, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(values[0].AppendJSON(nil)); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.signal, c.data, got, c.want)
		}
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	db, _ := parseText(t, "BO_ 1 M: 2 X\n SG_ A : 0|8@1+ (0.1,0) [0|1] \"\" X\n SG_ B : 15|8@0- (1,0) [0|1] \"\" X\n")
	fr := frame(t, 1, false, "0102")
	values, text := make([]Value, 0, 8), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		values, _ = db.Message(1, false).Decode(fr, values[:0])
		for _, v := range values {
			text = v.AppendJSON(text[:0])
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame, want none", n)
	}
}
