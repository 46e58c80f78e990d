package source

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A controller's clock that begins anywhere and drifts, read through an interrupt
// whose delay varies, gives stamps that are even and of the right time.
func TestControllersStampsBecomeWallTime(t *testing.T) {
	const (
		begin  = int64(1_700_000_000e9)
		period = int64(10 * time.Millisecond)
		drift  = 100 // parts in a million
		delay  = int64(30 * time.Microsecond)
	)
	var clock hardwareClock
	for i := range int64(10_000) {
		at := begin + i*period
		controller := 5e9 + i*period - i*period*drift/1e6
		late := delay * (1 + i*7919%10) // an interrupt's delay: 30 to 300 µs
		got := clock.wall(controller, at+late)
		if got > at+late {
			t.Fatalf("frame %d: got a stamp behind the kernel's", i)
		}
		if off := got - at; i > 100 && (off < -int64(200*time.Microsecond) || off > int64(200*time.Microsecond)) {
			t.Fatalf("frame %d: got a stamp %v off", i, time.Duration(off))
		}
	}
}

func TestControllersClockMayStartAnew(t *testing.T) {
	var clock hardwareClock
	clock.wall(1000e9, 5000e9)
	if got := clock.wall(1, 5001e9); got != 5001e9 {
		t.Errorf("the controller's clock began anew: got %d, want the kernel's stamp", got)
	}
	if got := clock.wall(2, 1e9); got != 1e9 {
		t.Errorf("the wall clock was set back: got %d, want the kernel's stamp", got)
	}
}

// The kernel's counter has 32 bits.
func TestDroppedAreCountedAcrossTheCountersEnd(t *testing.T) {
	var a ancillary
	for _, total := range []uint32{0xFFFF_FFF0, 0xFFFF_FFF0, 5} {
		a.countDropped(total)
	}
	if got := a.dropped.Load(); got != 1<<32+5 {
		t.Errorf("got %d dropped, want %d", got, uint64(1<<32+5))
	}
}

// Without SO_TIMESTAMPING the kernel's other stamp counts, and without any the
// moment of reading.
func TestStampsOfOtherKernelsCount(t *testing.T) {
	var a ancillary
	before := time.Now().UnixNano()
	if got := a.read(nil); got < before || got > time.Now().UnixNano() {
		t.Errorf("got %d without a stamp, want now", got)
	}
	if got := a.read(controlMessage(unix.SCM_TIMESTAMPNS, stampOf(7, 5))); got != 7e9+5 {
		t.Errorf("got %d, want the stamp", got)
	}
	three := append(append(stampOf(9, 0), stampOf(0, 0)...), stampOf(0, 0)...)
	if got := a.read(controlMessage(unix.SCM_TIMESTAMPING, three)); got != 9e9 {
		t.Errorf("got %d, want the software stamp", got)
	}
	copy(three[32:], stampOf(100, 0))
	if got := a.read(controlMessage(unix.SCM_TIMESTAMPING, three)); got != 9e9 {
		t.Errorf("got %d, want the controller's first stamp to be the software's", got)
	}
	copy(three, stampOf(9, 4e6)) // 4 ms on by the kernel, 1 ms by the controller
	copy(three[32:], stampOf(100, 1e6))
	if got := time.Duration(a.read(controlMessage(unix.SCM_TIMESTAMPING, three)) - 9e9); got < time.Millisecond || got > 2*time.Millisecond {
		t.Errorf("got %v on, want what the controller says", got)
	}
}

func stampOf(seconds, nanos int64) []byte {
	stamp := binary.NativeEndian.AppendUint64(nil, uint64(seconds))
	return binary.NativeEndian.AppendUint64(stamp, uint64(nanos))
}

func controlMessage(kind int32, data []byte) []byte {
	b := binary.NativeEndian.AppendUint64(nil, uint64(unix.SizeofCmsghdr+len(data)))
	b = binary.NativeEndian.AppendUint32(b, unix.SOL_SOCKET)
	return append(binary.NativeEndian.AppendUint32(b, uint32(kind)), data...)
}
