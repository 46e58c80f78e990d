package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/clock"
)

func open(t *testing.T, dir string, fileSize, size int64) *Log {
	t.Helper()
	l, err := Open(dir, Options{FileSize: fileSize, Size: size, Clock: clock.New(clock.TrustAlways)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// write appends n entries and returns the last.
func write(t *testing.T, l *Log, n int) (last Entry) {
	t.Helper()
	for i := range n {
		var err error
		last, err = l.Append(Entry{
			Kind: "act", Outcome: "done", Path: "Vehicle.Body.Horn.IsActive", Value: []byte("true"), Rule: "Vehicle.Body.Horn.IsActive",
			Reason: fmt.Sprintf("number %d", i), Origin: &Origin{Client: "tablet", Identity: "san:tablet", Role: "driver"}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// filesOf are the files of the log with their text.
func filesOf(t *testing.T, dir string) (names []string, texts [][]byte) {
	t.Helper()
	files, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		names, texts = append(names, f.path), append(texts, text)
	}
	return names, texts
}

func verify(t *testing.T, dir string, kept *Head) Report {
	t.Helper()
	r, err := Verify(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEntriesAreChainedAcrossFilesAndRestarts(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 2000, 1<<20)
	write(t, l, 10)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(Entry{}); err == nil {
		t.Error("a closed log took an entry")
	}
	l = open(t, dir, 2000, 1<<20)
	last := write(t, l, 10)
	if last.Seq != 20 || last.Prev == "" || !last.Trusted || last.BootNS == 0 {
		t.Errorf("got %+v", last)
	}
	names, _ := filesOf(t, dir)
	if len(names) < 4 {
		t.Errorf("20 entries of some 500 bytes are in %d files of 2,000", len(names))
	}
	head := l.Head()
	r := verify(t, dir, &head)
	if r.Entries != 20 || r.First != 1 || r.Head != head || r.Unfinished != 0 {
		t.Errorf("got %+v, want 20 entries up to %+v", r, head)
	}
	var seqs []uint64
	if err := Read(dir, 12, func(e Entry, line []byte) error {
		if _, err := parse(line); err != nil {
			t.Error(err)
		}
		seqs = append(seqs, e.Seq)
		return nil
	}); err != nil || len(seqs) != 9 || seqs[0] != 12 {
		t.Errorf("from 12 on: %v, %v", seqs, err)
	}
}

// Whatever is done to the log behind its back shows, with the first line that is
// wrong.
func TestVerifyNamesTheFirstBrokenLine(t *testing.T) {
	for name, c := range map[string]struct {
		change func(lines [][]byte) [][]byte // of the second file, entries 5 to 8
		line   int
		want   string
	}{
		"value changed": {func(l [][]byte) [][]byte { l[1] = bytes.Replace(l[1], []byte("true"), []byte("fals"), 1); return l }, 2, "changed"},
		"value changed and hashed anew": {func(l [][]byte) [][]byte {
			e, err := parse(l[1])
			if err != nil {
				panic(err)
			}
			e.Reason = "another"
			sealed, err := e.seal()
			if err != nil {
				panic(err)
			}
			l[1] = bytes.TrimSuffix(sealed, []byte("\n"))
			return l
		}, 3, "does not carry the hash of entry 6"},
		"line left out":      {func(l [][]byte) [][]byte { return append(l[:1], l[2:]...) }, 2, "it is entry 7: want 6"},
		"first left out":     {func(l [][]byte) [][]byte { return l[1:] }, 1, "it is entry 6: want 5"},
		"line put in":        {func(l [][]byte) [][]byte { return append([][]byte{l[0]}, l...) }, 2, "it is entry 5: want 6"},
		"two exchanged":      {func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l }, 2, "it is entry 7: want 6"},
		"no entry":           {func(l [][]byte) [][]byte { l[2] = []byte("{}"); return l }, 3, "it is no entry"},
		"field put in":       {func(l [][]byte) [][]byte { l[2] = append([]byte(`{"x":1,`), l[2][1:]...); return l }, 3, "it is no entry"},
		"a line without end": {func(l [][]byte) [][]byte { l[0] = bytes.Repeat([]byte("x"), 2*mostLine); return l }, 1, "it is no entry"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, open(t, dir, 1700, 1<<20), 12)
			names, texts := filesOf(t, dir)
			lines := bytes.Split(bytes.TrimSuffix(texts[1], []byte("\n")), []byte("\n"))
			if len(lines) != 4 {
				t.Fatalf("%d lines in the second file", len(lines))
			}
			changed := append(bytes.Join(c.change(lines), []byte("\n")), '\n')
			if err := os.WriteFile(names[1], changed, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Verify(dir, nil)
			var broken *BrokenError
			if !errors.As(err, &broken) || broken.File != names[1] || broken.Line != c.line || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want line %d: %s", err, c.line, c.want)
			}
		})
	}
}

func TestKeptHeadShowsATailThatWasCut(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 1<<20, 1<<30)
	write(t, l, 3)
	middle := l.Head()
	write(t, l, 3)
	head := l.Head()
	names, texts := filesOf(t, dir)
	lines := bytes.SplitAfter(texts[0], []byte("\n"))
	if err := os.WriteFile(names[0], bytes.Join(lines[:4], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	verify(t, dir, nil) // nothing shows without it
	verify(t, dir, &middle)
	if _, err := Verify(dir, &head); !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), "ends with entry 4, and 6 was there") {
		t.Errorf("got %v", err)
	}
	other := Head{Seq: 2, Hash: head.Hash}
	if _, err := Verify(dir, &other); err == nil || !strings.Contains(err.Error(), ":2: entry 2 has the hash") {
		t.Errorf("got %v", err)
	}
}

// After a power cut at any byte the whole entries are there, and an entry tells
// of what was cut off.
func TestTornLastLineIsCutOffAndTold(t *testing.T) {
	whole := t.TempDir()
	write(t, open(t, whole, 1<<20, 1<<30), 3)
	names, texts := filesOf(t, whole)
	lines := bytes.SplitAfter(texts[0], []byte("\n"))
	start := len(lines[0]) + len(lines[1])
	for cut := start; cut < len(texts[0]); cut += 7 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(names[0])), texts[0][:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir, nil); r.Entries != 2 || r.Unfinished != int64(cut-start) {
			t.Fatalf("cut at %d: %+v", cut, r)
		}
		l := open(t, dir, 1<<20, 1<<30)
		e := write(t, l, 1)
		want := uint64(4)
		if cut == start {
			want = 3 // nothing was torn
		}
		if r := verify(t, dir, nil); e.Seq != want || r.Entries != int(want) || r.Unfinished != 0 {
			t.Fatalf("cut at %d: entry %d, %+v", cut, e.Seq, r)
		}
	}
}

// Blocks that a file system had given the file, and that were never written.
func TestTornBytesBehindTheLogAreCutOffAll(t *testing.T) {
	dir := t.TempDir()
	write(t, open(t, dir, 1<<20, 1<<30), 2)
	names, texts := filesOf(t, dir)
	if err := os.WriteFile(names[0], append(texts[0], make([]byte, 8192)...), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, 1<<20, 1<<30)
	if r := verify(t, dir, nil); r.Entries != 3 || r.Unfinished != 0 {
		t.Errorf("got %+v", r)
	}
}

// A file that was begun and never written to is what a power cut leaves too.
func TestEmptyLastFileIsGoneOnWith(t *testing.T) {
	dir := t.TempDir()
	write(t, open(t, dir, 1<<20, 1<<30), 3)
	if err := os.WriteFile(filepath.Join(dir, fileName(4)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := write(t, open(t, dir, 1<<20, 1<<30), 1); e.Seq != 4 {
		t.Errorf("got entry %d", e.Seq)
	}
	verify(t, dir, nil)
}

// A log that was changed is not gone on with, as if nothing had been.
func TestDamagedLogIsNotContinued(t *testing.T) {
	for name, change := range map[string]func(dir string, names []string, texts [][]byte) error{
		"last file changed": func(_ string, names []string, texts [][]byte) error {
			return os.WriteFile(names[1], bytes.Replace(texts[1], []byte("true"), []byte("fals"), 1), 0o600)
		},
		"file before the last gone": func(_ string, names []string, _ [][]byte) error { return os.WriteFile(names[0], nil, 0o600) },
		"last file of another number": func(dir string, names []string, texts [][]byte) error {
			return os.WriteFile(filepath.Join(dir, fileName(900)), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, open(t, dir, 1700, 1<<20), 7)
			names, texts := filesOf(t, dir)
			if err := change(dir, names, texts); err != nil {
				t.Fatal(err)
			}
			if l, err := Open(dir, Options{FileSize: 1700, Size: 1 << 20, Clock: clock.New(clock.TrustNever)}); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, %v", l, err)
			}
		})
	}
}

// The log stays within its size; what was removed is told, and the rest holds.
func TestOldestFilesGoAndAnEntryTells(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 2000, 8000)
	write(t, l, 60)
	names, texts := filesOf(t, dir)
	total, told := 0, 0
	for _, text := range texts {
		total += len(text)
		told += bytes.Count(text, []byte("were removed to keep within the size"))
	}
	// A file ends with the entry that makes it full.
	if total > 8000+1000 || len(names) < 3 || told == 0 {
		t.Errorf("%d bytes in %d files, %d entries tell of removed ones", total, len(names), told)
	}
	r := verify(t, dir, nil)
	if r.First < 2 || r.Head != l.Head() || uint64(r.Entries) != r.Head.Seq-r.First+1 {
		t.Errorf("got %+v", r)
	}
	if _, err := Verify(dir, &Head{Seq: 1, Hash: Genesis}); err == nil || !strings.Contains(err.Error(), "no longer held") {
		t.Errorf("a head of what was removed: %v", err)
	}
	write(t, open(t, dir, 2000, 8000), 1)
	verify(t, dir, nil)
}

