package source

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ancillary follows what the kernel says beside the packets of one socket: when
// they came, and how many it had to drop. The receiving goroutine's own, but for
// dropped.
type ancillary struct {
	controller hardwareClock
	seen       uint32 // the kernel's 32-bit counter of dropped packets
	dropped    atomic.Uint64
}

// setUp asks the kernel for it. The stamps are those of the driver's interrupt;
// where the controller stamps frames itself, its stamps come as well.
func (a *ancillary) setUp(fd int) error {
	const stamps = unix.SOF_TIMESTAMPING_SOFTWARE | unix.SOF_TIMESTAMPING_RX_SOFTWARE |
		unix.SOF_TIMESTAMPING_RAW_HARDWARE | unix.SOF_TIMESTAMPING_RX_HARDWARE
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, stamps); err != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return fmt.Errorf("SO_TIMESTAMPNS: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return fmt.Errorf("SO_RXQ_OVFL: %w", err)
	}
	return nil
}

// read reads the control messages of a packet and returns when it came, in
// nanoseconds since 1970.
func (a *ancillary) read(control []byte) int64 {
	var software, hardware int64
	for len(control) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break // not reached: the kernel wrote it
		}
		control = rest
		if header.Level != unix.SOL_SOCKET {
			continue
		}
		switch header.Type {
		case unix.SCM_TIMESTAMPING: // three stamps: software, one no longer used, hardware
			if len(data) >= int(3*unsafe.Sizeof(unix.Timespec{})) {
				stamps := (*[3]unix.Timespec)(unsafe.Pointer(&data[0]))
				software, hardware = stamps[0].Nano(), stamps[2].Nano()
			}
		case unix.SCM_TIMESTAMPNS:
			if len(data) >= int(unsafe.Sizeof(unix.Timespec{})) {
				software = (*unix.Timespec)(unsafe.Pointer(&data[0])).Nano()
			}
		case unix.SO_RXQ_OVFL:
			if len(data) >= 4 {
				a.countDropped(*(*uint32)(unsafe.Pointer(&data[0])))
			}
		}
	}
	switch {
	case software == 0: // the first packets, before the kernel has begun to stamp
		return time.Now().UnixNano()
	case hardware == 0:
		return software
	}
	return a.controller.wall(hardware, software)
}

// countDropped takes over the kernel's counter, which wraps around.
func (a *ancillary) countDropped(total uint32) {
	a.dropped.Add(uint64(total - a.seen))
	a.seen = total
}

// counters adds what was dropped to c.
func (a *ancillary) counters(c Counters) Counters {
	if c.Dropped = a.dropped.Load(); c.Dropped > 0 && c.First == "" {
		c.First = "the socket's receive buffer was full"
	}
	return c
}

const (
	// clockReset is how far stamps may go apart before the controller's clock
	// counts as started anew, or the wall clock as set.
	clockReset = int64(100 * time.Millisecond)

	// driftShare is the part of a delay that is taken for drift: at 10 frames a
	// second a crystal that is 100 ppm off is followed within 1 ms.
	driftShare = 64
)

// hardwareClock turns the stamps of a controller's own clock into wall time. That
// clock is exact from frame to frame, but begins anywhere and drifts; the
// kernel's stamps are of the right time, but late by an interrupt's delay, which
// varies. So wall time is the controller's, moved by the least delay seen.
type hardwareClock struct {
	offset int64 // from the controller's time to wall time
	set    bool
}

// wall returns when a frame came that the controller stamped hardware and the
// kernel software, all in nanoseconds. It is never after software.
func (c *hardwareClock) wall(hardware, software int64) int64 {
	late := software - hardware - c.offset
	switch {
	case !c.set, late < 0, late > clockReset:
		c.offset, c.set = software-hardware, true
	default:
		c.offset += late / driftShare
	}
	return hardware + c.offset
}
