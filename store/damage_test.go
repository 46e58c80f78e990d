package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/store/seglog"
)

// written is a closed store's folder as a crash leaves it, with n messages
// "message 0"… in the queue "queue", and where they lie. Without the snapshot
// that Close takes the log is all there is.
func written(t *testing.T, n int, policy Sync) (path, file string, text []byte) {
	t.Helper()
	s := open(t, t.TempDir())
	tx := s.Begin()
	to := []To{{tx.CreateQueue("queue"), []byte("meta")}}
	commit(t, tx, policy)
	for i := range n {
		tx := s.Begin()
		tx.Put("last", fmt.Append(nil, i))
		tx.Append(fmt.Appendf(nil, "message %d.", i), to)
		commit(t, tx, policy)
	}
	path = filepath.Join(t.TempDir(), "crash")
	if err := os.CopyFS(path, os.DirFS(s.path)); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(path, seglog.FileName(1))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return path, file, text
}

func positions(t *testing.T, q *Queue) (list []int) {
	t.Helper()
	if _, err := q.Read(0, 1<<30, func(e Entry) bool {
		if want := fmt.Sprintf("message %d.", e.Pos); string(e.Message) != want || string(e.Meta) != "meta" || e.Err != nil {
			t.Errorf("entry %d: got %q %v", e.Pos, e.Message, e.Err)
		}
		list = append(list, int(e.Pos))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDamageInTheMiddleCostsThatRecordAlone(t *testing.T) {
	for name, at := range map[string]int{"head": -30, "body": 3} {
		t.Run(name, func(t *testing.T) {
			path, file, text := written(t, 20, SyncAlways)
			text[bytes.Index(text, []byte("message 7."))+at] ^= 0x10
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, path)
			got := fmt.Sprint(positions(t, s.Queue("queue")))
			if want := "[0 1 2 3 4 5 6 8 9 10 11 12 13 14 15 16 17 18 19]"; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
			if st := s.Stats(); st.Corrupt == 0 || st.Lost != 1 {
				t.Errorf("got %d damaged, %d lost, want some and 1", st.Corrupt, st.Lost)
			}
			kept, err := filepath.Glob(filepath.Join(path, quarantineDir, "*"))
			if err != nil || len(kept) != 1 {
				t.Fatalf("quarantine: %v %v", kept, err)
			}
			if b, _ := os.ReadFile(kept[0]); len(b) == 0 || len(b) > 200 {
				t.Errorf("quarantine keeps %d bytes", len(b))
			}
			// It goes on from there, and again after that.
			tx := s.Begin()
			tx.Append([]byte("message 20."), []To{{s.Queue("queue"), []byte("meta")}})
			commit(t, tx, SyncAlways)
			s.Close()
			if got := positions(t, open(t, path).Queue("queue")); len(got) != 20 {
				t.Errorf("after the next start: %v", got)
			}
		})
	}
}

// Without a sync behind it, a hole means that the power went while the kernel
// wrote: what follows it must go too, or the log would not be a prefix.
func TestHoleThatNeverWasDurableEndsTheLog(t *testing.T) {
	path, file, text := written(t, 20, SyncNever)
	text[bytes.Index(text, []byte("message 7."))] ^= 0x10
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	if got := positions(t, s.Queue("queue")); len(got) != 7 {
		t.Errorf("got %v, want 0 to 6", got)
	}
	if string(s.Get("last")) != "6" {
		t.Errorf("got %s, want 6", s.Get("last"))
	}
}

func TestTornTailIsCutAtEveryByte(t *testing.T) {
	path, file, text := written(t, 3, SyncNever)
	begin := bytes.Index(text, []byte("message 2.")) - 36
	for end := begin; end < len(text); end++ {
		for _, junk := range []string{"", "\x00\x00\x00", "\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1\xf1"} {
			if err := os.WriteFile(file, append(text[:end:end], junk...), 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, path)
			if n := len(positions(t, s.Queue("queue"))); n != 2 {
				t.Fatalf("cut at %d of %d: %d entries, want 2", end, len(text), n)
			}
			if st := s.Stats(); st.Corrupt != 0 {
				t.Fatalf("cut at %d: counted as damage", end)
			}
			s.Close()
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A message may hold the bytes of a record, even of one that this very store
// wrote before, in a segment with another salt.
func TestPayloadCannotFakeARecord(t *testing.T) {
	_, _, other := written(t, 3, SyncAlways)
	fake := other[seglog.FileHead:]
	s := open(t, t.TempDir())
	tx := s.Begin()
	to := []To{{tx.CreateQueue("queue"), nil}}
	commit(t, tx, SyncAlways)
	for _, m := range [][]byte{fake, []byte("the end")} {
		tx = s.Begin()
		tx.Append(m, to)
		commit(t, tx, SyncAlways)
	}
	path := filepath.Join(t.TempDir(), "crash")
	if err := os.CopyFS(path, os.DirFS(s.path)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, seglog.FileName(1))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Without its head the record is passed over byte by byte.
	text[bytes.Index(text, fake)-20] ^= 1
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := fmt.Sprint(entries(t, again.Queue("queue"))); got != "[1  the end false]" {
		t.Errorf("got %.200s", got)
	}
	if again.Get("last") != nil {
		t.Error("a record inside a payload was believed")
	}
}

func TestDamagedEntryIsToldAndTheOthersAreRead(t *testing.T) {
	s := open(t, t.TempDir())
	tx := s.Begin()
	to := []To{{tx.CreateQueue("queue"), []byte("meta")}}
	for i := range 5 {
		tx.Append(fmt.Appendf(nil, "message %d.", i), to)
		commit(t, tx, SyncInterval)
		tx = s.Begin()
	}
	tx.Discard()
	file := filepath.Join(s.path, seglog.FileName(1))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("X"), int64(bytes.Index(text, []byte("message 2.")))); err != nil {
		t.Fatal(err)
	}
	var got []string
	q := s.Queue("queue")
	read := func() {
		got = got[:0]
		if _, err := q.Read(0, 10, func(e Entry) bool {
			got = append(got, fmt.Sprintf("%d %v", e.Pos, e.Err != nil))
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if want := "0 false, 1 false, 2 true, 3 false, 4 false"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	q.Done(2)
	read()
	if len(got) != 4 {
		t.Errorf("after Done: %v", got)
	}
}

func TestDamagedSnapshotIsReplacedByTheOneBefore(t *testing.T) {
	for _, both := range []bool{false, true} {
		t.Run(fmt.Sprint("both ", both), func(t *testing.T) {
			path := t.TempDir()
			for round := range 3 {
				s := open(t, path)
				tx := s.Begin()
				for i := range 9000 {
					tx.Put(fmt.Sprintf("key %d", i), fmt.Appendf(nil, "value %d", round))
				}
				if s.Queue("queue") == nil {
					tx.CreateQueue("queue")
				}
				commit(t, tx, SyncInterval)
				tx = s.Begin()
				tx.Append(fmt.Appendf(nil, "message %d.", round), []To{{s.Queue("queue"), []byte("meta")}})
				commit(t, tx, SyncInterval)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			names := []string{snapshotFile}
			if both {
				names = append(names, snapshotOld)
			}
			for _, name := range names {
				file := filepath.Join(path, name)
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				text[len(text)/2] ^= 1
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, path)
			right := 0
			s.Range("key", func(_ string, value []byte) bool {
				if string(value) == "value 2" {
					right++
				}
				return true
			})
			if !both {
				if got := positions(t, s.Queue("queue")); right != 9000 || len(got) != 3 {
					t.Errorf("%d keys, entries %v: want all", right, got)
				}
			} else if right == 0 || right == 9000 {
				t.Errorf("%d keys: want those of whole records", right)
			}
			if s.Stats().Corrupt == 0 {
				t.Error("not counted")
			}
		})
	}
}

// A list of references that can't be read any more is made again from the log.
func TestDamagedSpillCostsNoMessage(t *testing.T) {
	s := open(t, t.TempDir())
	tx := s.Begin()
	q := tx.CreateQueue("queue")
	commit(t, tx, SyncInterval)
	fill(t, s, q, 6*chunkSize)
	var at uint64
	for end := time.Now().Add(10 * time.Second); at == 0; { // the committer spills after it has told
		if time.Now().After(end) {
			t.Fatal("nothing was spilled")
		}
		time.Sleep(time.Millisecond)
		q.mu.Lock()
		at = q.chunks[keepChunks].at
		q.mu.Unlock()
	}
	seg := s.log.of(at)
	sc := seglog.NewScanner(seg)
	rec, err := sc.Find(at)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(seg.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{rec.Body[9] ^ 1}, rec.Off+seglog.HeadSize+9); err != nil {
		t.Fatal(err)
	}
	f.Close()
	sc.Close()
	seg.Release()
	n := 0
	if _, err := q.Read(0, 6*chunkSize, func(e Entry) bool {
		if e.Err != nil || e.Pos != uint64(n) || len(e.Message) != 100 {
			t.Fatalf("entry %d, want %d: %v", e.Pos, n, e.Err)
		}
		n++
		q.Done(e.Pos)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if n != 6*chunkSize || q.Len() != 0 || q.Bytes() != 0 {
		t.Errorf("read %d entries, %d left, %d bytes", n, q.Len(), q.Bytes())
	}
}
