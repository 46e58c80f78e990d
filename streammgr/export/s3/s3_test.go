package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

func target(t testing.TB, c Config, s *log.Stream, k export.Keeper) *Target {
	t.Helper()
	target, err := New(t.Context(), c, Env{Stream: s, Exporter: "far", Keeper: k, Vehicle: awscreds.Vehicle{VIN: "V1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.store.close)
	return target
}

// send hands over messages in batches of so many.
func send(t testing.TB, to *Target, s *log.Stream, from, until, batch uint64) {
	t.Helper()
	for ; from < until; from += batch {
		b := read(t, s, from, min(until, from+batch))
		if sent, err := to.Send(t.Context(), b); err != nil || sent.Done != len(b) {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
}

// end completes what is open.
func end(t testing.TB, to *Target) {
	t.Helper()
	to.until = 1
	if _, err := to.Send(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if from, next := to.Held(); from != 0 || next != 0 {
		t.Errorf("holds %d to %d after its end", from, next)
	}
}

func TestObjectsHoldTheStream(t *testing.T) {
	for _, format := range []string{pack.Lines, pack.Frames} {
		for _, compress := range []string{pack.None, pack.Gzip, pack.Zstd} {
			t.Run(format+"-"+compress, func(t *testing.T) {
				b := newBucket(t)
				s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
				add(t, s, 0, 1000)
				c := b.settings()
				c.Config = pack.Config{Format: format, Compress: compress}
				c.ContentType = "application/x-test"
				to := target(t, c, s, nil)
				send(t, to, s, 0, 1000, 70)
				end(t, to)
				b.want(t, c.Config, 0, 1000)
				keys := b.keys(t)
				if len(keys) < 3 || !strings.HasPrefix(keys[0], "V1/drive/00000000000000000000-1."+format) {
					t.Errorf("objects %v", keys)
				}
				if o, _ := b.object(t, keys[0]); *o.ContentType != "application/x-test" {
					t.Errorf("content type %s", *o.ContentType)
				}
				if asked := b.asked(); !strings.HasPrefix(asked, "begin, part 1, part 2") {
					t.Errorf("asked %s", asked)
				}
			})
		}
	}
}

// Nothing is done before S3 has the whole object.
func TestCheckpointIsTheBeginningOfTheOpenObject(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 300)
	to := target(t, b.settings(), s, nil)
	for from := uint64(0); from < 300; from += 30 {
		send(t, to, s, from, from+30, 30)
		objects := uint64(len(b.messages(t, to.config.Config)))
		if first, next := to.Held(); first != objects || next != from+30 {
			t.Fatalf("holds %d to %d with %d messages in objects and %d handed over", first, next, objects, from+30)
		}
	}
}

func TestObjectEndsWithItsTime(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 10)
	c := b.settings()
	c.Every = config.Duration(time.Hour)
	to := target(t, c, s, nil)
	send(t, to, s, 0, 5, 5)
	if asked := b.asked(); asked != "" {
		t.Errorf("asked %s", asked)
	}
	if until := time.Duration(to.until - clock.Now()); until > time.Hour || until < 50*time.Minute {
		t.Errorf("ends in %v", until)
	}
	to.until = clock.Now()
	send(t, to, s, 5, 10, 5) // these are the next object's
	if asked := b.asked(); asked != "put" {
		t.Errorf("asked %s", asked)
	}
	b.want(t, c.Config, 0, 5)
	end(t, to)
	b.want(t, c.Config, 0, 10)
	if keys := b.keys(t); len(keys) != 2 {
		t.Errorf("objects %v", keys)
	}
}

// An object has no gap and one epoch, so that its key and the number of its lines tell
// the sequence of each.
func TestObjectEndsAtAGap(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive", MaxSize: 1 << 20, SegmentSize: 1 << 10})
	add(t, s, 0, 400)
	to := target(t, b.settings(), s, nil)
	send(t, to, s, 0, 150, 30) // a part is there
	if err := s.Purge(t.Context(), 200); err != nil {
		t.Fatal(err)
	}
	send(t, to, s, 200, 400, 50)
	end(t, to)
	first := uint64(0)
	for _, m := range b.messages(t, to.config.Config) {
		if m.Seq != first {
			if m.Seq != 200 || first > 150 || first < 60 {
				t.Errorf("message %d follows %d", m.Seq, first-1)
			}
			first = m.Seq
		}
		first++
	}
	if first != 400 {
		t.Errorf("ends with %d", first)
	}
	if keys := b.keys(t); !strings.Contains(fmt.Sprint(keys), "00000000000000000200-") {
		t.Errorf("objects %v", keys)
	}
}

func TestFaultsLoseNothing(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 2000)
	var n atomic.Int64
	b.fail(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		switch n.Add(1) % 9 {
		case 2:
			return refuse(w, 503, "SlowDown")
		case 4:
			return refuse(w, 500, "InternalError")
		case 6:
			panic(http.ErrAbortHandler)
		case 8:
			return lose(r, forward)
		}
		return false
	})
	to := target(t, b.settings(), s, shelf{t.TempDir()})
	failed := 0
	for from := uint64(0); from < 2000; {
		batch := read(t, s, from, min(2000, from+60))
		sent, err := to.Send(t.Context(), batch)
		if err != nil {
			failed++
			if errors.Is(err, export.ErrRefused) || !strings.Contains(err.Error(), b.name) {
				t.Fatal(err)
			}
		}
		from += uint64(sent.Done)
	}
	b.fail(nil)
	end(t, to)
	if failed < 5 {
		t.Errorf("%d faults", failed)
	}
	b.want(t, to.config.Config, 0, 2000)
}

// A car that was parked for longer than the bucket keeps uploads.
func TestUploadThatIsGoneIsSentAgain(t *testing.T) {
	for _, at := range []string{"part 3", "complete"} {
		t.Run(at, func(t *testing.T) {
			b := newBucket(t)
			s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
			add(t, s, 0, 500)
			once := false
			b.fail(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				if once || what(r) != at {
					return false
				}
				once = true
				return refuse(w, 404, "NoSuchUpload")
			})
			to := target(t, b.settings(), s, nil)
			send(t, to, s, 0, 500, 50)
			end(t, to)
			b.want(t, to.config.Config, 0, 500)
			if !once {
				t.Error("it was not gone")
			}
		})
	}
}

// The answer to the last call is lost, and the object is there.
func TestCompletedObjectIsNotSentAgain(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 500)
	b.fail(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		return what(r) == "complete" && lose(r, forward)
	})
	k := shelf{t.TempDir()}
	to := target(t, b.settings(), s, k)
	var err error
	for from := uint64(0); err == nil; from += 50 {
		_, err = to.Send(t.Context(), read(t, s, from, from+50))
	}
	b.asked()
	from, _ := to.Held()
	to = target(t, b.settings(), s, k) // as if killed
	if again, next := to.Held(); again != from || next <= from {
		t.Errorf("holds %d to %d, before %d", again, next, from)
	}
	if _, err := to.Send(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if asked := b.asked(); asked != "head" {
		t.Errorf("asked %s", asked)
	}
}

