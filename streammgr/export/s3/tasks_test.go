package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/streammgr/npmtest"
)

// tasks is a target for tasks, with what it told.
type tasks struct {
	*Tasks
	stream *log.Stream
	told   []StatusMessage
}

func newTasks(t *testing.T, b *bucket, c TaskConfig, k export.Keeper) *tasks {
	t.Helper()
	c.Service, c.StatusStream = b.settings().Service, "status"
	if c.StatusLevel == "" {
		c.StatusLevel = "info"
	}
	ts := &tasks{stream: stream(t, open(t, t.TempDir()), log.Definition{Name: "uploads"})}
	env := TaskEnv{Env: Env{Stream: ts.stream, Exporter: "far", Keeper: k, Vehicle: awscreds.Vehicle{VIN: "V1"}},
		Append: func(_ context.Context, stream string, messages ...[]byte) (uint64, error) {
			var m StatusMessage
			if err := json.Unmarshal(messages[0], &m); err != nil || len(messages) > 1 || stream != "status" {
				t.Errorf("%s: %s: %v", stream, messages, err)
			}
			ts.told = append(ts.told, m)
			return 0, nil
		}}
	var err error
	if ts.Tasks, err = NewTasks(t.Context(), c, env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ts.Close(context.Background()) })
	return ts
}

// statuses are what was told, in short.
func (ts *tasks) statuses() string {
	names := map[Status]string{StatusSuccess: "success", StatusFailure: "failure", StatusInProgress: "progress", StatusWarning: "warning"}
	var all []string
	for _, m := range ts.told {
		all = append(all, fmt.Sprintf("%d %s", m.StatusContext.SequenceNumber, names[m.Status]))
	}
	return strings.Join(all, ", ")
}

// message is a task in a stream.
func message(t *testing.T, seq uint64, task any) log.Message {
	t.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	return log.Message{Seq: seq, Epoch: 1, Payload: text}
}

func TestTaskUploadsItsFile(t *testing.T) {
	b := newBucket(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "drive 1.bin")
	if err := os.WriteFile(path, []byte("what was seen"), 0o600); err != nil {
		t.Fatal(err)
	}
	ts := newTasks(t, b, TaskConfig{Folders: []string{dir}, Threshold: 1 << 20, PartSize: 1 << 20}, nil)
	sent, err := ts.Send(t.Context(), []log.Message{
		message(t, 0, Task{InputURL: "file:" + strings.ReplaceAll(path, " ", "%20"), Bucket: b.name, Key: "a/!{timestamp:yyyy}/b", UserMetadata: map[string]string{"Trip": "7"}}),
		message(t, 1, Task{InputURL: path, Bucket: b.name, Key: "c"}),
	})
	if err != nil || sent.Done != 2 || sent.Bytes < 26 {
		t.Fatalf("%+v, %v", sent, err)
	}
	keys := b.keys(t)
	if len(keys) != 2 || keys[0] != "a/"+time.Now().UTC().Format("2006")+"/b" {
		t.Errorf("objects %v", keys)
	}
	o, content := b.object(t, keys[0])
	if string(content) != "what was seen" || o.Metadata["trip"] != "7" {
		t.Errorf("%q with %v", content, o.Metadata)
	}
	if got := ts.statuses(); got != "0 progress, 0 success, 1 progress, 1 success" {
		t.Errorf("told %s", got)
	}
}

// The SDK of the Stream Manager's clients makes the task and reads the status,
// unchanged.
func TestTasksAndStatusesAreThoseOfTheSDK(t *testing.T) {
	b := newBucket(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := npmtest.Script(t, "testdata/tasks.js", "make", "file://"+path, b.name).Output()
	if err != nil {
		t.Fatal(err)
	}
	ts := newTasks(t, b, TaskConfig{Folders: []string{dir}, Threshold: 1 << 20, PartSize: 1 << 20}, nil)
	if _, err := ts.Send(t.Context(), []log.Message{{Seq: 9, Epoch: 1, Payload: made}}); err != nil {
		t.Fatal(err)
	}
	if o, _ := b.object(t, "made/by/sdk"); o.Metadata["trip"] != "7" {
		t.Errorf("metadata %v", o.Metadata)
	}
	last, err := json.Marshal(ts.told[len(ts.told)-1])
	if err != nil {
		t.Fatal(err)
	}
	out, err := npmtest.Script(t, "testdata/tasks.js", "read", string(last), "file://"+path).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("%v: %s", err, out)
	}
}

