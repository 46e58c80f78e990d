package vehicle_test

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// valueWithin is more than the simulated car needs to pull away from the kerb.
const valueWithin = time.Minute

// speed is a value of vss/Vehicle/Speed.
type speed struct {
	Value float64   `json:"value"`
	Stamp time.Time `json:"ts"`
}

// follower reads the lines that a client in a container prints, TOPIC PAYLOAD, as
// they come.
type follower struct {
	lines chan string // closed by the reader at the end of the container's output
}

// follow begins with the first line of the container. The test's end ends it.
func (v *vehicle) follow(t *testing.T, service string) *follower {
	t.Helper()
	logs := v.engine.command("docker", "logs", "--follow", v.container(t, service))
	out, in := io.Pipe()
	logs.Stdout = in
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	f := &follower{lines: make(chan string)}
	go func() {
		defer close(f.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			f.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = logs.Process.Kill() // it may have ended with its container
		_ = out.Close()
		for range f.lines { // what nobody awaits any more
		}
		_ = logs.Wait()
	})
	return f
}

// await reads on until a speed satisfies want.
func (f *follower) await(t *testing.T, what string, want func(speed) bool) {
	t.Helper()
	deadline := time.After(valueWithin)
	var last string
	for {
		select {
		case <-deadline:
			t.Fatalf("no %s within %v; the last line of the client: %q", what, valueWithin, last)
		case line, ok := <-f.lines:
			if !ok {
				t.Fatalf("the client ended before there was %s; its last line: %q", what, last)
			}
			last = line
			payload, ok := strings.CutPrefix(line, "vss/Vehicle/Speed ")
			if !ok {
				continue
			}
			var s speed
			if err := json.Unmarshal([]byte(payload), &s); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if want(s) {
				return
			}
		}
	}
}
