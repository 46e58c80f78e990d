package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// explainBind adds to the error of a listening socket who holds the address, as
// far as this user may know: "… address already in use, by mosquitto (pid 812)".
func explainBind(err error) error {
	var op *net.OpError
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) {
		return err
	}
	address, ok := op.Addr.(*net.TCPAddr)
	if !ok {
		return err
	}
	if holder := portHolder(address.AddrPort()); holder != "" {
		return fmt.Errorf("%w, by %s", err, holder)
	}
	return err
}

// portHolder names the process that listens on a TCP address, "" when it can't
// be found: the tables of the kernel give the socket's inode, and the process
// that has it open is the one.
func portHolder(address netip.AddrPort) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		inode := listeningInode(table, address)
		if inode == "" {
			continue
		}
		if name := inodeHolder("socket:[" + inode + "]"); name != "" {
			return name
		}
		return "a process of another user (ss -ltnp as root tells which)"
	}
	return ""
}

const stateListen = "0A" // of /proc/net/tcp (include/net/tcp_states.h)

func listeningInode(table string, address netip.AddrPort) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // sl local remote state … inode is the tenth
		if len(fields) < 10 || fields[3] != stateListen {
			continue
		}
		local, ok := parseKernelAddress(fields[1])
		if ok && local.Port() == address.Port() && overlaps(local.Addr(), address.Addr()) {
			return fields[9]
		}
	}
	return ""
}

// parseKernelAddress reads "0100007F:075B": the address as 32-bit words in the
// machine's byte order, the port as a number.
func parseKernelAddress(text string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, perr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || perr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), ok
}

func overlaps(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}

func inodeHolder(socket string) string {
	processes, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, dir := range processes {
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // gone, or another user's
		}
		for _, fd := range fds {
			if link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil && link == socket {
				name, _ := os.ReadFile(filepath.Join(dir, "comm"))
				return fmt.Sprintf("%s (pid %s)", bytes.TrimSpace(name), filepath.Base(dir))
			}
		}
	}
	return ""
}
