// Package clock is the time that ages and expiries run on. Inside a boot that is
// the kernel's time since boot, for wall time may jump from 1970 to today while
// messages wait. What must be judged after a restart is written down as a Mark,
// with the wall time too if that was to be trusted.
package clock

import (
	"encoding/binary"
	"hash/fnv"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Time is nanoseconds since boot, time asleep included; 0 stands for never.
type Time int64

// Second is one second.
const Second = Time(time.Second)

// Now is the time of now, on CLOCK_BOOTTIME.
func Now() Time {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return Time(time.Since(processStart)) // kernels before 2.6.39
	}
	return Time(ts.Nano())
}

var processStart = time.Now()

// Mark is a moment that can be read after a restart.
type Mark struct {
	Boot uint64 // which boot At is of
	At   Time
	Wall int64 // Unix nanoseconds; 0 if wall time was not to be trusted
}

// MarkSize is the length of an encoded mark in bytes.
const MarkSize = 24

// Append encodes the mark.
func (m Mark) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, m.Boot)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.At))
	return binary.LittleEndian.AppendUint64(b, uint64(m.Wall))
}

// ReadMark decodes a mark from the first MarkSize bytes of b.
func ReadMark(b []byte) Mark {
	return Mark{
		Boot: binary.LittleEndian.Uint64(b),
		At:   Time(binary.LittleEndian.Uint64(b[8:])),
		Wall: int64(binary.LittleEndian.Uint64(b[16:])),
	}
}

// Trust says when wall time is to be trusted.
type Trust string

// The ways to trust wall time.
const (
	TrustKernel Trust = "kernel" // when the kernel says that it is synchronised (adjtimex)
	TrustAlways Trust = "always"
	TrustNever  Trust = "never"
)

// Clock makes marks and reads them. It is safe for concurrent use.
type Clock struct {
	boot         uint64
	synchronised func() bool
}

// New makes a clock of this boot.
func New(trust Trust) *Clock {
	c := &Clock{boot: bootID(), synchronised: kernelSynchronised}
	switch trust {
	case TrustAlways:
		c.synchronised = func() bool { return true }
	case TrustNever:
		c.synchronised = func() bool { return false }
	}
	return c
}

// Synchronised reports whether wall time is to be trusted now.
func (c *Clock) Synchronised() bool { return c.synchronised() }

// Mark is the mark of a moment of this boot, which may be to come.
func (c *Clock) Mark(t Time) Mark {
	m := Mark{Boot: c.boot, At: t}
	if t != 0 && c.synchronised() {
		m.Wall = time.Now().UnixNano() + int64(t-Now())
	}
	return m
}

// Time is a mark on the clock of this boot. known is false for a mark of another
// boot when wall time was not to be trusted then, or is not now: whoever asks
// must do without. The time of such a mark may be before this boot, and negative.
func (c *Clock) Time(m Mark) (t Time, known bool) {
	switch {
	case m.Boot == c.boot:
		return m.At, true
	case m.Wall == 0 || !c.synchronised():
		return 0, false
	}
	return Now() + Time(m.Wall-time.Now().UnixNano()), true
}

// ThisBoot reports whether a mark was made since the machine was started.
func (c *Clock) ThisBoot(m Mark) bool { return m.Boot == c.boot }

// bootID tells one boot from another.
func bootID() uint64 {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0 // without /proc each boot counts as the same
	}
	h := fnv.New64a()
	_, _ = h.Write(id)
	return h.Sum64()
}

func kernelSynchronised() bool {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	return err == nil && state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
}
