package stream

import (
	"net"
	"sync/atomic"
	"testing"
	"time"
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
	mine, theirs := net.Pipe()
	defer mine.Close()
	defer theirs.Close()
	fresh := before(t, mine, NewGatherer(0))
	old := before(t, &faultySocket{}, NewGatherer(0))
	failed := make(chan struct{})
	old.failed = func() { close(failed) }
	old.drained = func(later *Burst) {
		later.Add(old, old.Packet([]byte("more")))
		later.Add(fresh, fresh.Packet([]byte("next")))
	}
	old.starved.Store(true)
	var later Burst
	later.Add(old, old.Packet([]byte("first")))
	later.Flush()
	<-failed
	_ = theirs.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := theirs.Read(make([]byte, 4)); err != nil {
		t.Errorf("the message to the new connection was not written: %v", err)
	}
	_ = theirs.Close()
	fresh.Close(nil)
	fresh.Finish()
}
