package edgebroker

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/config"
)

// faultySocket takes one write.
type faultySocket struct {
	net.Conn
	writes atomic.Int32
}

func (f *faultySocket) SetWriteDeadline(time.Time) error { return nil }

func (f *faultySocket) Write(b []byte) (int, error) {
	if f.writes.Add(1) > 1 {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

// TestFailingSocketKeepsNothingFromOthers has a connection that was taken over
// give the session's next message to its new one, and then fail.
func TestFailingSocketKeepsNothingFromOthers(t *testing.T) {
	limits := Limits{QueueBytes: 4096, WriteTimeout: config.Duration(patience)}
	var sent atomic.Uint64
	mine, theirs := net.Pipe()
	defer mine.Close()
	defer theirs.Close()
	fresh := newOutbox(mine, nil, &limits, newGatherer(0), &sent)
	fresh.failed = func() {} // when the test is over
	old := newOutbox(&faultySocket{}, nil, &limits, newGatherer(0), &sent)
	failed := make(chan struct{})
	old.failed = func() { close(failed) }
	old.drained = func(later *burst) {
		later.add(old, old.packet([]byte("more")))
		later.add(fresh, fresh.packet([]byte("next")))
	}
	old.starved.Store(true)
	var later burst
	later.add(old, old.packet([]byte("first")))
	later.flush()
	<-failed
	_ = theirs.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := theirs.Read(make([]byte, 4)); err != nil {
		t.Errorf("the message to the new connection was not written: %v", err)
	}
	fresh.failed = func() {}
	_ = theirs.Close()
	fresh.close(nil)
	fresh.finish()
}