// What a client chooses, its id or a value, can't make a line that is too long or
// none.
func TestHostileTextsMakeWholeLines(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 1<<20, 1<<30)
	long := strings.Repeat("\x00\xff<\u2028ü\"", 20000)
	origin := &Origin{Client: long, Identity: long, Role: long, Zone: long, Listener: long, Link: long}
	for _, value := range []string{long, `{"a":`, "1\n2", `"` + strings.Repeat("x", 1000) + `"`, `1`} {
		if _, err := l.Append(Entry{Kind: long, Outcome: long, Path: long, Rule: long, Reason: long, Value: []byte(value), Origin: origin}); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, dir, nil); r.Entries != 5 {
		t.Errorf("got %+v", r)
	}
	if origin.Client != long {
		t.Error("the caller's origin was changed")
	}
}

// An entry that could not be written is not in the log, and the log goes on.
func TestFailedWriteLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, 1<<20, 1<<30)
	write(t, l, 1)
	writable := l.file
	readOnly, err := os.Open(writable.Name())
	if err != nil {
		t.Fatal(err)
	}
	l.file = readOnly
	if e, err := l.Append(Entry{Kind: "act", Outcome: "done"}); err == nil {
		t.Fatalf("got %+v", e)
	}
	l.file = writable
	_ = readOnly.Close()
	if _, err := l.Append(Entry{}); err == nil {
		t.Error("the log went on though it does not know what stands at its end")
	}
	if r := verify(t, dir, nil); r.Entries != 1 {
		t.Errorf("got %+v", r)
	}
}

func FuzzParse(f *testing.F) {
	e := Entry{Seq: 1, Kind: "act", Outcome: "done", Prev: Genesis}
	line, err := e.seal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSpace(line))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parse(line)
		if err != nil {
			return
		}
		if again, err := parse(line); err != nil || again.Hash != e.Hash || len(e.Hash) != len(Genesis) {
			t.Errorf("%q: %+v, %v", line, again, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l, err := Open(b.TempDir(), Options{FileSize: 4 << 20, Size: 64 << 20, Clock: clock.New(clock.TrustKernel)})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		if _, err := l.Append(Entry{Kind: "act", Outcome: "done", Path: "Vehicle.Body.Horn.IsActive", Value: []byte("true"), Origin: &Origin{Client: "tablet", Role: "driver"}}); err != nil {
			b.Fatal(err)
		}
	}
}
