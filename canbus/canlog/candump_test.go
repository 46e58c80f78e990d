package canlog

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// want is a frame as candump -l writes it, with the rest of its record.
type want struct {
	frame string
	bus   string
	stamp int64 // -1: none
}

// readAll reads a log in the form of want, failing the test on an error.
func readAll(t *testing.T, rd *Reader) []want {
	t.Helper()
	var got []want
	for rd.Scan() {
		rec := rd.Record()
		w := want{frame: rec.Frame.String(), bus: rec.Bus, stamp: -1}
		if rec.HasStamp {
			w.stamp = rec.Stamp
		}
		for _, b := range rec.Frame.Data[rec.Frame.Len:] {
			if b != 0 {
				t.Errorf("line %d: a byte is left behind the frame's data", rec.Line)
				break
			}
		}
		got = append(got, w)
	}
	if err := rd.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

func check(t *testing.T, got, want []want) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d frames %v, want %d", len(got), got, len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("frame %d: got %v, want %v", i+1, got[i], want[i])
		}
	}
}

func TestReadsEveryFormOfCandump(t *testing.T) {
	const stamp = 1600279140_020108000
	local := time.Date(2020, 9, 16, 18, 39, 0, 20108000, time.Local).UnixNano()
	fd64 := strings.Repeat("0A", 64)
	for _, c := range []struct {
		name, line string
		want       want
	}{
		{"log", "(1600279140.020108) can0 2A0#480087182102F900", want{"2A0#480087182102F900", "can0", stamp}},
		{"log with nanoseconds", "(1600279140.020108003) can0 2A0#48", want{"2A0#48", "can0", stamp + 3}},
		{"log, bus set to the right", "(1600279140.020108)   can0 2A0#48", want{"2A0#48", "can0", stamp}},
		{"log, extended", "(1600279140.020108) can0 18FEF100#0102", want{"18FEF100#0102", "can0", stamp}},
		{"log, no data", "(1600279140.020108) can0 7FF#", want{"7FF#", "can0", stamp}},
		{"log, remote", "(1600279140.020108) can0 123#R", want{"123#R", "can0", stamp}},
		{"log, remote with length", "(1600279140.020108) can0 123#R8", want{"123#R8", "can0", stamp}},
		{"log, FD", "(1600279140.020108) can0 123##1AABB", want{"123##1AABB", "can0", stamp}},
		{"log, FD flag 4 masked", "(1600279140.020108) can0 123##6AABB", want{"123##2AABB", "can0", stamp}},
		{"log, FD of 64 bytes", "(1600279140.020108) can0 18FEF100##5" + fd64, want{"18FEF100##1" + fd64, "can0", stamp}},
		{"log, error", "(1600279140.020108) can0 20000088#00001E0000000000", want{"20000088#00001E0000000000", "can0", stamp}},
		{"log with direction", "(1600279140.020108) can0 2A0#48 R", want{"2A0#48", "can0", stamp}},
		{"log with raw length code", "(1600279140.020108) can0 2A0#1122334455667788_F", want{"2A0#1122334455667788", "can0", stamp}},
		{"log, dots and small letters", "(1600279140.020108) can0 2a0#48.0e", want{"2A0#480E", "can0", stamp}},
		{"log without stamp", "can0 2A0#48", want{"2A0#48", "can0", -1}},
		{"log, CR LF", "(1600279140.020108) can0 2A0#48\r", want{"2A0#48", "can0", stamp}},

		{"console", "  can0  2A0   [8]  48 00 87 18 21 02 F9 00", want{"2A0#480087182102F900", "can0", -1}},
		{"console -t a", " (1600279140.020108)  can0  2A0   [2]  48 00", want{"2A0#4800", "can0", stamp}},
		{"console -t A", " (2020-09-16 18:39:00.020108)  can0  2A0   [2]  48 00", want{"2A0#4800", "can0", local}},
		{"console -t z", " (003.020108)  can0  2A0   [2]  48 00", want{"2A0#4800", "can0", 3_020108000}},
		{"console, indented id", "  can0       2A0   [2]  48 00", want{"2A0#4800", "can0", -1}},
		{"console, extended", "  can0  18FEF100   [2]  48 00", want{"18FEF100#4800", "can0", -1}},
		{"console, no data", "  can0  2A0   [0] ", want{"2A0#", "can0", -1}},
		{"console, remote", "  can0  123   [5]  remote request", want{"123#R5", "can0", -1}},
		{"console, FD", "  can0  123  [12]  01 02 03 04 05 06 07 08 09 0A 0B 0C", want{"123##00102030405060708090A0B0C", "can0", -1}},
		{"console, short FD", "  can0  123  [02]  01 02", want{"123##00102", "can0", -1}},
		{"console -x", "  can0  RX B E  123  [02]  01 02", want{"123##30102", "can0", -1}},
		{"console -x, classic", "  can0  TX - -  123   [2]  01 02", want{"123#0102", "can0", -1}},
		{"console -a", "  can0  2A0   [3]  48 00 27                  'H.''", want{"2A0#480027", "can0", -1}},
		{"console -i", "  can0  2A0   [2]  01001000 11111111", want{"2A0#48FF", "can0", -1}},
		{"console -S", "  can0  2A0   [3]  01`02`03", want{"2A0#030201", "can0", -1}},
		{"console -S -a", "  can0  2A0   [3]  01`02`48                  `H..`", want{"2A0#480201", "can0", -1}},
		{"console, raw length code", "  can0  2A0   {F}  01 02 03 04 05 06 07 08", want{"2A0#0102030405060708", "can0", -1}},
		{"console, error", "  can0  20000088   [8]  00 00 1E 00 00 00 00 00   ERRORFRAME", want{"20000088#00001E0000000000", "can0", -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rd := NewReader(strings.NewReader(c.line+"\n"), Auto)
			check(t, readAll(t, rd), []want{c.want})
			if rd.Format() != Candump {
				t.Errorf("format: got %v, want candump", rd.Format())
			}
		})
	}
}

