package canlog

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recording is a real drive: 36 s of a car's 500 kbit/s bus.
const recording = "../../../shared/data/can/genesis-drive.candump"

func TestReadsEveryFrameOfARealDrive(t *testing.T) {
	if _, err := os.Stat(recording); err != nil {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	rd, err := Open(recording)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	ids := map[uint32]int{}
	first, last := "", ""
	for rd.Scan() {
		rec := rd.Record()
		ids[rec.Frame.ID]++
		if last = string(rec.StampText); first == "" {
			first = last
		}
	}
	if err := rd.Err(); err != nil {
		t.Fatal(err)
	}
	frames := 0
	for _, n := range ids {
		frames += n
	}
	if frames != 55_314 || len(ids) != 26 || rd.Skipped() != 0 {
		t.Errorf("got %d frames of %d ids and %d lines skipped; want 55314, 26 and 0", frames, len(ids), rd.Skipped())
	}
	if first != "1600279140.020108" || last != "1600279176.442345" {
		t.Errorf("got stamps from %s to %s, want 1600279140.020108 to 1600279176.442345", first, last)
	}
}

func TestTornLastLineIsCountedNotFatal(t *testing.T) {
	rd := NewReader(strings.NewReader("(1600279140.020108) can0 2A0#48\n(1600279140.020108) can0 2A0#4"), Auto)
	if got := readAll(t, rd); len(got) != 1 {
		t.Errorf("got %d frames, want 1", len(got))
	}
	if s := rd.SkippedLines(); len(s) != 1 || s[0].Line != 2 {
		t.Errorf("got %v skipped, want line 2", s)
	}
}

func TestOnlyTheFirstSkippedLinesAreKept(t *testing.T) {
	log := "(1.0) can0 2A0#48\n" + strings.Repeat("(1.0) can0 2A0#4\n", 1000)
	rd := NewReader(strings.NewReader(log), Auto)
	readAll(t, rd)
	if rd.Skipped() != 1000 || len(rd.SkippedLines()) != maxKept {
		t.Errorf("got %d skipped and %d kept, want 1000 and %d", rd.Skipped(), len(rd.SkippedLines()), maxKept)
	}
}

func TestOverlongLineIsSkippedWhole(t *testing.T) {
	log := "(1.0) can0 001#\n" + strings.Repeat("x (1.0) can0 2A0#48 ", maxLine/8) + "\n(1.0) can0 002#\n"
	rd := NewReader(strings.NewReader(log), Auto)
	check(t, readAll(t, rd), []want{{"001#", "can0", 1e9}, {"002#", "can0", 1e9}})
	if s := rd.SkippedLines(); len(s) != 1 || s[0].Line != 2 || !strings.Contains(s[0].Reason, "longer than") {
		t.Errorf("got %v skipped, want line 2 as too long", s)
	}
}

func TestLogWithoutFramesIsAnError(t *testing.T) {
	for _, c := range []struct{ name, log, says string }{
		{"empty", "", "found 0 lines"},
		{"blank", "\n\n", "found 2 lines"},
		{"header only", ascStart, "without a frame"},
		{"not a log", "VERSION \"\"\nNS_ :\n", "the first is line 1"},
		{"binary", "\x00\x01\x02\xff\n\x7fELF", "could not be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rd := NewReader(strings.NewReader(c.log), Auto)
			if rd.Scan() {
				t.Fatalf("got frame %v, want none", rd.Record().Frame)
			}
			if err := rd.Err(); !errors.Is(err, ErrNoFrames) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want ErrNoFrames that says %q", err, c.says)
			}
		})
	}
}

func TestOpenTellsTheFormatByContentThenByExtension(t *testing.T) {
	const candump = "(1.0) can0 2A0#48\n"
	const bare = "1.0 1 2A0 Rx d 1 48\n"
	for _, c := range []struct {
		file, log string
		want      Format
	}{
		{"drive.log", candump, Candump},
		{"drive.asc", candump, Candump},
		{"drive.trc", ascStart + bare, ASC},
		{"drive.log", "\xef\xbb\xbf" + ascStart + bare, ASC},
		{"drive.log", bare, ASC},
		{"drive.log", ";$FILEVERSION=1.1\n1) 1.0 Rx 02A0 1 48\n", TRC},
		{"drive.log", "1) 1.0 02A0 1 48\n", TRC},
		{"DRIVE.TRC", "1 1.0 02A0 1 48\n", Auto}, // nothing but the name tells it
	} {
		name := filepath.Join(t.TempDir(), c.file)
		if err := os.WriteFile(name, []byte(c.log), 0o600); err != nil {
			t.Fatal(err)
		}
		rd, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, rd); len(got) != 1 {
			t.Errorf("%s %q: got %d frames, want 1", c.file, c.log, len(got))
		}
		if rd.Skipped() != 0 {
			t.Errorf("%s %q: got %v skipped, want nothing", c.file, c.log, rd.SkippedLines())
		}
		if rd.Format() != c.want {
			t.Errorf("%s %q: got format %v, want %v", c.file, c.log, rd.Format(), c.want)
		}
		rd.Close()
	}
}

