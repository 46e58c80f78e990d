package source

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/canbus/can"
)

// udpTTL lets frames reach the containers of a bridge network, and no further:
// a bus ends at the machine or its own segment.
const udpTTL = 1

// udpSource receives a bus over UDP, in the form of einride's SocketCAN
// emulation: one datagram a frame, as Linux has it in memory. Several processes
// of a machine may receive the same group.
type udpSource struct {
	conn      *net.UDPConn
	name      string
	packets   *packets
	ancillary ancillary
	own       netip.AddrPort // whose frames have can.Own set; zero is nobody's
	frame     can.Frame
	time      int64
	err       error
	closed    atomic.Bool

	mu  sync.Mutex // guards the field below
	bad Counters
}

// openUDP joins the group of spec, or listens on its address if that is none of
// a group. Without an interface the routes choose the one that is joined.
func openUDP(spec Spec) (*udpSource, error) {
	conn, err := listenUDP(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	s := &udpSource{conn: conn, name: spec.String()}
	if s.packets, err = newPackets(conn); err == nil {
		err = s.ask()
	}
	if err != nil {
		_ = conn.Close() // the first error tells more
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	return s, nil
}

// ask has the kernel say when packets came and which it dropped.
func (s *udpSource) ask() (err error) {
	if closed := s.packets.raw.Control(func(fd uintptr) { err = s.ancillary.setUp(int(fd)) }); closed != nil {
		return closed
	}
	return err
}

func listenUDP(spec Spec) (*net.UDPConn, error) {
	ifi, err := findInterface(spec.Interface)
	if err != nil {
		return nil, err
	}
	// net.ListenUDP would bind every address for a group, and so hear what is
	// sent to other groups on that port, or to the machine itself.
	conn, err := bindUDP(spec.Group)
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadBuffer(receiveBuffer); err != nil {
		_ = conn.Close() // the first error tells more
		return nil, err
	}
	if !spec.Group.Addr().IsMulticast() {
		return conn, nil
	}
	if err := ipv4.NewPacketConn(conn).JoinGroup(ifi, net.UDPAddrFromAddrPort(spec.Group)); err != nil {
		_ = conn.Close()
		if ifi == nil {
			return nil, fmt.Errorf("no route tells the interface of the group (%w): name it with ?interface=NAME", err)
		}
		return nil, fmt.Errorf("interface %q: joining the group: %w", ifi.Name, err)
	}
	return conn, nil
}

// bindUDP binds exactly this address, shared with whoever else binds it.
func bindUDP(addr netip.AddrPort) (*net.UDPConn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), addr.String())
	defer file.Close() // FilePacketConn has a copy of it
	if addr.Addr().IsMulticast() {
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			// Only what comes in by the interface that this socket joined.
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0))
		if err != nil {
			return nil, fmt.Errorf("socket options: %w", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// findInterface finds an interface by its name or by one of its addresses; ""
// gives none.
func findInterface(name string) (*net.Interface, error) {
	if name == "" {
		return nil, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("interfaces: %w", err)
	}
	want, notAddress := netip.ParseAddr(name)
	for _, ifi := range all {
		if ifi.Name == name {
			return &ifi, nil
		}
		if notAddress != nil {
			continue
		}
		addrs, _ := ifi.Addrs() // an interface that went away meanwhile has none
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == want {
				return &ifi, nil
			}
		}
	}
	return nil, fmt.Errorf("interface %q: this machine has none of that name or address", name)
}

// Receive implements Source.
func (s *udpSource) Receive() bool {
	for s.err == nil && !s.closed.Load() {
		if !s.packets.buffered() {
			if err := s.packets.wait(); err != nil {
				s.end(err)
				return false
			}
		}
		p := s.packets.packet()
		s.time = s.ancillary.read(p.control)
		if err := parseWire(p.data, &s.frame); err != nil {
			s.countBad(&p, err)
			continue
		}
		if s.own.IsValid() && p.sender() == s.own {
			s.frame.Flags |= can.Own
		}
		return true
	}
	return false
}

func (s *udpSource) end(err error) {
	if !s.closed.Load() {
		s.err = fmt.Errorf("%s: %w", s.name, err)
	}
}

func (s *udpSource) countBad(p *packet, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad.BadDatagrams++; s.bad.First == "" {
		s.bad.First = fmt.Sprintf("a datagram of %d bytes or more from %v: %v", len(p.data), p.sender(), why)
	}
}

// Buffered implements Source.
func (s *udpSource) Buffered() bool { return s.packets.buffered() }

// Frame implements Source.
func (s *udpSource) Frame() can.Frame { return s.frame }

// Time implements Source.
func (s *udpSource) Time() int64 { return s.time }

// Err implements Source.
func (s *udpSource) Err() error { return s.err }

// Counters implements Source.
func (s *udpSource) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ancillary.counters(s.bad)
}

// Close implements Source.
func (s *udpSource) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.conn.Close()
}

// udpSink sends a bus over UDP. Other receivers on this machine hear it too.
type udpSink struct {
	conn *net.UDPConn
	to   netip.AddrPort
	name string
	out  []byte
}

func openUDPSink(spec Spec) (*udpSink, error) {
	conn, err := dialUDP(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	return &udpSink{conn: conn, to: spec.Group, name: spec.String(), out: make([]byte, 0, fdSize)}, nil
}

func dialUDP(spec Spec) (*net.UDPConn, error) {
	ifi, err := findInterface(spec.Interface)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(conn)
	err = errors.Join(p.SetMulticastTTL(udpTTL), p.SetMulticastLoopback(true))
	if ifi != nil {
		err = errors.Join(err, p.SetMulticastInterface(ifi))
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("multicast options: %w", err)
	}
	return conn, nil
}

// Send implements Sink.
func (s *udpSink) Send(fr can.Frame) error {
	s.out = appendWire(s.out[:0], &fr)
	_, err := s.conn.WriteToUDPAddrPort(s.out, s.to)
	if err == nil {
		return nil
	}
	return s.explain(err)
}

func (s *udpSink) explain(err error) error {
	switch {
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	case errors.Is(err, unix.ENETUNREACH):
		return fmt.Errorf("%s: no route to it: name the interface with ?interface=NAME", s.name)
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// Close implements Sink.
func (s *udpSink) Close() error {
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
