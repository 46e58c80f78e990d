package log

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// blockFiles are a stream's files, oldest first.
func blockFiles(t *testing.T, o Options, name string) []string {
	t.Helper()
	f := files{dir: filepath.Join(accountDir(o.Dir), serverName(name), "msgs")}
	numbers, err := f.list(0)
	if err != nil || len(numbers) == 0 {
		t.Fatalf("files %v, %v", numbers, err)
	}
	var paths []string
	for _, n := range numbers {
		paths = append(paths, f.path(n, ".blk"))
	}
	return paths
}

func TestDamagedBlockIsLeftOut(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("after a crash %t", crash), func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			e := open(t, o)
			s := create(t, e, Definition{Name: "stream"})
			const count = 30
			for i := range count {
				add(t, s, fmt.Sprintf("%d%s", i, strings.Repeat(".", 1000_000)))
			}
			shut(t, e)
			paths := blockFiles(t, o, "stream")
			if len(paths) < 3 {
				t.Fatalf("%d files: want some more", len(paths))
			}
			f, err := os.OpenFile(paths[1], os.O_RDWR, 0)
			if err == nil {
				_, err = f.WriteAt([]byte("damage"), 2_500_000)
			}
			if err == nil {
				err = f.Close()
			}
			if err == nil && crash {
				err = os.Remove(filepath.Join(filepath.Dir(paths[0]), "index.db"))
			}
			if err != nil {
				t.Fatal(err)
			}
			e = open(t, o)
			s = stream(t, e, "stream")
			var last uint64
			got := 0
			next, err := s.Read(t.Context(), 0, 1000, 1<<30, func(m Message) bool {
				if want := fmt.Sprint(m.Seq) + "."; !strings.HasPrefix(string(m.Payload), want) {
					t.Errorf("message %d is %.10s", m.Seq, m.Payload)
				}
				last = m.Seq
				got++
				return true
			})
			lost := int(s.Info().Lost)
			if err != nil || next != count || last != count-1 || lost == 0 || lost > 8 || got+lost != count {
				t.Errorf("got %d messages to %d, %d lost, %v", got, next, lost, err)
			}
			equal(t, add(t, s, "next"), count)
			// From behind the damage too.
			equal(t, texts(t, s, count), "[30:next]")
		})
	}
}

func TestTornTailNeverGivesANumberTwice(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	s := create(t, e, Definition{Name: "stream"})
	for i := range 5 {
		add(t, s, fmt.Sprint(i))
	}
	epoch := s.Info().Epoch
	shut(t, e)
	paths := blockFiles(t, o, "stream")
	last := paths[len(paths)-1]
	info, err := os.Stat(last)
	if err == nil {
		err = errors.Join(os.Truncate(last, info.Size()-3), os.Remove(filepath.Join(filepath.Dir(last), "index.db")))
	}
	if err != nil {
		t.Fatal(err)
	}
	e = open(t, o)
	s = stream(t, e, "stream")
	equal(t, add(t, s, "new"), 5)
	equal(t, texts(t, s, 0), "[0:0 1:1 2:2 3:3 5:new]")
	if i := s.Info(); i.Epoch <= epoch || i.Lost != 1 {
		t.Errorf("got %+v, want one lost and an epoch after %d", i, epoch)
	}
}