func TestAfterARestartNothingIsSentTwice(t *testing.T) {
	b := newBucket(t)
	dir := t.TempDir()
	s := stream(t, open(t, dir), log.Definition{Name: "drive"})
	add(t, s, 0, 1200)
	k := shelf{t.TempDir()}
	for last := int64(-1); ; {
		to := target(t, b.settings(), s, k)
		_, next := to.Held()
		if int64(next) <= last {
			t.Fatalf("goes on at %d as before", next)
		}
		last = int64(next)
		send(t, to, s, next, min(1200, next+260), 65) // and it is forgotten
		if next+260 >= 1200 {
			end(t, to)
			break
		}
	}
	b.want(t, b.settings().Config, 0, 1200)
	if asked := b.asked(); strings.Count(asked, "part 1,") != strings.Count(asked, "begin") {
		t.Errorf("parts were sent twice: %s", asked)
	}
}

// A stream that was made anew has the same sequences, and other messages.
func TestUploadOfAStreamThatWasDeletedIsGivenUp(t *testing.T) {
	b := newBucket(t)
	e := open(t, t.TempDir())
	s := stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 200)
	k := shelf{t.TempDir()}
	to := target(t, b.settings(), s, k)
	send(t, to, s, 0, 150, 50)
	if err := e.Delete(t.Context(), "drive"); err != nil {
		t.Fatal(err)
	}
	s = stream(t, e, log.Definition{Name: "drive"})
	add(t, s, 0, 300)
	b.asked()
	to = target(t, b.settings(), s, k)
	if from, next := to.Held(); from != 0 || next != 0 {
		t.Errorf("holds %d to %d of another stream", from, next)
	}
	send(t, to, s, 0, 300, 50)
	end(t, to)
	if asked := b.asked(); !strings.HasPrefix(asked, "abort, begin, part 1") {
		t.Errorf("asked %s", asked)
	}
	b.want(t, to.config.Config, 0, 300)
}

