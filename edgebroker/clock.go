package edgebroker

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock is nanoseconds since boot, time asleep included. Ages and expiries run
// on it because wall time may jump from 1970 to today while messages wait.
type clock int64

const second = clock(time.Second)

func now() clock {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return clock(time.Since(processStart)) // kernels before 2.6.39
	}
	return clock(ts.Nano())
}

var processStart = time.Now()