// An upload that was cut off, by a fault or by a kill, goes on where it was.
func TestTaskGoesOnWhereItWas(t *testing.T) {
	b := newBucket(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "large")
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	k := shelf{t.TempDir()}
	c := TaskConfig{Folders: []string{dir}, Threshold: 64_000, PartSize: 64_000}
	ts := newTasks(t, b, c, k)
	m := message(t, 5, Task{InputURL: "file://" + path, Bucket: b.name, Key: "large"})
	for _, at := range []string{"part 3", "part 5", "complete"} {
		b.fail(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			return what(r) == at && refuse(w, 500, "InternalError")
		})
		if sent, err := ts.Send(t.Context(), []log.Message{m}); err == nil || sent.Done != 0 {
			t.Fatalf("%+v, %v", sent, err)
		}
		ts = newTasks(t, b, c, k) // as if killed
	}
	b.fail(nil)
	if sent, err := ts.Send(t.Context(), []log.Message{m}); err != nil || sent.Done != 1 {
		t.Fatalf("%+v, %v", sent, err)
	}
	if _, got := b.object(t, "large"); !bytes.Equal(got, content) {
		t.Errorf("%d bytes", len(got))
	}
	if asked := b.asked(); asked != "begin, part 1, part 2, part 3, part 3, part 4, part 5, part 5, complete, head, complete" {
		t.Errorf("asked %s", asked)
	}
	if ts.journal.read(&ts.upload); ts.upload.Upload != "" {
		t.Errorf("left %+v", ts.upload)
	}
}

