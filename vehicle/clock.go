package vehicle

import "golang.org/x/sys/unix"

// BootNow reads CLOCK_BOOTTIME in nanoseconds: it never steps, and it goes on
// while the vehicle sleeps, which CLOCK_MONOTONIC does not.
func BootNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("vehicle: CLOCK_BOOTTIME: " + err.Error()) // in Linux since 2.6.39
	}
	return ts.Nano()
}
