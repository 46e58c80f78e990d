package s3

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// exportUntilKilled exports the stream in a folder as the environment says.
func exportUntilKilled(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	e, err := log.Open(ctx, log.Options{Dir: dir, SyncInterval: time.Millisecond, CheckpointInterval: 50 * time.Millisecond})
	fail(err)
	<-e.Ready()
	fail(e.Err())
	s, ok := e.Stream("drive")
	if !ok {
		fail(log.ErrNotFound)
	}
	b := bucket{name: os.Getenv(killMe + "_BUCKET"), url: os.Getenv(killMe + "_URL")}
	target, err := New(ctx, b.settings(), Env{Stream: s, Exporter: "far", Keeper: shelf{dir}, Vehicle: awscreds.Vehicle{VIN: "V1"}})
	fail(err)
	soon := config.Duration(10 * time.Millisecond)
	r, err := export.New(export.Options{Stream: s, Target: target,
		Config: export.Config{Name: "far", BatchBytes: 40_000, BackOff: export.BackOff{Min: soon, Max: soon, Refused: soon}}})
	fail(err)
	r.Start()
	select {}
}

// Killed at any request, before it or behind it: the objects hold the stream to the
// byte, and no part went twice but the one under way.
func TestKillInTheMiddleOfAnUpload(t *testing.T) {
	const messages, kills = 3000, 15
	b := newBucket(t)
	dir := t.TempDir()
	e := open(t, dir)
	add(t, stream(t, e, log.Definition{Name: "drive"}), 0, messages)
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	var mu sync.Mutex
	var child *exec.Cmd
	left, killed, bytes := 0, 0, int64(0)
	b.fail(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		mu.Lock()
		defer mu.Unlock()
		if what(r) != "head" {
			bytes += r.ContentLength
		}
		if left--; left != 0 || killed >= kills {
			return false
		}
		killed++
		if random.IntN(2) == 0 {
			defer forward.ServeHTTP(w, r)
		}
		_ = child.Process.Kill()
		return true
	})
	for round := 0; round <= kills; round++ {
		mu.Lock()
		left = 1 + random.IntN(5)
		child = exec.Command(os.Args[0])
		child.Env = append(os.Environ(), killMe+"="+dir, killMe+"_BUCKET="+b.name, killMe+"_URL="+b.url)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		err := child.Start()
		mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if round == kills {
			break
		}
		if err := child.Wait(); child.ProcessState.ExitCode() != -1 {
			t.Fatalf("child ended by itself: %v", err)
		}
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	// What is behind the last whole object stays with the stream.
	eventually(t, "objects", func() error {
		if n := len(b.messages(t, b.settings().Config)); n < messages-300 {
			return fmt.Errorf("%d messages", n)
		}
		return nil
	})
	n := uint64(len(b.messages(t, b.settings().Config)))
	b.want(t, b.settings().Config, 0, n)
	size := int64(0)
	for _, key := range b.keys(t) {
		_, content := b.object(t, key)
		size += int64(len(content))
	}
	mu.Lock()
	defer mu.Unlock()
	if most := size + (kills+4)*110_000; bytes > most {
		t.Errorf("%d bytes went out for %d: want at most a part more for each kill, %d", bytes, size, most)
	}
	t.Logf("%d kills, %d bytes for %d", killed, bytes, size)
}
