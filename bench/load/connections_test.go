package load

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestIdleConnectionsAreHeldAndCounted(t *testing.T) {
	for broker, start := range brokers {
		t.Run(broker, func(t *testing.T) {
			address := start(t)
			o := at(t, address)
			_, port, _ := net.SplitHostPort(address)
			pid, err := FindProcess("tcp", port)
			if err != nil {
				t.Fatal(err)
			}
			o.Process, o.KeepAlive = pid, 1 // pings are needed to live so long
			r, err := RunIdle(t.Context(), o, Idle{Connections: 50, Hold: 1700 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if r.Connections != 50 || r.Interrupted || r.MemoryBefore == 0 || r.MemoryAfter == 0 || r.Cores == nil {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestIdleConnectionThatDoesNotLastIsTold(t *testing.T) {
	address := startFascia(t, "")
	o := at(t, address)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(p Progress) { // comes every second, from another goroutine
		if p.Connections == 5 && ctx.Err() == nil {
			thief := at(t, address)
			c, err := thief.connect(context.Background(), "thief", "test-idle3", passing)
			if err != nil {
				t.Error(err)
				return
			}
			c.goodbye()
			cancel()
		}
	}
	_, err := RunIdle(ctx, o, Idle{Connections: 5, Hold: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "connection 3 did not last") {
		t.Errorf("got %v", err)
	}
}

func TestStormIsMeasuredBesideOthers(t *testing.T) {
	for broker, start := range brokers {
		t.Run(broker, func(t *testing.T) {
			storm := Storm{Clients: 20, Others: Traffic{Shape: Pair, Publishers: 2, Subscribers: 2, Size: 16,
				QoS: 1, Window: 10, Rate: 100, Duration: 300 * time.Millisecond, Drain: patience}}
			r, err := RunStorm(t.Context(), at(t, start(t)), storm)
			if err != nil {
				t.Fatal(err)
			}
			allKept(t, r.Before)
			allKept(t, r.During)
			if r.Connections == 0 || r.Connect == nil || r.Refused > 0 || len(r.Broken()) > 0 {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestStormCountsRefusals(t *testing.T) {
	storm := Storm{Clients: 20, Others: Traffic{Shape: Pair, Publishers: 2, Subscribers: 2, Size: 16,
		Rate: 100, Duration: 300 * time.Millisecond, Drain: patience}}
	r, err := RunStorm(t.Context(), at(t, startFascia(t, "connections: 8")), storm)
	if err != nil {
		t.Fatal(err)
	}
	if r.Refused == 0 || r.Refusal == "" {
		t.Errorf("20 clients and 4 others found room for 8 connections: %+v", r)
	}
}

func TestProcessIsFoundByWhereItListens(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	port := strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port)
	path := filepath.Join(t.TempDir(), "socket")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for network, where := range map[string]string{"tcp": port, "unix": path} {
		if pid, err := FindProcess(network, where); pid != os.Getpid() || err != nil {
			t.Errorf("%s %s: process %d, %v; want %d", network, where, pid, err, os.Getpid())
		}
	}
	tcp.Close()
	if pid, err := FindProcess("tcp", port); err == nil {
		t.Errorf("process %d listens on a port that is closed", pid)
	}
}
