// Package umltest boots user-mode Linux: the real kernel as an ordinary
// process, for tests of what the machine's own kernel lacks or must not be
// asked to do, such as SocketCAN and a power cut. It is for tests only.
//
// The kernel's root is this machine's own file system, so what the host can
// run runs in it too; it starts in about two seconds, has one processor, and
// takes some 30 µs for a system call.
package umltest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is what boots.
type Machine struct {
	// Init is a shell script, the first process. PATH is set, /proc, /sys and
	// /dev are mounted; when it returns the machine powers off.
	Init string
	// Disk is an image file that the machine has as /dev/ubda, or "". What is
	// in the kernel's memory and was not synced is lost by Cut.
	Disk string
	// Lines is how many serial lines lead out of the machine: /dev/ttyS0 and so
	// on, at most 64.
	Lines int
}

// Kernel is a machine that runs. Its methods are safe for concurrent use.
type Kernel struct {
	process *exec.Cmd
	lines   []net.Conn
	console console
	ended   chan struct{} // closed when no process of it is left
}

const preamble = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev # most kernels have done it
`

const epilogue = `
echo o >/proc/sysrq-trigger
sleep 60
`

// Boot starts a machine, which runs at most until the test ends.
func Boot(t testing.TB, m Machine) *Kernel {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "init.sh")
	if err := os.WriteFile(script, []byte(preamble+m.Init+epilogue), 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"rootfstype=hostfs", "rootflags=/", "rw", "mem=128M", "quiet",
		"init=" + script, "uml_dir=" + dir, "con=null", "con0=fd:0,fd:1"}
	if m.Disk != "" {
		args = append(args, "ubd0="+m.Disk)
	}
	k := &Kernel{ended: make(chan struct{})}
	k.process = exec.Command("linux.uml", args...)
	k.process.Stdout, k.process.Stderr = &k.console, &k.console
	k.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Its helpers outlive it and may hold the console open.
	k.process.WaitDelay = time.Second
	for i := range m.Lines {
		inside, outside, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		defer inside.Close()
		k.lines = append(k.lines, outside)
		k.process.ExtraFiles = append(k.process.ExtraFiles, inside)
		k.process.Args = append(k.process.Args, fmt.Sprintf("ssl%d=fd:%d", i, 3+i))
	}
	// The helpers must become children of this process when the kernel dies:
	// else nobody could wait for them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := k.process.Start(); err != nil {
		t.Fatal(err)
	}
	go k.wait()
	t.Cleanup(k.Cut)
	return k
}

// pair is a serial line: the file is the kernel's end.
func pair() (inside *os.File, outside net.Conn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	inside = os.NewFile(uintptr(fds[0]), "line")
	ours := os.NewFile(uintptr(fds[1]), "line")
	defer ours.Close()
	if outside, err = net.FileConn(ours); err != nil {
		_ = inside.Close()
	}
	return inside, outside, err
}

// wait ends when the kernel and all its helpers have ended.
func (k *Kernel) wait() {
	defer close(k.ended)
	group := k.process.Process.Pid
	_ = k.process.Wait()
	_ = syscall.Kill(-group, syscall.SIGKILL)
	for {
		_, err := syscall.Wait4(-group, nil, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			break // ECHILD: none is left
		}
	}
	for _, line := range k.lines {
		_ = line.Close()
	}
}

// Cut takes the power away and returns when no process of the machine is left:
// its disk may then be used again. Once off it does nothing.
func (k *Kernel) Cut() {
	select {
	case <-k.ended:
		return
	default:
	}
	_ = syscall.Kill(-k.process.Process.Pid, syscall.SIGKILL)
	<-k.ended
}

// Ended is closed when the machine is off.
func (k *Kernel) Ended() <-chan struct{} { return k.ended }

// Line is this side of a serial line. It is closed when the machine is off.
func (k *Kernel) Line(i int) net.Conn { return k.lines[i] }

// Console is what the machine has written to its console so far.
func (k *Kernel) Console() string { return k.console.String() }

// Await returns when the text was written to the console; it fails the test
// when the machine ends before, or when limit has passed.
func (k *Kernel) Await(t testing.TB, text string, limit time.Duration) {
	t.Helper()
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		written := k.console.changed()
		if strings.Contains(k.Console(), text) {
			return
		}
		select {
		case <-written:
		case <-k.ended:
			if !strings.Contains(k.Console(), text) {
				t.Fatalf("the machine went off before it said %q:\n%s", text, k.Console())
			}
		case <-late.C:
			t.Fatalf("the machine did not say %q within %v:\n%s", text, limit, k.Console())
		}
	}
}

// Wait waits until the machine powers off by itself, and returns what it wrote
// to its console; after limit it fails the test.
func (k *Kernel) Wait(t testing.TB, limit time.Duration) string {
	t.Helper()
	select {
	case <-k.ended:
	case <-time.After(limit):
		k.Cut()
		t.Errorf("the machine did not power off within %v", limit)
	}
	return k.Console()
}

// console collects what the machine writes, and tells of it.
type console struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed by the next Write
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrote != nil {
		close(c.wrote)
		c.wrote = nil
	}
	return c.text.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

func (c *console) changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrote == nil {
		c.wrote = make(chan struct{})
	}
	return c.wrote
}
