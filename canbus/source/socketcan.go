package source

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
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
)

// socketCAN is a raw socket on a CAN interface of Linux: both Source and Sink.
// It does not receive what it sent itself.
type socketCAN struct {
	name  string
	file  *os.File
	frame can.Frame
	time  int64
	err   error
	in    [fdSize]byte
	out   []byte

	mu       sync.Mutex // guards the fields below
	closed   bool
	counters Counters
}

// openSocketCAN binds a raw socket to the interface, for classic CAN and CAN FD
// frames and for the error frames of the controller.
func openSocketCAN(name string) (*socketCAN, error) {
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
	if err := setUpSocketCAN(fd, ifi.Index); err != nil {
		_ = unix.Close(fd) // the first error tells more
		return nil, fmt.Errorf("socketcan: interface %q: %w", name, err)
	}
	// Of a non-blocking descriptor os makes a file that its Close unblocks.
	return &socketCAN{name: name, file: os.NewFile(uintptr(fd), name), out: make([]byte, 0, fdSize)}, nil
}

func setUpSocketCAN(fd, index int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1); err != nil {
		return fmt.Errorf("CAN_RAW_FD_FRAMES: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, unix.CAN_ERR_MASK); err != nil {
		return fmt.Errorf("CAN_RAW_ERR_FILTER: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
		return fmt.Errorf("SO_RCVBUF: %w", err)
	}
	err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: index})
	if errors.Is(err, unix.ENODEV) {
		return errors.New("it is not a CAN interface")
	}
	return err
}

// Receive implements Source.
func (s *socketCAN) Receive() bool {
	if s.err != nil {
		return false
	}
	n, err := s.file.Read(s.in[:])
	s.time = time.Now().UnixNano()
	if err == nil {
		err = parseWire(s.in[:n], &s.frame)
	}
	if err != nil {
		s.end(err)
		return false
	}
	return true
}

func (s *socketCAN) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.err = fmt.Errorf("socketcan: interface %q: %w", s.name, cause(err))
	}
}

// Frame implements Source.
func (s *socketCAN) Frame() can.Frame { return s.frame }

// Time implements Source.
func (s *socketCAN) Time() int64 { return s.time }

// Err implements Source.
func (s *socketCAN) Err() error { return s.err }

// Counters implements Source.
func (s *socketCAN) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.counters.setDropped(socketDrops(s.file))
	}
	return s.counters
}

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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
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
