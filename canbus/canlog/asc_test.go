package canlog

import (
	"strings"
	"testing"
)

const ascStart = "date Sam Sep 30 15:06:13.191 2017\r\nbase hex  timestamps absolute\r\ninternal events logged\r\n" +
	"// version 9.0.0\r\nBegin Triggerblock Sam Sep 30 15:06:13.191 2017\r\n   0.000000 Start of measurement\r\n"

func TestReadsEveryKindOfASCLine(t *testing.T) {
	data64 := strings.Repeat(" A1", 64)
	hex64 := strings.Repeat("A1", 64)
	for _, c := range []struct {
		name, line string
		want       []want
	}{
		{"classic", "   3.098426 1  2A0             Rx   d 8 48 00 87 18 21 02 F9 00  Length = 240015 BitCount = 124 ID = 672", []want{{"2A0#480087182102F900", "1", 3098426000}}},
		{"extended, sent", "   3.098426 2  18EBFF00x       Tx d 2 01 A0", []want{{"18EBFF00#01A0", "2", 3098426000}}},
		{"length code above 8", "  13.258671 1  3FF             Tx   d D 55 AA 01 02 03 04 05 06  Length = 232016", []want{{"3FF#55AA010203040506", "1", 13258671000}}},
		{"no data", "   1.0 1  3FF Rx d 0", []want{{"3FF#", "1", 1e9}}},
		{"remote", "   2.510001 2 100 Tx r", []want{{"100#R", "2", 2510001000}}},
		{"remote with length", "   2.584921 4 300 Tx r 8 Length = 1704000 BitCount = 145 ID = 88888888x", []want{{"300#R8", "4", 2584921000}}},
		{"remote without length, more behind", "   2.520002 3 200 Tx r Length = 1704000 BitCount = 145", []want{{"200#R", "3", 2520002000}}},
		{"error frame", "   2.501010 1 ErrorFrame ECC: 10100010", []want{{"20000080#0000000000000000", "1", 2501010000}}},
		{"FD", "  30.506898 CANFD   4 Rx        4EE                                   0 1 f 64" + data64 + "   1331984 11 0 46500250 460a0250 20011736 20010205", []want{{"4EE##2" + hex64, "4", 30506898000}}},
		{"FD with name", "  31.506898 CANFD   4 Rx        1C4D80A7x    AlphaNumericName_2       1 0 9 12 01 02 03 04 05 06 07 08 09 0A 0B 0C  102203  133   303000", []want{{"1C4D80A7##10102030405060708090A0B0C", "4", 31506898000}}},
		{"FD without flags", "  31.5 CANFD   1 Tx 123 0 0 2 2 01 02", []want{{"123##00102", "1", 31500000000}}},
		{"classic frame of an FD controller", "  30.005041 CANFD   2 Tx  300  0 0 8  8 12 c2 03 04 05 06 07 08   102203  133   200000 e0006659", []want{{"300#12C2030405060708", "2", 30005041000}}},
		{"remote frame of an FD controller", "  30.300981 CANFD   3 Tx     50005x    0 0 5 0 140000 73 200050 7a60 46500250", []want{{"00050005#R5", "3", 30300981000}}},
		{"remote frame of an FD controller, with data", "  30.3 CANFD   3 Tx     5    0 0 1 1 FF 140000 73 200050", []want{{"005#R1", "3", 30300000000}}},
		{"FD error frame", "  30.806898 CANFD   5 Tx ErrorFrame Not Acknowledge error, dominant error flag", []want{{"20000080#0000000000000000", "5", 30806898000}}},
		{"statistics", "   1.015991 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%", nil},
		{"chip state", "   0.015991 CAN 1 Status:chip status error passive - TxErr: 132 RxErr: 0", nil},
		{"J1939 transport", "   3.297743 1  J1939TP FEE3p        6    0  0   -   Rx   d 23 A0 0F A6", nil},
		{"another network", "   3.297743 LIN 1 33 Rx 8 00 01", nil},
		{"comment", "//0.000000 previous log file: x.asc", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			anchor := want{"001#", "9", 0}
			rd := NewReader(strings.NewReader(ascStart+"0.0 9 1 Rx d 0\r\n"+c.line+"\r\nEnd TriggerBlock\r\n"), Auto)
			check(t, readAll(t, rd), append([]want{anchor}, c.want...))
			if rd.Skipped() != 0 {
				t.Errorf("got %v skipped, want nothing", rd.SkippedLines())
			}
			if rd.Format() != ASC {
				t.Errorf("format: got %v, want .asc", rd.Format())
			}
		})
	}
}

