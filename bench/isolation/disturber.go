package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// readyWithin is how long clients may take until they disturb.
const readyWithin = time.Minute

// disturbance is clients that disturb a broker, in a process of their own.
type disturbance struct {
	name     string
	address  string
	clients  int
	retained int
	done     atomic.Uint64 // of whatever it does
	unit     string        // what that is
}

// run disturbs until in ends: it says ready when it is at full strength, and at
// the end what it did.
func (d *disturbance) run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work, known := disturbances[d.name]
	if !known {
		return fmt.Errorf("-disturb %s: there is no such disturbance", d.name)
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		ended <- work(ctx, d, func() { fmt.Fprintln(out, "ready") })
	}()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel(errDone)
	}()
	err := <-ended
	if !errors.Is(context.Cause(ctx), errDone) {
		return fmt.Errorf("%s ended by itself: %w", d.name, err)
	}
	fmt.Fprintf(out, "%.0f %s a second\n", float64(d.done.Load())/time.Since(began).Seconds(), d.unit)
	return nil
}

var errDone = errors.New("standard input has ended")

// disturber is such a process, as its parent sees it.
type disturber struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// begin starts the disturbance of a case and waits until it is at full strength.
func (s *stage) begin(ctx context.Context, address string) (*disturber, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &disturber{cmd: exec.CommandContext(ctx, "nice", "-n", "19", binary, "-disturb", s.c.disturb, "-at", address,
		"-clients", fmt.Sprint(s.o.clients), "-retained", fmt.Sprint(s.o.retained))}
	d.cmd.Stderr = os.Stderr
	d.cmd.WaitDelay = time.Second
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.out = bufio.NewReader(out)
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(readyWithin, func() { _ = d.cmd.Process.Kill() })
	defer late.Stop()
	if _, err := d.out.ReadString('\n'); err != nil {
		_, _ = d.stop()
		return nil, fmt.Errorf("%s does not get ready: %w", s.c.disturb, err)
	}
	return d, nil
}

// stop ends the disturbance and gives what it says it did.
func (d *disturber) stop() (did string, err error) {
	_ = d.in.Close() // it may have ended
	did, _ = d.out.ReadString('\n')
	return strings.TrimSpace(did), d.cmd.Wait()
}
