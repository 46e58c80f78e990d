package load

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux.
const tick = 10 * time.Millisecond

// CPUTime is the CPU time that a process has used: utime and stime of proc(5).
func CPUTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything, a space or a parenthesis too.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields after the name, want 13 or more", pid, len(fields))
	}
	var total time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// ResidentMemory is the memory of a process that is in RAM, in bytes.
func ResidentMemory(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm: %q", pid, text)
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize()), err
}

// FindProcess gives the id of the process on this machine that listens on a TCP
// port ("tcp", "1883") or on a Unix socket ("unix", its path). The error says why
// there is none: nobody listens, or the process belongs to somebody else and
// shows its files to root only.
func FindProcess(network, where string) (int, error) {
	inodes, err := listeners(network, where)
	if err != nil {
		return 0, err
	}
	if len(inodes) == 0 {
		return 0, fmt.Errorf("nobody on this machine listens on %s %s", network, where)
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, err
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok && inodes[strings.TrimSuffix(inode, "]")] {
			return strconv.Atoi(strings.Split(link, "/")[2])
		}
	}
	return 0, fmt.Errorf("no process shows that it listens on %s %s: give its id, or ask as root", network, where)
}

// listeners are the inodes of the sockets that listen there (proc(5)).
func listeners(network, where string) (map[string]bool, error) {
	inodes := make(map[string]bool)
	if network == "unix" {
		const inodeAt, pathAt = 6, 7
		return inodes, eachLine("/proc/net/unix", func(fields []string) {
			if len(fields) > pathAt && fields[pathAt] == where {
				inodes[fields[inodeAt]] = true
			}
		})
	}
	port, err := strconv.ParseUint(where, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q: want 1 to 65535", where)
	}
	const localAt, stateAt, inodeAt, listening = 1, 3, 9, "0A"
	suffix := fmt.Sprintf(":%04X", port)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		err := eachLine(table, func(fields []string) {
			if len(fields) > inodeAt && fields[stateAt] == listening && strings.HasSuffix(fields[localAt], suffix) {
				inodes[fields[inodeAt]] = true
			}
		})
		if err != nil && !os.IsNotExist(err) { // a kernel without IPv6
			return nil, err
		}
	}
	return inodes, nil
}

func eachLine(path string, do func(fields []string)) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		do(strings.Fields(line))
	}
	return nil
}
