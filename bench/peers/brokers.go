package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// needs is what a row asks of the brokers beyond their defaults.
type needs int

const (
	nothing needs = iota
	// room is for a backlog: persistence on, and queues without a limit.
	room
	// durable is room, and where a broker can do it, a message is on disk before it
	// is acknowledged.
	durable
)

const (
	startWithin = 20 * time.Second
	stopWithin  = 20 * time.Second
)

// broker is a kind of broker that can be started.
type broker struct {
	name, version string
	command       func(config string) []string
	// config is its configuration: a port of loopback, a folder of its own.
	config func(n needs, port int, dir string) string
}

// ours is the broker that the others are compared with.
const ours = "fascia"

// findBrokers gives mosquitto, ours, and FlashMQ where it is installed.
func findBrokers(ctx context.Context, fascia string) ([]broker, error) {
	binary, err := filepath.Abs(fascia)
	if err != nil {
		return nil, err
	}
	var told struct{ Version string }
	out, err := exec.CommandContext(ctx, binary, "version", "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &told)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w (make build makes it)", fascia, err)
	}
	mosquitto, err := find("mosquitto")
	if err != nil {
		return nil, fmt.Errorf("mosquitto is missing: apt-get install mosquitto")
	}
	out, _ = exec.CommandContext(ctx, mosquitto, "-h").Output() // it exits with 1 after its help
	brokers := []broker{
		{
			name: "mosquitto", version: lastWord(out), config: mosquittoConfig,
			command: func(config string) []string { return []string{mosquitto, "-c", config} },
		},
		{
			name: ours, version: told.Version, config: fasciaConfig,
			command: func(config string) []string { return []string{binary, "run", "-c", config} },
		},
	}
	if flashmq, err := find("flashmq"); err == nil {
		out, _ := exec.CommandContext(ctx, flashmq, "--version").Output() // a name is enough
		brokers = append(brokers, broker{
			name: "flashmq", version: lastWord(out), config: flashmqConfig,
			command: func(config string) []string { return []string{flashmq, "--config-file", config} },
		})
	}
	return brokers, nil
}

// find looks where daemons are, too: a user's PATH often leaves that out.
func find(binary string) (string, error) {
	if path, err := exec.LookPath(binary); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", binary))
}

// lastWord is that of the first line.
func lastWord(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

func fasciaConfig(n needs, port int, dir string) string {
	text := fmt.Sprintf("data_dir: %s\nbroker:\n  listeners: [{name: local, address: \"127.0.0.1:%d\", auth: [anonymous]}]\n", dir, port)
	if n >= room {
		text += "  limits: {session_messages: 2000000, session_bytes: 1GiB}\n"
	}
	if n == durable {
		text += "  durability: {sync: always}\n"
	}
	return text
}

func mosquittoConfig(n needs, port int, dir string) string {
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_type error\nlog_type warning\n", port)
	if os.Geteuid() == 0 {
		text += "user root\n" // else it changes to one that may not write into our folder
	}
	if n >= room {
		text += fmt.Sprintf("persistence true\npersistence_location %s/\nmax_queued_messages 0\nmax_queued_bytes 0\n", dir)
	}
	return text
}

func flashmqConfig(n needs, port int, dir string) string {
	text := fmt.Sprintf("allow_anonymous true\nquiet true\nlog_file %s/flashmq.log\nlisten {\n  protocol mqtt\n  inet_protocol ip4\n  inet4_bind_address 127.0.0.1\n  port %d\n}\n", dir, port)
	if n >= room {
		text += fmt.Sprintf("storage_dir %s\nmax_qos_msg_pending_per_client 65535\nmax_qos_bytes_pending_per_client 1073741824\n", dir)
	}
	return text
}

// process is a broker that runs.
type process struct {
	broker  broker
	address string
	cmd     *exec.Cmd
	said    *os.File // what it wrote
	ended   chan struct{}
}

// start starts a broker and waits until it listens.
func (b *broker) start(ctx context.Context, n needs, dir string) (*process, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "broker.conf")
	if err := os.WriteFile(config, []byte(b.config(n, port, dir)), 0o600); err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		return nil, err
	}
	args := b.command(config)
	p := &process{
		broker: *b, said: said, ended: make(chan struct{}),
		address: fmt.Sprintf("127.0.0.1:%d", port),
		cmd:     exec.Command(args[0], args[1:]...),
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
			return fmt.Errorf("%s does not start: %s", p.broker.name, p.words())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.broker.name, p.address, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// words is what the broker said, in one line.
func (p *process) words() string {
	text, err := os.ReadFile(p.said.Name())
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// stop asks the broker to end and waits for it.
func (p *process) stop() error {
	defer p.said.Close()
	select {
	case <-p.ended: // before its time, by itself
		return fmt.Errorf("%s ended (%s): %s", p.broker.name, p.cmd.ProcessState, p.words())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w", p.broker.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill() // it may have ended just now
		<-p.ended
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.broker.name, stopWithin)
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
