package brokers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell is a broker that is a script.
func shell(script string) *Broker {
	return &Broker{Name: "shell", command: []string{"/bin/sh", "-c", script}}
}

func freePort(t *testing.T) int {
	t.Helper()
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

func TestBrokerThatDoesNotStartSaysWhy(t *testing.T) {
	_, err := shell("echo no such key; exit 3").Start(t.Context(), t.TempDir(), "", freePort(t))
	if err == nil || !strings.Contains(err.Error(), "shell does not start: no such key") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := shell("exec sleep 60").Start(ctx, t.TempDir(), "", freePort(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestBrokerThatEndsByItselfSaysWhy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // in its place
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p, err := shell(`cat "$0"; exit 3`).Start(t.Context(), t.TempDir(), "out of luck", listener.Addr().(*net.TCPAddr).Port)
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "shell ended (exit status 3): out of luck") {
		t.Errorf("got %v", err)
	}
}

func TestPortsDiffer(t *testing.T) {
	const n = 500 // asked for one by one, of so many some are the same
	ports, err := FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if different := len(slices.Compact(ports)); different != n {
		t.Errorf("%d different ports, want %d", different, n)
	}
}

func TestPickKeepsTheOrderOfTheNames(t *testing.T) {
	all := []time.Month{time.January, time.March, time.May}
	for names, want := range map[string]string{
		"":            "[January March May], <nil>",
		"May,January": "[May January], <nil>",
		"May,June":    "[], -months June: want some of January,March,May",
	} {
		if picked, err := Pick("-months", names, all); fmt.Sprintf("%v, %v", picked, err) != want {
			t.Errorf("%q: got %v, %v, want %s", names, picked, err, want)
		}
	}
}
