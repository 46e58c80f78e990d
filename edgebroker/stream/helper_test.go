package stream

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// before is the queue before a socket, which nobody hears of.
func before(t *testing.T, socket net.Conn, gather *Gatherer) *Out {
	t.Helper()
	opts := Options{
		Limit:   1 << 20,
		Timeout: patience,
		Sent:    new(atomic.Uint64),
		Dropped: func(int) {},
		Drained: func(*Burst) {},
		Failed:  func() {},
	}
	plain, _ := socket.(syscall.Conn)
	o, err := NewOut(socket, plain, gather, opts)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
