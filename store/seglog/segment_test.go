package seglog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
)

// filled is a segment of n records "record 0"… from sequence number 100 on.
func filled(t *testing.T, n int) *Segment {
	t.Helper()
	s, err := Create(OS{}, t.TempDir(), 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Release)
	for i := range n {
		rec := fmt.Appendf(Start(nil, 1), "record %d", i)
		Finish(rec)
		if err := s.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRecordsAreFoundByNumberInAnyOrder(t *testing.T) {
	const n = 20_000
	written := filled(t, n)
	opened, err := Open(OS{}, written.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Release()
	for name, s := range map[string]*Segment{"written": written, "opened": opened} {
		sc := NewScanner(s)
		for _, i := range []int{0, 1, 2, 9999, 5, 6, n - 1, 0, 12_345, 12_346} {
			rec, err := sc.Find(100 + uint64(i))
			if want := fmt.Sprintf("record %d", i); err != nil || string(rec.Body) != want {
				t.Errorf("%s: got %q, %v, want %s", name, rec.Body, err, want)
			}
		}
		for _, seq := range []uint64{100 + n, 1 << 20} {
			if _, err := sc.Find(seq); !errors.Is(err, ErrMissing) {
				t.Errorf("%s: sequence %d: got %v, want ErrMissing", name, seq, err)
			}
		}
		if _, err := sc.Find(100); err != nil {
			t.Errorf("%s: back to the first: %v", name, err)
		}
		sc.Close()
	}
	if len(written.index) < 10 || len(opened.index) != len(written.index) {
		t.Errorf("index: %d places written, %d read back", len(written.index), len(opened.index))
	}
}

// What a scanner has not reached yet when a record is written stands between it and
// that record, however little it is.
func TestRecordWrittenWhileTheScannerReadsIsFound(t *testing.T) {
	for unread := range 4 {
		s := filled(t, 4)
		sc := NewScanner(s)
		if _, err := sc.Find(103 - uint64(unread)); err != nil {
			t.Fatal(err)
		}
		rec := append(Start(nil, 1), "late"...)
		Finish(rec)
		if err := s.Write(rec); err != nil {
			t.Fatal(err)
		}
		if rec, err := sc.Find(104); err != nil || string(rec.Body) != "late" {
			t.Errorf("%d records before it: got %q, %v", unread, rec.Body, err)
		}
		sc.Close()
	}
}

func TestScanGoesOnBehindDamage(t *testing.T) {
	s := filled(t, 1000)
	f, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 500), s.Size()/2); err != nil {
		t.Fatal(err)
	}
	sc := NewScanner(s)
	defer sc.Close()
	good, damages := 0, 0
	last := uint64(0)
	for {
		rec, err := sc.Next()
		var damage *Damage
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.As(err, &damage) {
			damages++
			if n := damage.To - damage.From; n < 500 || n > 600 {
				// A record that was hit in its body is a damage of its own.
				if n > 30 {
					t.Errorf("%d bytes damaged, want about 500", n)
				}
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("record %d", rec.Seq-100); string(rec.Body) != want || rec.Seq <= last {
			t.Fatalf("sequence %d: got %q, want %s", rec.Seq, rec.Body, want)
		}
		last = rec.Seq
		good++
	}
	if good < 970 || good > 985 || damages == 0 || last != 1099 {
		t.Errorf("%d records are good, %d damages, the last is %d", good, damages, last)
	}
}

func TestForeignFilesAreNoSegments(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "short": "fasciaLG", "zeros": string(make([]byte, 100)), "text": "fasciaLG and then something else entirely",
	} {
		path := t.TempDir() + "/file"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(OS{}, path); !errors.Is(err, ErrHead) {
			t.Errorf("%s: got %v, want ErrHead", name, err)
		}
	}
}

// A hostile payload full of what looks like the beginning of records must not
// make the search behind damage slow: the head has a checksum of its own.
func FuzzScan(f *testing.F) {
	f.Add([]byte("\xf1\x00\x00\x00\xff\xff\x00\x00"), 40)
	f.Fuzz(func(t *testing.T, junk []byte, at int) {
		s := filled(t, 5)
		file, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt(junk, FileHead+int64(uint(at)%200)); err != nil {
			t.Fatal(err)
		}
		again, err := Open(OS{}, s.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Release()
		sc := NewScanner(again)
		defer sc.Close()
		for end := int64(0); ; {
			rec, err := sc.Next()
			var damage *Damage
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.As(err, &damage):
				if damage.From < end || damage.To <= damage.From {
					t.Fatalf("damage from %d to %d behind %d", damage.From, damage.To, end)
				}
				end = damage.To
			case err != nil:
				t.Fatal(err)
			case rec.Off < end:
				t.Fatalf("record at %d behind %d", rec.Off, end)
			default:
				end = rec.End()
			}
		}
	})
}