func TestCloseCompletesTheObjectOnlyWhereItMaySend(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 100)
	to := target(t, b.settings(), s, nil)
	send(t, to, s, 0, 100, 100)
	to.tended -= 2 * lately // the exporter is held since
	if err := to.Close(t.Context()); err != nil || b.asked() != "" {
		t.Errorf("asked although it is held: %v", err)
	}
	to.tended = clock.Now()
	if err := to.Close(t.Context()); err != nil {
		t.Error(err)
	}
	b.want(t, to.config.Config, 0, 100)
}

func TestAnswersAreJudged(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 10)
	for code, test := range map[string]struct {
		status    int
		throttled bool
		refused   bool
	}{
		"SlowDown":           {503, true, false},
		"NoSuchBucket":       {404, false, true},
		"AccessDenied":       {403, false, true},
		"InvalidAccessKeyId": {403, false, true},
		"ExpiredToken":       {400, false, false},
		"InternalError":      {500, false, false},
		"RequestTimeout":     {400, false, false},
	} {
		b.fail(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool { return refuse(w, test.status, code) })
		to := target(t, b.settings(), s, nil)
		send(t, to, s, 0, 10, 10)
		to.until = 1
		sent, err := to.Send(t.Context(), nil)
		if err == nil || sent.Done != 0 || !strings.Contains(err.Error(), code+": because of the test") {
			t.Errorf("%s: %+v, %v", code, sent, err)
		}
		if errors.Is(err, export.ErrThrottled) != test.throttled || errors.Is(err, export.ErrRefused) != test.refused {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// Credentials that have expired are fetched anew, and the call is made again.
func TestExpiredCredentialsAreRenewed(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 300)
	expired := false
	b.fail(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if expired || what(r) != "part 2" {
			return false
		}
		expired = true
		return refuse(w, 400, "ExpiredToken")
	})
	to := target(t, b.settings(), s, nil)
	send(t, to, s, 0, 300, 50)
	end(t, to)
	if !expired {
		t.Error("they did not expire")
	}
	b.want(t, to.config.Config, 0, 300)
}

func TestConfigIsCheckedWithPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"bucket: A":                                              `bucket: "A": want 3 to 63`,
		"bucket: abc\nkey: \"${first}\"":                         "key: \"${first}\": want ${epoch} and ${first}",
		"bucket: abc\nkey: \"/${epoch}-${first}\"":               "no / at the beginning",
		"bucket: abc\nkey: \"${epoch}-${first}-${time:j}\"":      "j is not a field",
		"bucket: abc\nendpoint: s3.example.com":                  "endpoint: ",
		"bucket: abc\nsize: 40GiB\npart_size: 5MiB\n#":           "",
		"bucket: abc\nsize: 48GiB\npart_size: 5MiB\nevery: -1s":  "every",
		"bucket: abc\npart_size: 1MiB":                           "part_size",
		"size: 1MiB":                                             "bucket: missing",
		"bucket: abc\ncredentials: {access_key: a}":              "access_key and secret_key together",
		"bucket: abc\nformat: parquet":                           "format",
		"bucket: arn:aws:s3:eu-central-1:123:accesspoint/drives": "",
	} {
		var c Config
		_, err := config.Decode("f.yaml", []byte(text), &c)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestContextEndsASend(t *testing.T) {
	b := newBucket(t)
	s := stream(t, open(t, t.TempDir()), log.Definition{Name: "drive"})
	add(t, s, 0, 300)
	ctx, cancel := context.WithCancel(t.Context())
	b.fail(func(http.ResponseWriter, *http.Request, http.Handler) bool {
		cancel()
		panic(http.ErrAbortHandler)
	})
	to := target(t, b.settings(), s, nil)
	send(t, to, s, 0, 300, 300)
	if sent, err := to.Send(ctx, read(t, s, 299, 300)[:0]); !errors.Is(err, context.Canceled) || sent.Done != 0 {
		t.Errorf("%+v, %v", sent, err)
	}
}