func TestLostStateGivesANewEpoch(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	s := create(t, e, Definition{Name: "stream"})
	add(t, s, "zero")
	epoch := s.Info().Epoch
	shut(t, e)
	for _, name := range stateFiles {
		if err := os.WriteFile(filepath.Join(o.Dir, name), []byte("damage"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e = open(t, o)
	s = stream(t, e, "stream")
	equal(t, add(t, s, "one"), 1)
	equal(t, texts(t, s, 0), "[0:zero 1:one]")
	if s.Info().Epoch <= epoch {
		t.Errorf("epoch %d again", epoch)
	}
}

func TestEpochRisesAfterALossOfPowerOnly(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	epoch := create(t, e, Definition{Name: "stream"}).Info().Epoch
	for _, clean := range []bool{true, false} {
		shut(t, e)
		st, err := readState(o.Dir)
		if err == nil {
			st.Boot++ // the machine was started meanwhile
			st.Clean = st.Clean && clean
			_, err = st.write(o.Dir)
		}
		if err != nil {
			t.Fatal(err)
		}
		e = open(t, o)
		if got := stream(t, e, "stream").Info().Epoch; got > epoch == clean {
			t.Errorf("closed %t: epoch %d after %d", clean, got, epoch)
		}
	}
}

// The last block goes too when a stream is full: a crash then must not take the
// numbers along.
func TestEmptiedStreamGoesOnAfterACrash(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	s := create(t, e, Definition{Name: "stream"})
	add(t, s, "zero", "one")
	s.Checkpoint("exporter").Set(2)
	if freed, err := s.free(); !freed || err != nil {
		t.Fatal(freed, err)
	}
	equal(t, s.Info().Bytes, 0)
	o.Dir = filepath.Join(t.TempDir(), "crash")
	if err := os.CopyFS(o.Dir, os.DirFS(e.options.Dir)); err != nil {
		t.Fatal(err)
	}
	equal(t, add(t, stream(t, open(t, o), "stream"), "two"), 2)
}

// Somebody who can reach the server may write to it.
func TestForeignMessageIsLeftOut(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	s := create(t, e, Definition{Name: "stream"})
	add(t, s, "zero")
	if _, err := e.current().js.Publish(t.Context(), s.subject, []byte("foreign")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), []byte("one")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("append behind a message of somebody else's: got %v, want ErrUnavailable", err)
	}
	epoch := s.Info().Epoch
	equal(t, add(t, s, "two"), 1)
	equal(t, texts(t, s, 0), "[0:zero 1:two]")
	equal(t, e.restart.Load(), 0)
	if i := s.Info(); i.Lost > 0 || i.Epoch < epoch {
		t.Errorf("got %+v", i)
	}
}

// After a failed fsync the kernel calls the pages clean, and the next one says
// that all is well. They must be written again elsewhere.
func TestFailedSyncIsNeverTrustedAgain(t *testing.T) {
	for _, flush := range []bool{false, true} {
		t.Run(fmt.Sprintf("flush %t", flush), func(t *testing.T) {
			e := open(t, Options{Dir: t.TempDir()})
			s := create(t, e, Definition{Name: "stream", Flush: flush})
			add(t, s, "zero")
			if err := s.WaitSynced(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			path := blockFiles(t, e.options, "stream")[0]
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			s.syncing.Lock()
			s.files.fault = func() error { return unix.EIO }
			s.syncing.Unlock()
			_, err = s.Append(t.Context(), []byte("one"))
			if flush != errors.Is(err, ErrUnavailable) {
				t.Errorf("append: got %v", err)
			}
			if err := s.await(t.Context(), func() bool { return s.rewrites > 0 }); err != nil {
				t.Fatal(err)
			}
			if synced := s.Info().Synced; synced > 1 {
				t.Errorf("synced to %d with a disk that failed", synced)
			}
			s.syncing.Lock()
			s.files.fault = nil
			s.syncing.Unlock()
			add(t, s, "two")
			if err := s.WaitSynced(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			if after, err := os.Stat(path); err != nil || os.SameFile(before, after) {
				t.Errorf("what was in doubt stands in the same file, %v", err)
			}
			equal(t, texts(t, s, 0), "[0:zero 1:one 2:two]")
		})
	}
}

// The reserve keeps the disk from filling up by the streams' own doing. If it fills
// all the same the server gives up, and must be started again.
func TestDiskThatFilledUpIsUsedAgain(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=20m"); err != nil {
		t.Skipf("a small file system: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	e := open(t, Options{Dir: dir, Reserve: 1})
	s := create(t, e, Definition{Name: "stream"})
	s.Checkpoint("exporter")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 10<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 100_000)
	var acknowledged uint64
	for {
		seq, err := s.Append(t.Context(), payload)
		if err != nil {
			t.Log(err)
			break
		}
		acknowledged = seq + 1
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for {
		seq, err := s.Append(t.Context(), []byte("again"))
		if err == nil {
			if seq < acknowledged {
				t.Errorf("message %d, and %d were acknowledged", seq, acknowledged)
			}
			break
		}
		if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	got := uint64(0)
	if _, err := s.Read(t.Context(), 0, 1000, 1<<30, func(m Message) bool {
		got++
		return true
	}); err != nil || got <= acknowledged || s.Info().Lost > 0 {
		t.Errorf("read %d of %d, %v", got, acknowledged+1, err)
	}
	shut(t, e)
}
