package canlog

import (
	"strings"
	"testing"
)

// The same drive in every file version. Offsets are in milliseconds.
func TestReadsEveryVersionOfTRC(t *testing.T) {
	const data = "  8  48 00 87 18 21 02 F9 00 "
	for _, c := range []struct {
		name string
		log  []string
		want []want
	}{
		{"1.0", []string{
			";##########################################################################",
			";   C:\\TraceFile.trc",
			"     1)      1841      02A0" + data,
			"     2)      1842      0008  4  ERROR 00 19 08 08",
			"     3)      1843  FFFFFFFF  4  00 00 00 04 -- -- -- --  BUSLIGHT",
			"     4)      1844      0100  3  RTR",
			"     5)      1845  00000100  1  0F",
		}, []want{
			{"2A0#480087182102F900", "", 1841e6}, {"20000080#0000000000000000", "", 1842e6},
			{"100#R3", "", 1844e6}, {"00000100#0F", "", 1845e6},
		}},
		{"1.1", []string{
			";$FILEVERSION=1.1",
			";$STARTTIME=37704.5364870833",
			"     1)      1059.9  Rx         02A0" + data,
			"     2)      1346.8  Warng  FFFFFFFF  4  00 00 00 04  BUSLIGHT",
			"     3)      1349.2  Error      0008  4  00 19 08 08",
			"     4)      1352.7  Tx         0100  3  RTR",
			"     5)      1353.0  Tx     18FEF100  0",
		}, []want{
			{"2A0#480087182102F900", "", 1059900000}, {"20000080#0000000000000000", "", 1349200000},
			{"100#R3", "", 1352700000}, {"18FEF100#", "", 1353e6},
		}},
		{"1.2", []string{
			";$FILEVERSION=1.2",
			"     1)      1059.900  1  Rx         02A0" + data,
			"     2)      1346.834  1  Warng  FFFFFFFF  4  00 00 00 04  BUSLIGHT",
			"     3)      1352.743  2  Rx         0100  3  RTR",
		}, []want{{"2A0#480087182102F900", "1", 1059900000}, {"100#R3", "2", 1352743000}}},
		{"1.3", []string{
			";$FILEVERSION=1.3",
			"     1)      1059.900 1  Rx        02A0 -" + data,
			"     2)      1349.222 1  Error     0008 -  4    00 19 08 08",
			"     3)      1352.743 2  Rx        0100 -  3    RTR",
		}, []want{
			{"2A0#480087182102F900", "1", 1059900000}, {"20000080#0000000000000000", "1", 1349222000},
			{"100#R3", "2", 1352743000},
		}},
		{"2.0", []string{
			";$FILEVERSION=2.0",
			";$STARTTIME=42209.4075997106",
			";$COLUMNS=N,O,T,I,d,l,D",
			"      1      1059.900 DT     02A0 Rx" + data,
			"      2      1334.416 FD     0500 Tx 12 01 02 03 04 05 06 07 08 09 0A 0B 0C",
			"      3      1334.522 ER          Rx    04 00 02 00 00",
			"      4      1334.531 ST          Rx    00 00 00 08",
			"      5      1334.643 EC          Rx    02 02",
			"      6      1336.543 RR     0100 Rx 3",
		}, []want{
			{"2A0#480087182102F900", "", 1059900000}, {"500##00102030405060708090A0B0C", "", 1334416000},
			{"20000080#0000000000000000", "", 1334522000}, {"100#R3", "", 1336543000},
		}},
		{"2.1", []string{
			";$FILEVERSION=2.1",
			";$STARTTIME=41766.4648963872",
			";$COLUMNS=N,O,T,B,I,d,R,L,D",
			"      1      1059.900 DT 1      02A0 Rx -" + data,
			"      2      1334.416 FB 2  18FEF100 Tx -  9    01 02 03 04 05 06 07 08 09 0A 0B 0C",
			"      3      1334.417 FE 2      0500 Tx -  1    01",
			"      4      1334.418 BI 2      0500 Tx -  0",
			"      5      1334.222 ER 1         - Rx -  5    04 00 02 00 00",
			"      6      1334.224 EV 1  User-defined event for bus 1",
			"      7      1334.225 EV -  User-defined event for all busses",
			"      8      1334.231 ST 1         - Rx -  4    00 00 00 08",
			"      9      1334.643 EC 1         - Rx -  2    02 02",
			"     10      1336.543 RR 1      0100 Rx -  3",
			"     11      1337.000 DT 1      0100 Rx -  15   00 01 02 03 04 05 06 07",
		}, []want{
			{"2A0#480087182102F900", "1", 1059900000}, {"18FEF100##10102030405060708090A0B0C", "2", 1334416000},
			{"500##201", "2", 1334417000}, {"500##3", "2", 1334418000},
			{"20000080#0000000000000000", "1", 1334222000}, {"100#R3", "1", 1336543000},
			{"100#0001020304050607", "1", 1337e6},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rd := NewReader(strings.NewReader(strings.Join(c.log, "\r\n")), Auto)
			check(t, readAll(t, rd), c.want)
			if rd.Skipped() != 0 {
				t.Errorf("got %v skipped, want nothing", rd.SkippedLines())
			}
			if rd.Format() != TRC {
				t.Errorf("format: got %v, want .trc", rd.Format())
			}
		})
	}
}

