package main

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

// kind is a kind of broker that can be started.
type kind struct {
	name    string
	command func(config string) []string
	// config is its configuration: ports of loopback, a folder of its own that has
	// cert.pem and key.pem in it.
	config func(c scenario, port, tlsPort int, dir string) string
}

// findBrokers gives the kinds with those names.
func findBrokers(fascia, names string) (kinds []kind, err error) {
	for name := range strings.SplitSeq(names, ",") {
		switch name {
		case "fascia":
			binary, err := filepath.Abs(fascia)
			if err == nil {
				_, err = os.Stat(binary)
			}
			if err != nil {
				return nil, fmt.Errorf("%w (make build makes it)", err)
			}
			kinds = append(kinds, kind{
				name: name, config: fasciaConfig,
				command: func(config string) []string { return []string{binary, "run", "-c", config} },
			})
		case "mosquitto":
			binary, err := exec.LookPath("mosquitto")
			if err != nil { // a user's PATH often lacks the folder of daemons
				binary, err = exec.LookPath("/usr/sbin/mosquitto")
			}
			if err != nil {
				return nil, fmt.Errorf("mosquitto is missing: apt-get install mosquitto")
			}
			kinds = append(kinds, kind{
				name: name, config: mosquittoConfig,
				command: func(config string) []string { return []string{binary, "-c", config} },
			})
		default:
			return nil, fmt.Errorf("-brokers %s: want some of fascia,mosquitto", name)
		}
	}
	return kinds, nil
}

func fasciaConfig(c scenario, port, tlsPort int, dir string) string {
	text := fmt.Sprintf("data_dir: %s\nbroker:\n  limits: {%s}\n  listeners:\n", dir, c.limits)
	text += fmt.Sprintf("    - {name: local, address: \"127.0.0.1:%d\", auth: [anonymous]}\n", port)
	text += fmt.Sprintf("    - {name: tls, address: \"127.0.0.1:%d\", auth: [anonymous], tls: {cert: %s, key: %s}}\n",
		tlsPort, filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	return text
}

func mosquittoConfig(_ scenario, port, tlsPort int, dir string) string {
	text := "allow_anonymous true\nlog_type error\nmax_queued_messages 0\nmax_queued_bytes 0\n"
	if os.Geteuid() == 0 {
		text += "user root\n" // else it changes to one that may not read our folder
	}
	return text + fmt.Sprintf("listener %d 127.0.0.1\nlistener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n",
		port, tlsPort, filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
}

// process is a broker that runs.
type process struct {
	name         string
	address, tls string // host and port
	cmd          *exec.Cmd
	said         string // file with what it wrote
	ended        chan struct{}
}

// start starts a broker and waits until it listens.
func (k *kind) start(ctx context.Context, c scenario, dir string) (*process, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeCertificate(dir); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "broker.conf")
	if err := os.WriteFile(config, []byte(k.config(c, ports[0], ports[1], dir)), 0o600); err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	args := k.command(config)
	p := &process{
		name: k.name, said: said.Name(), ended: make(chan struct{}),
		address: fmt.Sprintf("127.0.0.1:%d", ports[0]), tls: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		cmd: exec.Command(args[0], args[1:]...),
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
		_ = p.stop() // that it did not start says more
		return nil, err
	}
	return p, nil
}

func (p *process) listening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s does not start: %s", p.name, p.words())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.name, p.address, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// words is what the broker said, in one line.
func (p *process) words() string {
	text, err := os.ReadFile(p.said)
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// stop asks the broker to end and waits for it.
func (p *process) stop() error {
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

// freePorts gives n different ports of loopback.
func freePorts(n int) (ports []int, err error) {
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
