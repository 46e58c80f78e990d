package source

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many packets one system call takes at most. At 8,000 frames a
// second of one bus they are 8 ms of it.
const batchSize = 64

// controlSize holds what the kernel says beside a packet: its time stamps and
// how many packets it has dropped so far.
const controlSize = 128

// packets receives datagrams from a non-blocking socket, as many as there are
// with one system call (recvmmsg(2)), and allocates nothing a packet. It is for
// one goroutine.
type packets struct {
	raw  syscall.RawConn
	take func(fd uintptr) bool // p.receive, bound once: a method value allocates

	count   int // of the last batch
	next    int // which of them next hands out
	errno   syscall.Errno
	headers [batchSize]unix.Mmsghdr
	vectors [batchSize]unix.Iovec
	buffers [batchSize]buffer
}

type buffer struct {
	_       [0]uint64 // aligns the control messages
	control [controlSize]byte
	from    unix.RawSockaddrInet4 // UDP only
	data    [fdSize + 1]byte      // one more, so that a longer datagram is told
}

// packet is one datagram, valid until the next one is asked for.
type packet struct {
	data    []byte
	control []byte
	flags   int32 // MSG_… of recvmsg(2)
	from    *unix.RawSockaddrInet4
}

func newPackets(conn syscall.Conn) (*packets, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &packets{raw: raw}
	p.take = p.receive
	for i := range p.headers {
		h, b, v := &p.headers[i].Hdr, &p.buffers[i], &p.vectors[i]
		v.Base = &b.data[0]
		v.SetLen(len(b.data))
		h.Iov = v
		h.SetIovlen(1)
		h.Control = &b.control[0]
		h.Name = (*byte)(unsafe.Pointer(&b.from))
	}
	p.count, p.next = batchSize, batchSize // all headers are still to be set up
	return p, nil
}

// buffered reports whether next has a packet without asking the kernel.
func (p *packets) buffered() bool { return p.next < p.count }

// wait blocks until there is a packet. After the socket was closed it returns
// what wraps net.ErrClosed or os.ErrClosed.
func (p *packets) wait() error {
	if err := p.raw.Read(p.take); err != nil {
		p.count, p.next = 0, 0
		return err
	}
	if p.errno != 0 {
		return p.errno
	}
	return nil
}

// receive asks the kernel once; false is that there is nothing yet. A call that
// can't block needs nothing of the scheduler, which else watches over it.
func (p *packets) receive(fd uintptr) bool {
	for i := range p.headers[:p.count] { // the kernel has written over these
		h := &p.headers[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet4
		h.SetControllen(controlSize)
		h.Flags = 0
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.headers)), batchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		p.count, p.next, p.errno = 0, 0, errno
		if errno == 0 {
			p.count = int(n)
		}
		return errno != unix.EAGAIN
	}
}

// packet takes the next packet of the batch.
func (p *packets) packet() packet {
	h, b := &p.headers[p.next], &p.buffers[p.next]
	p.next++
	return packet{
		data:    b.data[:min(int(h.Len), len(b.data))],
		control: b.control[:min(int(h.Hdr.Controllen), len(b.control))],
		flags:   h.Hdr.Flags,
		from:    &b.from,
	}
}

// sender is the address that a UDP packet came from.
func (p *packet) sender() netip.AddrPort {
	port := *(*[2]byte)(unsafe.Pointer(&p.from.Port)) // in network order
	return netip.AddrPortFrom(netip.AddrFrom4(p.from.Addr), binary.BigEndian.Uint16(port[:]))
}
