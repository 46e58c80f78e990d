package source

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The figures that SO_MEMINFO gives, and the place of the dropped packets among
// them (SK_MEMINFO_DROPS of linux/sock_diag.h).
const (
	memInfoVars  = 9
	memInfoDrops = 8
)

// socketDrops is how many packets the kernel dropped because the socket's
// receive buffer was full. It costs a system call, and nothing while receiving.
// It is 0 on a closed socket.
func socketDrops(conn syscall.Conn) uint64 {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	var info [memInfoVars]uint32
	size := uint32(unsafe.Sizeof(info))
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		// x/sys/unix has no getsockopt for a structure of one's own.
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil || errno != 0 {
		return 0
	}
	return uint64(info[memInfoDrops])
}
