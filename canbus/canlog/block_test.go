package canlog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/record/block"
)

// blocksOf packs each log of candump lines into a block.
func blocksOf(t *testing.T, resolution time.Duration, logs ...string) []byte {
	t.Helper()
	var packed []byte
	b := block.NewBuilder(resolution)
	for _, log := range logs {
		rd := NewReader(strings.NewReader(log), Candump)
		for rd.Scan() {
			rec := rd.Record()
			b.Add(rec.Bus, rec.Stamp, &rec.Frame)
		}
		if err := rd.Err(); err != nil {
			t.Fatal(err)
		}
		packed, _ = b.Append(packed)
	}
	return packed
}

const (
	firstBlock  = "(1600279140.020108) can0 2A0#480087182102F900\n(1600279140.020999) can1 18FEF100##3A1\n"
	secondBlock = "(1600279150.100000) can0 100#R8\n(1600279150.000000) can0 20000080#0000000000000000\n"
)

// lines writes a log as candump lines with the stamps as they stand in it.
func lines(t *testing.T, rd *Reader) string {
	t.Helper()
	var text []byte
	for rd.Scan() {
		rec := rd.Record()
		text = append(append(append(text, '('), rec.StampText...), ") "...)
		text = append(rec.Frame.Append(append(append(text, rec.Bus...), ' ')), '\n')
	}
	return string(text)
}

func TestBlocksAreToldByTheirContent(t *testing.T) {
	packed := blocksOf(t, block.Microsecond, firstBlock, secondBlock)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(packed)
	_ = z.Close()
	for name, content := range map[string][]byte{"drive.fcan": packed, "drive.asc": packed, "drive.gz": zipped.Bytes()} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		rd, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Close()
		if got, want := lines(t, rd), firstBlock+secondBlock; got != want || rd.Err() != nil {
			t.Errorf("%s: got\n%s%v, want\n%s", name, got, rd.Err(), want)
		}
		if rd.Format() != Block || rd.Format().Unit() != "block" || len(rd.Buses()) != 2 {
			t.Errorf("%s: got format %v and buses %v, want blocks and two", name, rd.Format(), rd.Buses())
		}
	}
}

func TestBlocksOfMillisecondsHaveThreeDecimals(t *testing.T) {
	rd := NewReader(bytes.NewReader(blocksOf(t, block.Millisecond, firstBlock)), Auto)
	if got := lines(t, rd); !strings.HasPrefix(got, "(1600279140.020) can0") {
		t.Errorf("got %s, want a stamp with 3 decimals", got)
	}
}

func TestABlockIsBufferedAsAWhole(t *testing.T) {
	rd := NewReader(bytes.NewReader(blocksOf(t, block.Microsecond, firstBlock)), Auto)
	for i, want := range []bool{true, false} {
		if !rd.Scan() || rd.Buffered() != want {
			t.Errorf("frame %d: got buffered %v, want %v", i, rd.Buffered(), want)
		}
	}
}

func TestATornBlockIsSkippedAndTold(t *testing.T) {
	packed := blocksOf(t, block.Microsecond, firstBlock, secondBlock)
	rd := NewReader(bytes.NewReader(packed[:len(packed)-1]), Auto)
	if got := lines(t, rd); got != firstBlock || rd.Err() != nil {
		t.Errorf("got\n%s%v, want the first block\n%s", got, rd.Err(), firstBlock)
	}
	if rd.Skipped() != 1 || rd.SkippedLines()[0].Line != 2 || !strings.Contains(rd.SkippedLines()[0].Reason, "cut off") {
		t.Errorf("got %v, want block 2 to be cut off", rd.SkippedLines())
	}
	if rd.Buffered() {
		t.Error("more is said to be there at the end")
	}

	none := NewReader(bytes.NewReader(packed[:60]), Auto)
	if none.Scan() || !errors.Is(none.Err(), ErrNoFrames) || !strings.Contains(none.Err().Error(), "cut off") {
		t.Errorf("got %v, want no frames, cut off", none.Err())
	}
}
