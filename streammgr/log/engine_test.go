package log

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWrongDefinitionsAreRefused(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	for name, d := range map[string]Definition{
		"no name":      {},
		"control":      {Name: "a\nb"},
		"small":        {Name: "a", MaxSize: 1},
		"segment":      {Name: "a", SegmentSize: -1},
		"age":          {Name: "a", Age: time.Millisecond},
		"when full":    {Name: "a", WhenFull: "explode"},
		"large memory": {Name: "a", Memory: true, MaxSize: 1 << 40},
	} {
		if err := e.Create(t.Context(), d); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	create(t, e, Definition{Name: "a"})
	if err := e.Create(t.Context(), Definition{Name: "a"}); !errors.Is(err, ErrExists) {
		t.Errorf("twice: got %v, want ErrExists", err)
	}
	if err := e.Update(t.Context(), Definition{Name: "b"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("update of none: got %v, want ErrNotFound", err)
	}
	if err := e.Delete(t.Context(), "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete of none: got %v, want ErrNotFound", err)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]Options{
		"no folder": {},
		"message":   {Dir: dir, MaxMessage: 1 << 30},
		"negative":  {Dir: dir, Reserve: -1},
		"key there": {Dir: dir, Key: "k", URL: "nats://127.0.0.1:4222"},
		"prefix":    {Dir: dir, Prefix: "a.b"},
		"listen":    {Dir: dir, Listen: "0.0.0.0:4222"},
		"port":      {Dir: dir, Listen: "127.0.0.1:x"},
	} {
		if e, err := Open(t.Context(), o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, %v, want ErrInvalid", name, e, err)
		}
	}
}

func TestMessageOverTheLimitIsRefused(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), MaxMessage: 10 << 20})
	s := create(t, e, Definition{Name: "stream"})
	if _, err := s.Append(t.Context(), make([]byte, 10<<20+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	for i := range uint64(3) { // larger than a file of JetStream
		if seq, err := s.Append(t.Context(), make([]byte, 10<<20)); err != nil || seq != i {
			t.Errorf("largest message: got %d, %v", seq, err)
		}
	}
	var sizes []int
	next, err := s.Read(t.Context(), 0, 10, 15<<20, func(m Message) bool {
		sizes = append(sizes, len(m.Payload))
		return true
	})
	if err != nil || next != 1 || len(sizes) != 1 || sizes[0] != 10<<20 {
		t.Errorf("read %v to %d, %v, want the first one alone", sizes, next, err)
	}
}

func TestDeletedStreamTellsWhoWaits(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	s := create(t, e, Definition{Name: "stream"})
	add(t, s, "old")
	epoch := s.Info().Epoch
	told := make(chan error, 1)
	go func() { told <- s.Wait(context.Background(), 5) }()
	if err := e.Delete(t.Context(), "stream"); err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, ErrDeleted) {
		t.Errorf("wait: got %v, want ErrDeleted", err)
	}
	if _, err := s.Append(t.Context(), nil); !errors.Is(err, ErrDeleted) {
		t.Errorf("append: got %v, want ErrDeleted", err)
	}
	if _, err := s.Read(t.Context(), 0, 1, 1, func(Message) bool { return true }); !errors.Is(err, ErrDeleted) {
		t.Errorf("read: got %v, want ErrDeleted", err)
	}
	again := create(t, e, Definition{Name: "stream"})
	equal(t, add(t, again, "new"), 0)
	if again.Info().Epoch <= epoch {
		t.Errorf("the same number names two messages: epoch %d again", epoch)
	}
}

func TestClosedEngineRefuses(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	s := create(t, e, Definition{Name: "stream"})
	shut(t, e)
	if _, err := s.Append(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("append: got %v, want ErrClosed", err)
	}
	if err := e.Create(t.Context(), Definition{Name: "b"}); !errors.Is(err, ErrClosed) {
		t.Errorf("create: got %v, want ErrClosed", err)
	}
}

func TestEncryptedStreamsNeedTheirKey(t *testing.T) {
	const secret = "who reads this has no key"
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	s := create(t, e, Definition{Name: "stream"})
	const count = 20
	for range count {
		add(t, s, secret+strings.Repeat(".", 1e6))
	}
	shut(t, e)
	if len(filesWith(t, o.Dir, secret)) == 0 {
		t.Fatal("the message is not on disk as it is: this test tests nothing")
	}
	o.Key = "key" // switched on later
	e = open(t, o)
	s = stream(t, e, "stream")
	add(t, s, secret)
	equal(t, len(texts(t, s, 0)), count+1)
	shut(t, e)
	if found := filesWith(t, o.Dir, secret); len(found) > 0 {
		t.Errorf("in plain text in %v", found)
	}
	for _, key := range []string{"", "other"} {
		o.Key = key
		if _, err := Open(t.Context(), o); !errors.Is(err, ErrWrongKey) {
			t.Errorf("key %q: got %v, want ErrWrongKey", key, err)
		}
	}
	o.Key = "key"
	e = open(t, o)
	equal(t, len(texts(t, stream(t, e, "stream"), 0)), count+1)
	equal(t, texts(t, stream(t, e, "stream"), count), "[20:"+secret+"]")
}

// filesWith are the files that hold a text.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestMemoryStreamGoesOnEmptyAfterARestart(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	s := create(t, e, Definition{Name: "stream", Memory: true, MaxSize: 1 << 20})
	add(t, s, "zero", "one")
	epoch := s.Info().Epoch
	shut(t, e)
	e = open(t, o)
	s = stream(t, e, "stream")
	equal(t, add(t, s, "two"), 2)
	equal(t, texts(t, s, 0), "[2:two]")
	if s.Info().Epoch <= epoch {
		t.Errorf("epoch %d did not rise", epoch)
	}
}

func TestReadByTime(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	s := create(t, e, Definition{Name: "stream"})
	var moments []time.Time
	for _, text := range []string{"zero", "one", "two"} {
		moments = append(moments, time.Now().Truncate(time.Millisecond))
		add(t, s, text, text)
		for !time.Now().Truncate(time.Millisecond).After(moments[len(moments)-1].Add(time.Millisecond)) {
			time.Sleep(time.Millisecond)
		}
	}
	for i, at := range moments {
		seq, err := s.SeqAt(t.Context(), at)
		if err != nil || seq != uint64(2*i) {
			t.Errorf("message at %v: got %d, %v, want %d", at, seq, err, 2*i)
		}
	}
	for at, want := range map[time.Time]uint64{{}: 0, time.Unix(0, 0): 0, time.Now().Add(time.Hour): 6} {
		if seq, err := s.SeqAt(t.Context(), at); err != nil || seq != want {
			t.Errorf("at %v: got %d, %v, want %d", at, seq, err, want)
		}
	}
}

func TestCheckpointsSurviveARestart(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	s := create(t, e, Definition{Name: "stream"})
	add(t, s, "a", "b", "c")
	c := s.Checkpoint("one")
	equal(t, c.Get(), 0)
	c.Set(2)
	c.Set(1) // never back
	equal(t, c.Get(), 2)
	s.Checkpoint("two")
	shut(t, e)
	e = open(t, o)
	s = stream(t, e, "stream")
	equal(t, s.Checkpoint("one").Get(), 2)
	equal(t, s.Checkpoints(), map[string]uint64{"one": 2, "two": 0})
	s.Forget("two")
	equal(t, s.Checkpoints(), map[string]uint64{"one": 2})
}
