package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/gateway"
)

// fascia is the binary under test: the tests here use the program as its users
// do, as a process.
var fascia string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "fascia-test-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		fascia = filepath.Join(dir, "fascia")
		build := exec.Command("go", "build", "-o", fascia, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// result is what a command printed and how it ended.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a command to its end.
func run(t *testing.T, args ...string) result {
	t.Helper()
	return runIn(t, "", args...)
}

// runIn runs a command that reads stdin to its end.
func runIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, fascia, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) || ctx.Err() != nil {
		t.Fatalf("fascia %v: %v\n%s", args, err, stderr.String())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// process is a gateway that runs until the test ends.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	socket string
	log    *syncBuffer
	done   chan struct{} // closed when the process has ended
}

// configured writes a configuration and the files beside it into a folder.
// @DRIVE@ in them stands for the folder of the recorded drive.
func configured(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		text = strings.ReplaceAll(text, "@DRIVE@", sharedCAN(t, strings.Contains(text, "@DRIVE@")))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sharedCAN is the folder of the recorded drive and its DBC, which belong to
// others and lie beside the checkout.
func sharedCAN(t *testing.T, needed bool) string {
	t.Helper()
	dir, err := filepath.Abs("../../../shared/data/can")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil && needed {
		t.Skip("the recorded drive is not beside the checkout (../shared/data/can)")
	}
	return dir
}

// start starts `fascia run` on fascia.yaml in dir and waits until it is ready.
func start(t *testing.T, dir string) *process {
	t.Helper()
	p := launch(t, dir, filepath.Join(dir, "data", "fascia.sock"), "run", "-c", filepath.Join(dir, "fascia.yaml"))
	p.await("ready", func(s gateway.Status) bool { return s.Ready })
	return p
}

func launch(t *testing.T, dir, socket string, args ...string) *process {
	t.Helper()
	return launchBy(t, dir, socket, append([]string{fascia}, args...))
}

// launchBy is launch with a command that ends by becoming the gateway.
func launchBy(t *testing.T, dir, socket string, command []string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, socket: socket, log: &syncBuffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", p.log)
		}
	})
	return p
}

// status asks the gateway over its control socket; ok is false while it does
// not answer.
func (p *process) status() (s gateway.Status, ok bool) {
	s, err := newGatewayClient(p.socket).status(context.Background())
	return s, err == nil
}

// await polls the gateway's status until it is as wanted.
func (p *process) await(what string, wanted func(gateway.Status) bool) gateway.Status {
	p.t.Helper()
	var last gateway.Status
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if s, ok := p.status(); ok {
			if last = s; wanted(s) {
				return s
			}
		}
		select {
		case <-p.done:
			p.t.Fatalf("the gateway ended before it was %s:\n%s", what, p.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
	text, _ := json.MarshalIndent(last, "", "  ")
	p.t.Fatalf("the gateway is not %s after 30 s: %s", what, text)
	return last
}

// stop sends SIGTERM and returns the exit code.
func (p *process) stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.t.Fatal("the gateway did not stop within 20 s of SIGTERM")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// address is where the listener is bound.
func (p *process) address(listener string) string {
	p.t.Helper()
	s, _ := p.status()
	for _, l := range s.Listeners {
		if l.Name == listener {
			return l.Address
		}
	}
	p.t.Fatalf("no listener %q in %v", listener, s.Listeners)
	return ""
}

func (p *process) url() string { return "mqtt://" + p.address("local") }

// subscribe connects an MQTT client that hands every message to fn, and returns
// once the subscription is acknowledged.
func (p *process) subscribe(filter string, qos byte, fn func(*paho.Publish)) {
	p.t.Helper()
	broker, err := url.Parse(p.url())
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{broker},
		KeepAlive:                     30,
		CleanStartOnInitialConnection: true,
		ClientConfig: paho.ClientConfig{
			ClientID: "test-" + filepath.Base(p.dir),
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(r paho.PublishReceived) (bool, error) { fn(r.Packet); return true, nil },
			},
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		cancel()
		<-cm.Done()
	})
	wait, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := cm.AwaitConnection(wait); err != nil {
		p.t.Fatal(err)
	}
	if _, err := cm.Subscribe(wait, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}}}); err != nil {
		p.t.Fatal(err)
	}
}

// syncBuffer collects what a process prints, and may be read meanwhile.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// within fails the test unless the condition comes true within 30 s.
func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}
