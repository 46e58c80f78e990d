package brokers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startWithin = 20 * time.Second
	stopWithin  = time.Minute
)

// Process is a broker that runs.
type Process struct {
	Address string // host and port of its listener

	name  string
	cmd   *exec.Cmd
	said  string // file with what it wrote
	ended chan struct{}
}

// Start starts the broker with that configuration and waits until it listens on
// the port of loopback. The configuration and what the broker says go into dir,
// which is there. The error of a broker that ends has its words.
func (b *Broker) Start(ctx context.Context, dir, config string, port int) (*Process, error) {
	file := filepath.Join(dir, "broker.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	args := append(b.command[1:len(b.command):len(b.command)], file)
	p := &Process{
		Address: fmt.Sprintf("127.0.0.1:%d", port),
		name:    b.Name,
		cmd:     exec.Command(b.command[0], args...),
		said:    said.Name(),
		ended:   make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = said, said
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its ProcessState
		close(p.ended)
	}()
	if err := p.listening(ctx); err != nil {
		_ = p.Stop() // that it did not start says more
		return nil, err
	}
	return p, nil
}

func (p *Process) listening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s does not start: %s", p.name, p.words())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.name, p.Address, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// words is what the broker said, in one line.
func (p *Process) words() string {
	text, err := os.ReadFile(p.said)
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the broker to end and waits for it, a minute at most before it is
// killed. It is an error if the broker had ended before.
func (p *Process) Stop() error {
	select {
	case <-p.ended: // before its time, by itself
		return fmt.Errorf("%s ended (%s): %s", p.name, p.cmd.ProcessState, p.words())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill() // it may have ended just now
		<-p.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, stopWithin)
	}
}

// Kill ends the broker without warning. One that has ended by itself is an error,
// as with Stop.
func (p *Process) Kill() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended (%s): %s", p.name, p.cmd.ProcessState, p.words())
	default:
	}
	err := p.cmd.Process.Kill()
	<-p.ended
	return err
}

// FreePorts gives n different ports of loopback that nobody listens on.
func FreePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the last one was found: else it could be the same
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