func TestStampTextIsWhatTheLogHas(t *testing.T) {
	for _, text := range []string{"1600279140.020108", "0000000012.500000", "003.1", "12", "2020-09-16 18:39:00.020108"} {
		rd := NewReader(strings.NewReader("("+text+") can0 2A0#48\n"), Candump)
		if !rd.Scan() {
			t.Fatalf("stamp %s: %v", text, rd.Err())
		}
		if got := string(rd.Record().StampText); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
}

func TestLineThatIsNoFrameIsSkippedWithItsReason(t *testing.T) {
	for _, c := range []struct{ line, reason string }{
		{"(1600279140.020108) can0 2A0#48008718210", "ends before"},
		{"(1600279140.020108) can0 2A0", "ends before"},
		{"(1600279140.020108) can0", "ends before"},
		{"(1600279140.020108)", "ends before"},
		{"(1600279140.0201", "ends before"},
		{"(1600279140.0201x8) can0 2A0#48", "time stamp"},
		{"(99999999999.0) can0 2A0#48", "time stamp"},
		{"(9223372036.0) can0 2A0#48", "time stamp"},
		{"(9223372036) can0 2A0#48", "time stamp"},
		{"(1600279140.0123456789) can0 2A0#48", "time stamp"},
		{"(2020-13-16 18:39:00.0) can0 2A0#48", "time stamp"},
		{"(1600279140.020108) can0 2A0#4G", "two hexadecimal digits"},
		{"(1600279140.020108) can0 2A0#48(1600279140.020108) can0 2A0#48", "unexpected text"},
		{"(1600279140.020108) can0 2A0#48 can0", "unexpected text"},
		{"(1600279140.020108) can0 8FF#48", "0x8FF: want at most 0x7FF"},
		{"(1600279140.020108) can0 FFFFFFFF#48", "0xFFFFFFFF: want at most 0x1FFFFFFF"},
		{"(1600279140.020108) can0 2A#48", "3 hexadecimal digits"},
		{"(1600279140.020108) can0 2A0#112233445566778899", "at most 8 bytes"},
		{"(1600279140.020108) can0 2A0##0112233445566778899", "no CAN FD frame has that length"},
		{"(1600279140.020108) can0 2A0##", "ends before"},
		{"(1600279140.020108) can0 2A0#R9", "length: want 0 to 8"},
		{"(1600279140.020108) can0 12345678#80:00:12345678#11", "CAN XL"},
		{"  can0  2A0   [8]  48 00 87", "ends before"},
		{"  can0  2A0   [9]  48 00 87", "length: want 0 to 8"},
		{"  can0  2A0  [11]  48 00 87", "no CAN FD frame has that length"},
		{"  can0  2A0   [2]  48 0", "ends before"},
		{"  can0  2A0   [2]  48 00 99", "unexpected text"},
		{"  can0  2A0   [1]  remote", "ends before"},
		{"DROPCOUNT: dropped 3 CAN frames on 'can0' socket (total drops 3)", "lost frames"},
		{"hello, world out there", "want e.g."},
	} {
		t.Run(c.line, func(t *testing.T) {
			log := "(1600279140.000000) can0 001#\n" + c.line + "\n(1600279140.000001) can0 002#\n"
			rd := NewReader(strings.NewReader(log), Auto)
			if got := readAll(t, rd); len(got) != 2 {
				t.Errorf("got %d frames, want the one before and the one behind", len(got))
			}
			if rd.Skipped() != 1 {
				t.Fatalf("got %d lines skipped, want 1", rd.Skipped())
			}
			if s := rd.SkippedLines()[0]; s.Line != 2 || !strings.Contains(s.Reason, c.reason) {
				t.Errorf("got line %d %q, want line 2 with %q", s.Line, s.Reason, c.reason)
			}
		})
	}
}

func TestExplanationsOfErrorFramesAreNoFrames(t *testing.T) {
	log := "  can0  20000088   [8]  00 00 08 00 00 00 00 00   ERRORFRAME\n\tprotocol-violation{{tx-dominant-bit-error}{}}\n\tbus-error\n\n"
	rd := NewReader(strings.NewReader(log), Auto)
	if got := readAll(t, rd); len(got) != 1 || rd.Skipped() != 0 {
		t.Errorf("got %d frames, %d lines skipped; want 1 and none", len(got), rd.Skipped())
	}
}

func TestWrittenLinesReadBack(t *testing.T) {
	lines := []string{
		"(1600279140.020108) can0 2A0#480087182102F900",
		"(0000000012.500000) vcan11 18FEF100#",
		"(1600279140.020108) can0 123#R5",
		"(1600279140.020108) can0 123##3AABB",
		"(1600279140.020108) can0 20000004#0001000000000000",
	}
	rd := NewReader(strings.NewReader(strings.Join(lines, "\n")), Candump)
	for _, line := range lines {
		if !rd.Scan() {
			t.Fatal(rd.Err())
		}
		rec := rd.Record()
		if got := string(AppendLine(nil, rec.Stamp, StampDigits, rec.Bus, &rec.Frame)); got != line+"\n" {
			t.Errorf("got %q, want %q", got, line)
		}
	}
	for digits, want := range []string{"0000000001", "0000000001.0", "0000000001.00", "0000000001.000", "0000000001.0000", "0000000001.00002", "0000000001.000023"} {
		if got := string(AppendStamp(nil, 1_000023456, digits)); got != want {
			t.Errorf("%d digits: got %s, want %s", digits, got, want)
		}
	}
}

func FuzzCandump(f *testing.F) {
	f.Add("(1600279140.020108) can0 2A0#480087182102F900")
	f.Add("(1600279140.020108) can0 123##1AABB R")
	f.Add(" (2020-09-16 18:39:00.020108)  can0  RX B -  123  [12]  01 02 03 04 05 06 07 08 09 0A 0B 0C  'abc'")
	f.Add("  can0  123   [5]  remote request")
	f.Add("  can0  2A0   [3]  01`02`03")
	f.Fuzz(func(t *testing.T, log string) { fuzz(t, log, Candump) })
}

// fuzz holds a reader to what is true of every input: it ends, counts lines
// once, and gives valid frames that read back from candump's own form.
func fuzz(t *testing.T, log string, format Format) {
	rd := NewReader(strings.NewReader(log), format)
	frames := uint64(0)
	for rd.Scan() {
		frames++
		rec := rd.Record()
		if rec.HasStamp && rec.Stamp < 0 {
			t.Fatalf("line %d: stamp %d", rec.Line, rec.Stamp)
		}
		line := AppendLine(nil, max(rec.Stamp, 0), StampDigits, "can0", &rec.Frame)
		back := NewReader(strings.NewReader(string(line)), Candump)
		if !back.Scan() {
			t.Fatalf("line %d: %s does not read back: %v", rec.Line, line, back.Err())
		}
		if back.Record().Frame != rec.Frame {
			t.Fatalf("line %d: got %v back, want %v", rec.Line, back.Record().Frame, rec.Frame)
		}
	}
	if (rd.Err() == nil) != (frames > 0) {
		t.Fatalf("%d frames, error %v", frames, rd.Err())
	}
	if lines := uint64(strings.Count(log, "\n") + 1); frames+rd.Skipped() > lines {
		t.Fatalf("%d frames and %d skipped of %d lines", frames, rd.Skipped(), lines)
	}
}

func BenchmarkReadCandump(b *testing.B) {
	var log strings.Builder
	const lines = 10_000
	for i := range lines {
		fmt.Fprintf(&log, "(%010d.%06d) can0 %03X#%016X\n", 1600279140+i/1500, i%1500*667, i%0x7FF, i*0x1234567)
	}
	text := log.String()
	b.SetBytes(int64(len(text) / lines))
	b.ReportAllocs()
	in := strings.NewReader(text)
	rd := NewReader(in, Candump)
	b.ResetTimer()
	for range b.N {
		if !rd.Scan() {
			in.Reset(text)
			rd.lines.Reset(in)
			rd.err = nil
		}
	}
}
