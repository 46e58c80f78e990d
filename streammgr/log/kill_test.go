package log

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// appendUntilKilled says what is there, and then appends messages that hold their
// own sequence, and says of each append that it was acknowledged, and when.
func appendUntilKilled(dir string, flush bool) {
	fail := func(err error) {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	ctx := context.Background()
	e, err := Open(ctx, Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fail(err)
	}
	<-e.Ready()
	s, ok := e.Stream("stream")
	if !ok {
		if err := e.Create(ctx, Definition{Name: "stream", MaxSize: 16 << 20, Flush: flush}); err != nil {
			fail(err)
		}
		s, _ = e.Stream("stream")
	}
	if err := checkOwnSequences(ctx, s); err != nil {
		fail(err)
	}
	i := s.Info()
	fmt.Println("opened", i.First, i.Next, i.Epoch, i.Lost)
	c := s.Checkpoint("exporter")
	c.Set(i.Next)
	for {
		next := s.Info().Next
		payloads := make([][]byte, 1+next%20)
		for i := range payloads {
			payloads[i] = fmt.Appendf(nil, "%0*d", 1+int(next%3000), next+uint64(i))
		}
		first, err := s.Append(ctx, payloads...)
		if err != nil {
			fail(err)
		}
		fmt.Println("acknowledged", first+uint64(len(payloads)), clock.Now())
		c.Set(first)
	}
}

// checkOwnSequences tells whether a stream holds what appendUntilKilled puts in.
func checkOwnSequences(ctx context.Context, s *Stream) error {
	for want := s.Info().First; want < s.Info().Next; {
		var bad error
		next, err := s.Read(ctx, want, 10_000, 1<<20, func(m Message) bool {
			if n, err := strconv.ParseUint(string(m.Payload), 10, 64); err != nil || n != m.Seq || m.Seq != want {
				bad = fmt.Errorf("message %d holds %s, want %d", m.Seq, m.Payload, want)
			}
			want++
			return bad == nil
		})
		if err = errors.Join(err, bad); err != nil || next != want {
			return fmt.Errorf("read to %d, want %d: %w", next, want, err)
		}
	}
	return nil
}

// Killed at any instant: all that was acknowledged is there, once and in its place,
// in the same epoch.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 0))
	var acknowledged, epoch uint64
	for round := range 12 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), killMe+"="+dir)
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var first, next, was, lost uint64
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "acknowledged "):
				_, err = fmt.Sscanf(line, "acknowledged %d", &acknowledged)
			case strings.HasPrefix(line, "opened "):
				time.AfterFunc(time.Duration(50+random.IntN(500))*time.Millisecond, func() { _ = child.Process.Kill() })
				_, err = fmt.Sscanf(line, "opened %d %d %d %d", &first, &next, &was, &lost)
				if next < acknowledged || lost > 0 || round > 0 && was != epoch {
					t.Errorf("round %d: %s, want all of %d in epoch %d", round, line, acknowledged, epoch)
				}
				epoch = was
			default:
				t.Errorf("round %d: %s", round, line)
			}
			if err != nil {
				t.Error(err)
			}
		}
		if err := child.Wait(); child.ProcessState.ExitCode() != -1 {
			t.Fatalf("child ended by itself: %v", err)
		}
	}
	t.Logf("%d messages", acknowledged)
}