func TestASCBaseAndStampsAreThoseOfItsHeader(t *testing.T) {
	log := "base dec timestamps relative\n" +
		"0.5 1 672 Rx d 2 72 255\n" +
		"0.25 1 Statistic: D 0\n" + // an event, so the next stamp counts from it
		"0.25 1 419364096x Rx d 0\n"
	check(t, readAll(t, NewReader(strings.NewReader(log), Auto)), []want{
		{"2A0#48FF", "1", 5e8}, {"18FEFD00#", "1", 1e9},
	})
}

func TestASCLineThatIsNoFrameIsSkippedWithItsReason(t *testing.T) {
	for _, c := range []struct{ line, reason string }{
		{"   3.098426 1  2A0             Rx   d 8 48 00 8", "ends before"},
		{"   3.098426 1  2A0             Rx   d 8 48 00", "ends before"},
		{"   3.098426 1  2A0             Rx   d", "ends before"},
		{"   3.098426 1  2A0             Rx", "ends before"},
		{"   3.098426 1", "ends before"},
		{"   3.098426", "ends before"},
		{"   3.09x 1  2A0  Rx d 0", "time stamp"},
		{"   3.1 1  900  Rx d 0", "0x900: want at most 0x7FF"},
		{"   3.1 1  EngineData  Rx d 0", "frame id"},
		{"   3.1 1  2A0  Up d 0", "direction"},
		{"   3.1 1  2A0  Rx q 0", "kind"},
		{"   3.1 1  2A0  Rx d 10", "length"},
		{"   3.1 1  2A0  Rx d 1 100", "two hexadecimal"},
		{"   3.1 CANFD 1 Rx 123 2 0 1 1 00", "BRS and ESI"},
		{"   3.1 CANFD 1 Rx 123 0 0 9 11 00 00 00 00 00 00 00 00 00 00 00", "no CAN FD frame"},
		{"   3.1 CANFD 1 Rx 123 0 0 f 65", "length"},
		{"   3.1 CANFD 1 Rx 123 0 0 f", "ends before"},
		{"something else", "header line"},
	} {
		t.Run(c.line, func(t *testing.T) {
			rd := NewReader(strings.NewReader(ascStart+"0.0 9 1 Rx d 0\n"+c.line+"\n"), Auto)
			if got := readAll(t, rd); len(got) != 1 || rd.Skipped() != 1 {
				t.Fatalf("got %v and %d lines skipped, want one frame and one line skipped", got, rd.Skipped())
			}
			if s := rd.SkippedLines()[0]; s.Line != 8 || !strings.Contains(s.Reason, c.reason) {
				t.Errorf("got line %d %q, want line 8 with %q", s.Line, s.Reason, c.reason)
			}
		})
	}
}

func FuzzASC(f *testing.F) {
	f.Add(ascStart + "   3.098426 1  2A0             Rx   d 8 48 00 87 18 21 02 F9 00  Length = 240015")
	f.Add("base dec timestamps relative\n0.5 1 672 Rx d 2 72 255\n9223372035 1 2 Rx r 8\n9223372035 1 ErrorFrame")
	f.Add("  31.506898 CANFD   4 Rx        1C4D80A7x    Name       1 0 9 12 01 02 03 04 05 06 07 08 09 0A 0B 0C  1  133   303000")
	f.Add("  30.300981 CANFD   3 Tx     50005x    0 0 5 0 140000 73 200050 7a60 46500250")
	f.Add("  30.300981 CANFD   3 Tx     5    0 0 1 1 FF 140000 73 200050")
	f.Fuzz(func(t *testing.T, log string) { fuzz(t, log, ASC) })
}
