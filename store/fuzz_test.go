package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fascia-edge/fascia/store/seglog"
)

// FuzzOpen opens a log of any bytes: it always opens, and takes messages after.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte("fasciaLG"), []byte("fasciaLG"))
	f.Fuzz(func(t *testing.T, log, snapshot []byte) {
		path := t.TempDir()
		for name, text := range map[string][]byte{seglog.FileName(1): log, snapshotFile: snapshot} {
			if err := os.WriteFile(filepath.Join(path, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		mustWork(t, path)
	})
}

// FuzzRecord opens a log whose records have good checksums and any bodies, as a
// later version or a mistake of ours could write them.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{opPut, 1, 'k', 1, 'v'}, []byte{opAppend, 1, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{opCreate, 1, 1, 'q', opAppend, 1, 1, 0, 0, 0, 0, 0, 'm'}, []byte{opMark, 1, 0, opDone, 1, 1, 0})
	f.Add([]byte{opQueue, 1, 1, 'q', 0, 2, 1, chunkRefs, 0, 2, 1, 0, 1, 1, 1}, []byte{opSpill, 1, 0, 2, 1, 0, 1, 1, 1})
	f.Add([]byte{opQueue, 1, 1, 'q', 0, 2, 1, 0, 0, 2, 1, 9, 1}, []byte{opDone, 1, 2, 0, opDrop, 1})
	f.Add([]byte{opIDs, 200, 1, opDelete, 1, 'k'}, []byte{opSynced, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		path := t.TempDir()
		seg, err := seglog.Create(seglog.OS{}, path, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{first, second} {
			rec := append(seglog.Start(nil, kindTx), b...)
			seglog.Finish(rec)
			if err := seg.Write(rec); err != nil {
				t.Fatal(err)
			}
		}
		seg.Release()
		mustWork(t, path)
	})
}

// mustWork opens a store, looks at all that is in it, and stores a message.
func mustWork(t *testing.T, path string) {
	t.Helper()
	for range 2 {
		s, err := Open(path, quiet)
		if err != nil {
			t.Fatal(err)
		}
		s.Queues(func(_ string, q *Queue) bool {
			if q.Len() < 0 || q.Head() > q.Tail() {
				t.Errorf("queue %q: head %d, tail %d, %d entries", q.Name(), q.Head(), q.Tail(), q.Len())
			}
			_, err := q.Read(0, 2000, func(e Entry) bool {
				q.Done(e.Pos)
				return true
			})
			if err != nil {
				t.Error(err)
			}
			return true
		})
		tx := s.Begin()
		q := tx.CreateQueue("fuzz")
		tx.Append([]byte("message"), []To{{q, nil}})
		if err := result(tx, SyncInterval); err != nil {
			t.Fatal(err)
		}
		if got := entries(t, s.Queue("fuzz")); len(got) != 1 {
			t.Errorf("got %v", got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
