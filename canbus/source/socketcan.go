package source

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/canbus/can"
)

const (
	// queueFull is how long Send waits for room in the interface's transmit
	// queue (ten frames by default, at most 20 ms of a 125 kbit/s bus).
	queueFull = 100 * time.Millisecond
	queueNap  = 500 * time.Microsecond

	// receiveBuffer holds about a second of a busy bus; the kernel gives at most
	// net.core.rmem_max.
	receiveBuffer = 1 << 20

	// maxFilters is CAN_RAW_FILTER_MAX of linux/can/raw.h.
	maxFilters = 512
)

// ways is what a socket is for.
type ways uint8

const (
	receives ways = 1 << iota
	sends
)

// socketCAN is a raw socket on a CAN interface of Linux. It receives what it sent
// itself only if it was opened for both.
type socketCAN struct {
	name      string
	file      *os.File
	packets   *packets // nil if it only sends
	ancillary ancillary
	frame     can.Frame
	time      int64
	err       error
	state     can.State
	closed    atomic.Bool
	out       []byte // the sending goroutine's own
}

// openSocketCAN binds a raw socket to the interface, for classic CAN and CAN FD
// frames and, to receive, for the error frames of the controller.
func openSocketCAN(name string, way ways) (*socketCAN, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("socketcan: interface %q: there is none of that name; want a CAN interface that is up (ip link set %s up)", name, name)
	}
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.CAN_RAW)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, errors.New("socketcan: this kernel has no SocketCAN: want the modules can and can-raw")
	}
	if err != nil {
		return nil, fmt.Errorf("socketcan: %w", err)
	}
	s := &socketCAN{name: name, out: make([]byte, 0, fdSize)}
	if err := s.setUp(fd, ifi, way); err != nil {
		_ = unix.Close(fd) // the first error tells more
		return nil, fmt.Errorf("socketcan: interface %q: %w", name, err)
	}
	// Of a non-blocking descriptor os makes a file that its Close unblocks.
	s.file = os.NewFile(uintptr(fd), name)
	if way&receives != 0 {
		if s.packets, err = newPackets(s.file); err != nil {
			_ = s.file.Close()
			return nil, fmt.Errorf("socketcan: interface %q: %w", name, err)
		}
		s.state = controllerState(ifi.Index) // once bound: what changes now comes as a frame
	}
	return s, nil
}

func (s *socketCAN) setUp(fd int, ifi *net.Interface, way ways) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1); err != nil {
		return fmt.Errorf("CAN_RAW_FD_FRAMES: %w", err)
	}
	if err := s.setUpReceiving(fd, way); err != nil {
		return err
	}
	err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: ifi.Index})
	switch {
	case errors.Is(err, unix.ENODEV):
		return errors.New("it is not a CAN interface")
	case err == nil && way&receives != 0 && ifi.Flags&net.FlagUp == 0:
		return fmt.Errorf("it is down: want it up (ip link set %s up)", ifi.Name)
	}
	return err
}

func (s *socketCAN) setUpReceiving(fd int, way ways) error {
	if way&receives == 0 {
		// Nobody reads it: nothing may come.
		if err := unix.SetsockoptCanRawFilter(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, nil); err != nil {
			return fmt.Errorf("CAN_RAW_FILTER: %w", err)
		}
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, unix.CAN_ERR_MASK); err != nil {
		return fmt.Errorf("CAN_RAW_ERR_FILTER: %w", err)
	}
	if way&sends != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_RECV_OWN_MSGS, 1); err != nil {
			return fmt.Errorf("CAN_RAW_RECV_OWN_MSGS: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
		return fmt.Errorf("SO_RCVBUF: %w", err)
	}
	return s.ancillary.setUp(fd)
}

// SetFilters implements Filterer. Remote frames don't match a filter.
func (s *socketCAN) SetFilters(filters []Filter) error {
	list := make([]unix.CanFilter, 0, len(filters))
	for _, f := range filters {
		c := unix.CanFilter{Id: f.ID, Mask: f.Mask | flagExtended | flagRemote}
		if f.Extended {
			c.Id |= flagExtended
		}
		list = append(list, c)
	}
	if filters == nil || len(list) > maxFilters {
		list = []unix.CanFilter{{}} // no bit has to match
	}
	var err error
	if closed := s.packets.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptCanRawFilter(int(fd), unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, list)
	}); closed != nil {
		return ErrClosed
	}
	if err != nil {
		return fmt.Errorf("socketcan: interface %q: CAN_RAW_FILTER: %w", s.name, err)
	}
	return nil
}

// State implements Controlled.
func (s *socketCAN) State() can.State { return s.state }

// Receive implements Source.
func (s *socketCAN) Receive() bool {
	if s.err != nil || s.closed.Load() {
		return false
	}
	var err error
	if !s.packets.buffered() {
		err = s.packets.wait()
	}
	if err == nil {
		p := s.packets.packet()
		s.time = s.ancillary.read(p.control)
		err = parseWire(p.data, &s.frame)
		if p.flags&unix.MSG_CONFIRM != 0 { // of raw sockets: sent by this one
			s.frame.Flags |= can.Own
		}
	}
	if err != nil {
		s.end(err)
		return false
	}
	return true
}

func (s *socketCAN) end(err error) {
	if !s.closed.Load() {
		s.err = fmt.Errorf("socketcan: interface %q: %w", s.name, cause(err))
	}
}

// Buffered implements Source.
func (s *socketCAN) Buffered() bool { return s.packets.buffered() }

// Frame implements Source.
func (s *socketCAN) Frame() can.Frame { return s.frame }

// Time implements Source.
func (s *socketCAN) Time() int64 { return s.time }

// Err implements Source.
func (s *socketCAN) Err() error { return s.err }

// Counters implements Source.
func (s *socketCAN) Counters() Counters { return s.ancillary.counters(Counters{}) }

// Send implements Sink. A full transmit queue is waited for a little; it stays
// full when no other node on the bus acknowledges.
func (s *socketCAN) Send(fr can.Frame) error {
	s.out = appendWire(s.out[:0], &fr)
	for waited := time.Duration(0); ; waited += queueNap {
		_, err := s.file.Write(s.out)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, os.ErrClosed):
			return ErrClosed
		case errors.Is(err, unix.EINVAL) && fr.Has(can.FD):
			return fmt.Errorf("socketcan: interface %q: it takes classic frames only: want one of CAN FD (its mtu is 72)", s.name)
		case !errors.Is(err, unix.ENOBUFS):
			return fmt.Errorf("socketcan: interface %q: %w", s.name, cause(err))
		case waited >= queueFull:
			return fmt.Errorf("socketcan: interface %q: its transmit queue stays full: want another node on the bus that acknowledges", s.name)
		}
		time.Sleep(queueNap)
	}
}

// Close implements Source and Sink.
func (s *socketCAN) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.file.Close()
}

// cause takes the system's own error out of what os wraps around it, which
// names the interface again.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