func TestFileThatWasChangedIsUploadedAnew(t *testing.T) {
	b := newBucket(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "large")
	write := func(c string, n int) {
		if err := os.WriteFile(path, bytes.Repeat([]byte(c), n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old ", 40_000)
	ts := newTasks(t, b, TaskConfig{Folders: []string{dir}, Threshold: 64_000, PartSize: 64_000}, nil)
	b.fail(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		return what(r) == "part 2" && refuse(w, 503, "SlowDown")
	})
	m := message(t, 0, Task{InputURL: path, Bucket: b.name, Key: "large"})
	if _, err := ts.Send(t.Context(), []log.Message{m}); !errors.Is(err, export.ErrThrottled) {
		t.Fatal(err)
	}
	write("new ", 41_000)
	b.fail(nil)
	if _, err := ts.Send(t.Context(), []log.Message{m}); err != nil {
		t.Fatal(err)
	}
	if _, got := b.object(t, "large"); !bytes.Equal(got, bytes.Repeat([]byte("new "), 41_000)) {
		t.Errorf("%d bytes, %.8q", len(got), got)
	}
	if asked := b.asked(); !strings.Contains(asked, "abort, begin") {
		t.Errorf("asked %s", asked)
	}
	if got := ts.statuses(); got != "0 progress, 0 warning, 0 success" {
		t.Errorf("told %s", got)
	}
}

// What can't be carried out is reported and left out; the next task goes on.
func TestTaskThatCanNotBeCarriedOutIsReported(t *testing.T) {
	b := newBucket(t)
	dir, elsewhere := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(dir, "file"), filepath.Join(elsewhere, "secret")} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(elsewhere, "secret"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	good := Task{InputURL: filepath.Join(dir, "file"), Bucket: b.name, Key: "k"}
	for name, test := range map[string]struct {
		task any
		says string
	}{
		"no JSON object":      {"nonsense", "want a task in JSON"},
		"no bucket":           {Task{InputURL: good.InputURL, Key: "k"}, "want bucket and key"},
		"not there":           {Task{InputURL: filepath.Join(dir, "none"), Bucket: b.name, Key: "k"}, "no such file"},
		"elsewhere":           {Task{InputURL: filepath.Join(elsewhere, "secret"), Bucket: b.name, Key: "k"}, "folders that the gateway's configuration names"},
		"behind dots":         {Task{InputURL: "file://" + dir + "/../" + filepath.Base(elsewhere) + "/secret", Bucket: b.name, Key: "k"}, "folders"},
		"behind a link":       {Task{InputURL: filepath.Join(dir, "link"), Bucket: b.name, Key: "k"}, "escapes"},
		"a folder":            {Task{InputURL: dir, Bucket: b.name, Key: "k"}, "want a regular file"},
		"on the net":          {Task{InputURL: "http://a/b", Bucket: b.name, Key: "k"}, "want a local file"},
		"another host's":      {Task{InputURL: "file://host/b", Bucket: b.name, Key: "k"}, "want a local file"},
		"bad pattern":         {Task{InputURL: good.InputURL, Bucket: b.name, Key: "!{timestamp:j}"}, "j is not a field"},
		"unknown placeholder": {Task{InputURL: good.InputURL, Bucket: b.name, Key: "!{vin}"}, "want !{timestamp:"},
		"reserved metadata":   {Task{InputURL: good.InputURL, Bucket: b.name, Key: "k", UserMetadata: map[string]string{"$aws-gg-x": "1"}}, "reserved"},
		"metadata of lines":   {Task{InputURL: good.InputURL, Bucket: b.name, Key: "k", UserMetadata: map[string]string{"a": "1\n2"}}, "can't be a header"},
		"no such bucket":      {Task{InputURL: good.InputURL, Bucket: "nobody-has-this", Key: "k"}, "NoSuchBucket"},
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTasks(t, b, TaskConfig{Folders: []string{dir}, Threshold: 1 << 20, PartSize: 1 << 20}, nil)
			sent, err := ts.Send(t.Context(), []log.Message{message(t, 0, test.task), message(t, 1, good)})
			if !errors.Is(err, export.ErrUnfit) || errors.Is(err, export.ErrRefused) || sent.Done != 0 || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%+v, %v", sent, err)
			}
			last := ts.told[len(ts.told)-1]
			if last.Status != StatusFailure || last.StatusLevel != LevelError || !strings.Contains(last.Message, test.says) {
				t.Errorf("told %+v", last)
			}
			if sent, err := ts.Send(t.Context(), []log.Message{message(t, 1, good)}); err != nil || sent.Done != 1 {
				t.Errorf("%+v, %v", sent, err)
			}
		})
	}
}

// Credentials that nobody knows are the gateway's matter, not the task's.
func TestWrongCredentialsLoseNoTask(t *testing.T) {
	b := newBucket(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.fail(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		return refuse(w, 403, "InvalidAccessKeyId")
	})
	ts := newTasks(t, b, TaskConfig{Folders: []string{dir}, Threshold: 1 << 20, PartSize: 1 << 20, StatusLevel: "error"}, nil)
	m := message(t, 0, Task{InputURL: filepath.Join(dir, "file"), Bucket: b.name, Key: "empty"})
	if _, err := ts.Send(t.Context(), []log.Message{m}); !errors.Is(err, export.ErrRefused) || errors.Is(err, export.ErrUnfit) {
		t.Fatal(err)
	}
	b.fail(nil)
	if sent, err := ts.Send(t.Context(), []log.Message{m}); err != nil || sent.Done != 1 {
		t.Fatalf("%+v, %v", sent, err)
	}
	if _, content := b.object(t, "empty"); len(content) != 0 || ts.statuses() != "" {
		t.Errorf("%q, told %s", content, ts.statuses())
	}
}

func FuzzParseTask(f *testing.F) {
	f.Add([]byte(`{"inputUrl":"file:///a","bucket":"b","key":"!{timestamp:yyyy}/x","userMetadata":{"a":"b"}}`))
	f.Add([]byte(`{"inputUrl":"/a","bucket":"b","key":"!{"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		task, err := ParseTask(text)
		if err != nil {
			return
		}
		if path, err := task.path(); err != nil || !filepath.IsAbs(path) {
			t.Errorf("%q: %v", path, err)
		}
	})
}