func TestTornFirstLineDoesNotHideTheFormat(t *testing.T) {
	for _, line := range []string{
		"(1600279140.020108) can0 2A0#480087182102F900\n",
		" (1600279140.020108)  can0  2A0   [8]  48 00 87 18 21 02 F9 00\n",
		" (2020-09-16 18:39:00.020108)  can0  2A0   [8]  48 00 87 18 21 02 F9 00\n",
	} {
		for cut := range line {
			rd := NewReader(strings.NewReader(line[cut:]+line), Auto)
			for rd.Scan() {
			}
			if rd.Err() != nil || rd.Format() != Candump || rd.Record().Frame.Len != 8 {
				t.Errorf("behind %q: got format %v, %v", line[cut:], rd.Format(), rd.Err())
			}
		}
	}
}

func TestOpenNamesTheFileItCannotRead(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "missing.log"), dir} {
		if _, err := Open(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error that names %s", err, name)
		}
	}
}

func TestReadsThroughGzip(t *testing.T) {
	name := filepath.Join(t.TempDir(), "drive.log.gz")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := io.WriteString(z, "(1.0) can0 2A0#48\n(2.0) can0 2A0#49\n"); err != nil {
		t.Fatal(err)
	}
	z.Close()
	f.Close()
	rd, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	check(t, readAll(t, rd), []want{{"2A0#48", "can0", 1e9}, {"2A0#49", "can0", 2e9}})

	// A compressed file that was cut off is used as far as it goes, and counted.
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cut := NewReader(strings.NewReader(string(whole[:len(whole)-4])), Auto)
	check(t, readAll(t, cut), []want{{"2A0#48", "can0", 1e9}, {"2A0#49", "can0", 2e9}})
	if err := cut.Err(); err != nil || cut.Skipped() != 1 {
		t.Errorf("got %v and %d lines skipped, want an end and the one that was cut", err, cut.Skipped())
	}
}

func TestLiveLinesAreHandedOnAtOnce(t *testing.T) {
	r, w := io.Pipe()
	rd := NewReader(r, Auto)
	for _, line := range []string{"(1.0) can0 001#\n", "(2.0) can0 002#\n"} {
		go func() { _, _ = io.WriteString(w, line) }()
		if !rd.Scan() { // blocks for ever if it wanted more than the line
			t.Fatal(rd.Err())
		}
	}
	w.Close()
	if rd.Scan() || rd.Err() != nil {
		t.Errorf("got error %v, want the end", rd.Err())
	}
}

func TestReadErrorIsToldWithItsLine(t *testing.T) {
	r, w := io.Pipe()
	broken := errors.New("broken cable")
	go func() {
		_, _ = io.WriteString(w, "(1.0) can0 001#\n")
		w.CloseWithError(broken)
	}()
	rd := NewReader(r, Auto)
	for rd.Scan() {
	}
	if err := rd.Err(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want line 2 and %v", err, broken)
	}
}

func TestBusNamesAreBounded(t *testing.T) {
	var log strings.Builder
	for i := range 2 * maxBuses {
		log.WriteString("(1.0) can" + strings.Repeat("x", i) + " 001#\n")
	}
	rd := NewReader(strings.NewReader(log.String()), Auto)
	if got := readAll(t, rd); len(got) != 2*maxBuses {
		t.Errorf("got %d frames, want %d", len(got), 2*maxBuses)
	}
	if len(rd.Buses()) != maxBuses {
		t.Errorf("got %d names kept, want %d", len(rd.Buses()), maxBuses)
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	for _, c := range []struct {
		format Format
		line   string
	}{
		{Candump, "(1600279140.020108) can0 2A0#480087182102F900\n(1600279140.020108) can1 2A0#480087182102F900\n"},
		{Candump, "  can0  2A0   [8]  48 00 87 18 21 02 F9 00\n  can0  2A0   [8]  48 00 87 18 21 02 F9 00\n"},
		{ASC, "   3.098426 1  2A0  Rx   d 8 48 00 87 18 21 02 F9 00  Length = 240015\n  31.5 CANFD   1 Tx 123 0 0 2 2 01 02\n"},
		{TRC, "     1)      1059.9  Rx         02A0  8  48 00 87 18 21 02 F9 00\n 2)      1059.9  Rx         0300  1  RTR\n"},
	} {
		rd := NewReader(strings.NewReader(strings.Repeat(c.line, 1100)), c.format)
		for range 4 { // the names of the buses
			rd.Scan()
		}
		if n := testing.AllocsPerRun(1000, func() {
			if !rd.Scan() {
				t.Fatal(rd.Err())
			}
		}); n != 0 {
			t.Errorf("%v: got %v allocations a line, want none", c.format, n)
		}
	}
}