func TestTRCLineThatIsNoFrameIsSkippedWithItsReason(t *testing.T) {
	const v1 = ";$FILEVERSION=1.1\n1) 1.0 Rx 0001 0\n"
	const v2 = ";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n1 1.0 DT 1 0001 Rx - 0\n"
	for _, c := range []struct{ head, line, reason string }{
		{v1, "2) 1059.9 Rx 0300 7 00 00 00", "ends before"},
		{v1, "2) 1059.9 Rx 0300", "ends before"},
		{v1, "2) 1059.9", "ends before"},
		{v1, "x) 1059.9 Rx 0300 0", "message number"},
		{v1, "2) 10z.9 Rx 0300 0", "time stamp"},
		{v1, "2) 1059.9 0300 0 00 00", "type: want"},
		{v1, "2) 1059.9 Rx 0900 0", "0x900: want at most 0x7FF"},
		{v1, "2) 1059.9 Rx 03X0 0", "frame id"},
		{v1, "2) 1059.9 Rx 0300 16", "length"},
		{v1, "2) 1059.9 Rx 0300 1 123", "two hexadecimal"},
		{v2, "2 1059.9 DT 1 0300 Rx - 7 00", "ends before"},
		{v2, "2 1059.9 DT 1 0300", "ends before"},
		{v2, "2 1059.9", "ends before"},
		{v2, "2 1059.9 DT 1 0300 Rx - 16", "length"},
		{";$COLUMNS=N,O,T,B,I,d,R,l,D\n1) 1.0 Rx 0001 0\n;$FILEVERSION=2.1\n", "2 1059.9 FD 1 0300 Rx - 9 00", "length"},
		{v1 + ";$FILEVERSION=2.1\n", "2 1059.9 DT 1 0300 Rx - 0", "$COLUMNS"},
		{v1 + ";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,D\n", "2 1059.9 DT 1 0300 Rx - 0", "$COLUMNS"},
	} {
		t.Run(c.line, func(t *testing.T) {
			rd := NewReader(strings.NewReader(c.head+c.line+"\n"), TRC)
			if got := readAll(t, rd); len(got) != 1 || rd.Skipped() != 1 {
				t.Fatalf("got %v and %v skipped, want one frame and one line skipped", got, rd.SkippedLines())
			}
			if s := rd.SkippedLines()[0]; !strings.Contains(s.Reason, c.reason) {
				t.Errorf("got %q, want it to say %q", s.Reason, c.reason)
			}
		})
	}
}

func FuzzTRC(f *testing.F) {
	f.Add("     1)      1841      02A0  8  48 00 87 18 21 02 F9 00\n     2)      1844      0100  3  RTR")
	f.Add(";$FILEVERSION=1.3\n     1)      1059.900 1  Rx        02A0 -  2  48 00\n 2) 1 1 Error 0008 - 4 00")
	f.Add(";$FILEVERSION=2.0\n;$COLUMNS=N,O,T,I,d,l,D\n2 1334.416 FD 0500 Tx 12 01 02 03 04 05 06 07 08 09 0A 0B 0C")
	f.Add(";$FILEVERSION=2.1\n;$COLUMNS=N,O,T,B,I,d,R,L,D\n1 1059.900 BI 1 18FEF100 Rx -  2  01 02\n5 1 ER 1 - Rx - 5 04")
	f.Fuzz(func(t *testing.T, log string) { fuzz(t, log, TRC) })
}
