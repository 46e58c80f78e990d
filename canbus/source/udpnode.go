package source

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/canbus/can"
)

// udpNode is both ways of a bus over UDP. What it sends comes back as it goes to
// every receiver of the group on this machine, and is told by its sender.
type udpNode struct {
	*udpSource
	sink *udpSink
}

func openUDPBus(spec Spec) (*udpNode, error) {
	if !spec.Group.Addr().IsMulticast() {
		return nil, fmt.Errorf("%s: want a multicast group to receive from and send to", spec)
	}
	src, err := openUDP(spec)
	if err != nil {
		return nil, err
	}
	sink, err := openUDPSink(spec)
	if err == nil {
		src.own, err = sink.address(spec)
	}
	if err != nil {
		_ = src.Close() // the first error tells more
		return nil, err
	}
	return &udpNode{src, sink}, nil
}

// address is where the datagrams of the sink come from. The port is its own; the
// address is that of the interface which spec or the routes choose, and what a
// socket is given that connects to the group.
func (s *udpSink) address(spec Spec) (netip.AddrPort, error) {
	probe, err := dialUDP(spec)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer probe.Close()
	raw, err := probe.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var local unix.Sockaddr
	closed := raw.Control(func(fd uintptr) {
		group := &unix.SockaddrInet4{Port: int(spec.Group.Port()), Addr: spec.Group.Addr().As4()}
		if err = unix.Connect(int(fd), group); err == nil {
			local, err = unix.Getsockname(int(fd))
		}
	})
	if err := errors.Join(closed, err); err != nil {
		return netip.AddrPort{}, s.explain(err)
	}
	from := local.(*unix.SockaddrInet4) // that of an IPv4 socket
	return netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(s.conn.LocalAddr().(*net.UDPAddr).Port)), nil
}

// Send implements Bus.
func (b *udpNode) Send(fr can.Frame) error { return b.sink.Send(fr) }

// Close implements Bus.
func (b *udpNode) Close() error { return errors.Join(b.udpSource.Close(), b.sink.Close()) }
