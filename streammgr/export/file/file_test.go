package file_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/file"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

var _ export.Holder = (*file.Target)(nil)

var stamp = time.Date(2026, 1, 31, 23, 59, 58, 0, time.UTC)

// messages are those from a sequence up to another.
func messages(epoch uint32, from, to uint64) (batch []log.Message) {
	for i := from; i < to; i++ {
		batch = append(batch, log.Message{Seq: i, Epoch: epoch, Time: stamp, Payload: fmt.Appendf(nil, "message %06d", i)})
	}
	return batch
}

func settings(dir string) file.Config {
	return file.Config{
		Dir: dir, Name: "${stream}-${time}-${epoch}-${first}", Size: 1 << 20, Keep: 1 << 30,
		Config: pack.Config{Format: pack.Frames, Compress: pack.None},
	}
}

func target(t testing.TB, c file.Config) *file.Target {
	t.Helper()
	f, err := file.New(c, map[string]string{"stream": "my/drive", "vin": "V1"}, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func send(t testing.TB, f *file.Target, batch []log.Message) {
	t.Helper()
	sent, err := f.Send(t.Context(), batch)
	if err != nil || sent.Done != len(batch) || len(batch) > 0 && sent.Bytes <= 0 {
		t.Fatalf("sent %+v, %v", sent, err)
	}
}

func end(t testing.TB, f *file.Target) {
	t.Helper()
	if err := f.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// files are the names in a folder.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sequences are those in the complete files of a folder, by epoch.
func sequences(t testing.TB, c file.Config) map[uint32][]uint64 {
	t.Helper()
	got := map[uint32][]uint64{}
	for _, name := range files(t, c.Dir) {
		if !strings.HasSuffix(name, c.Extension()) {
			continue
		}
		f, err := os.Open(filepath.Join(c.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := pack.NewReader(c.Config, f)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for {
			m, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want := fmt.Sprintf("message %06d", m.Seq); string(m.Payload) != want {
				t.Fatalf("%s: message %d is %q", name, m.Seq, m.Payload)
			}
			got[m.Epoch] = append(got[m.Epoch], m.Seq)
		}
	}
	return got
}

func span(from, to uint64) (all []uint64) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func TestAFolderStaysBelow(t *testing.T) {
	for stream, want := range map[string]string{
		"drive": "drive/a", "my drive, 1": "my%20drive%2C%201/a", "../../etc": "%2E.%2F..%2Fetc/a", "..": "%2E./a", ".": "%2E/a", "a/b": "a%2Fb/a",
	} {
		if got := file.Folder(stream, "a"); got != want {
			t.Errorf("%q: got %q, want %q", stream, got, want)
		}
	}
}

func TestFilesHoldWhatWasSent(t *testing.T) {
	for _, compress := range []string{pack.None, pack.Gzip, pack.Zstd} {
		c := settings(t.TempDir())
		c.Compress = compress
		f := target(t, c)
		send(t, f, messages(1, 10, 20))
		send(t, f, messages(1, 20, 50))
		name := "my%2Fdrive-20260131T235958Z-1-00000000000000000010" + c.Extension()
		if got := files(t, c.Dir); !slices.Equal(got, []string{name + ".part"}) {
			t.Errorf("while it is written: %v", got)
		}
		end(t, f)
		if got := files(t, c.Dir); !slices.Equal(got, []string{name}) {
			t.Errorf("complete: %v", got)
		}
		if got := sequences(t, c)[1]; !slices.Equal(got, span(10, 50)) {
			t.Errorf("%s: got %v", compress, got)
		}
	}
}

// A file is of one epoch and has no gap, so that its name tells the sequence of each
// line.
func TestAFileEndsAtAGapAndAtItsSize(t *testing.T) {
	c := settings(t.TempDir())
	c.Size = 4096 // of 42 bytes each
	f := target(t, c)
	send(t, f, slices.Concat(messages(1, 0, 5), messages(1, 7, 9), messages(2, 9, 12)))
	send(t, f, messages(2, 12, 112))
	send(t, f, messages(2, 112, 113))
	end(t, f)
	var firsts []string
	for _, name := range files(t, c.Dir) {
		firsts = append(firsts, strings.TrimSuffix(strings.TrimPrefix(name, "my%2Fdrive-20260131T235958Z-"), ".frames"))
	}
	want := []string{"1-00000000000000000000", "1-00000000000000000007", "2-00000000000000000009", "2-00000000000000000112"}
	if !slices.Equal(firsts, want) {
		t.Errorf("got %v, want %v", firsts, want)
	}
}

func TestAFileEndsWithItsTime(t *testing.T) {
	c := settings(t.TempDir())
	c.Every = config.Duration(time.Millisecond)
	f := target(t, c)
	send(t, f, messages(1, 0, 5))
	if from, next := f.Held(); from != 5 || next != 5 {
		t.Errorf("held %d, %d: want the runner to come back", from, next)
	}
	for begun := time.Now(); time.Since(begun) < 2*time.Millisecond; {
	}
	send(t, f, nil)
	if _, next := f.Held(); next != 0 {
		t.Error("the file is still open")
	}
	if got := files(t, c.Dir); len(got) != 1 || strings.HasSuffix(got[0], ".part") {
		t.Errorf("got %v", got)
	}
	end(t, f)
}

func TestTheOldestFilesMakeRoom(t *testing.T) {
	c := settings(t.TempDir())
	c.Size, c.Keep = 4096, 10_000
	other := filepath.Join(c.Dir, "notes.txt")
	if err := os.WriteFile(other, make([]byte, 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(9) { // a file each, and a restart each
		f := target(t, c)
		send(t, f, messages(1, i*100, i*100+100))
		end(t, f)
	}
	if got := sequences(t, c)[1]; !slices.Equal(got, span(700, 900)) {
		t.Errorf("kept %d messages from %d on, want the last 200", len(got), got[0])
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
}

// After a crash the file has what was whole, and what is sent again follows.
func TestAfterACrashTheFileIsCompleted(t *testing.T) {
	for _, compress := range []string{pack.None, pack.Gzip, pack.Zstd} {
		c := settings(t.TempDir())
		c.Compress = compress
		f := target(t, c)
		send(t, f, messages(1, 0, 50))
		send(t, f, messages(1, 50, 60))
		parts := files(t, c.Dir)
		path := filepath.Join(c.Dir, parts[0])
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()-3); err != nil { // and f is forgotten
			t.Fatal(err)
		}
		f = target(t, c)
		if got := files(t, c.Dir); len(got) != 1 || strings.HasSuffix(got[0], ".part") {
			t.Errorf("%s: got %v", compress, got)
		}
		whole := uint64(59)
		if compress != pack.None {
			whole = 50 // batches are whole or not
		}
		if got := sequences(t, c)[1]; !slices.Equal(got, span(0, whole)) {
			t.Errorf("%s: got %v", compress, got)
		}
		send(t, f, messages(1, 50, 70))
		end(t, f)
		if got := sequences(t, c)[1]; !slices.Equal(got, append(span(0, whole), span(50, 70)...)) {
			t.Errorf("%s: got %v", compress, got)
		}
	}
}

// The same file again, after a crash before any checkpoint, takes the place of the
// first.
func TestTheSameMessagesAgainAreOneFile(t *testing.T) {
	c := settings(t.TempDir())
	c.Size, c.Keep = 4096, 20_000
	for range 5 {
		f := target(t, c)
		send(t, f, messages(1, 0, 200))
		end(t, f)
	}
	if got := sequences(t, c)[1]; !slices.Equal(got, span(0, 200)) {
		t.Errorf("got %d messages, want 200", len(got))
	}
}

// One that a crash has left takes the place of a complete one, and its room.
func TestAFileTakesTheRoomOfAnother(t *testing.T) {
	c := settings(t.TempDir())
	c.Size, c.Keep = 4096, 14_000 // 333 messages
	f := target(t, c)
	send(t, f, messages(1, 0, 200))
	end(t, f)
	send(t, target(t, c), messages(1, 0, 100)) // and a crash
	f = target(t, c)
	send(t, f, messages(1, 100, 300))
	end(t, f)
	if got := sequences(t, c)[1]; !slices.Equal(got, span(0, 300)) {
		t.Errorf("got %d messages from %d on, want 300", len(got), got[0])
	}
}

// A folder that is gone is an error; nothing counts as done.
func TestWhatCantBeWrittenIsNotDone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "files")
	f := target(t, settings(dir))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	sent, err := f.Send(t.Context(), messages(1, 0, 5))
	if err == nil || sent.Done != 0 || !strings.Contains(err.Error(), dir) {
		t.Errorf("sent %+v, %v", sent, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	send(t, f, messages(1, 0, 5))
	end(t, f)
}

func TestConfigIsCheckedWithPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"name: a":                           "name: \"a\": want ${epoch} in it once",
		`name: "a/${epoch}-${first}"`:       "want a name without /",
		`name: "${epoch}-${first}-${what}"`: "${what}",
		"size: 2GiB":                        "keep: 1GiB is less than size, 2GiB",
		"format: csv":                       "format: want lines or frames",
		"compress: lz4":                     "compress: want none, gzip or zstd",
		"every: -1s":                        "every: want",
	} {
		var c file.Config
		if _, err := config.Decode("f.yaml", []byte(text), &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	var c file.Config
	if _, err := config.Decode("f.yaml", []byte("dir: out"), &c); err != nil {
		t.Fatal(err)
	}
	c.Resolve("/etc/fascia")
	if c.Dir != "/etc/fascia/out" || c.Format != pack.Lines || c.Compress != pack.None || c.Every != config.Duration(time.Hour) {
		t.Errorf("got %+v", c)
	}
}
