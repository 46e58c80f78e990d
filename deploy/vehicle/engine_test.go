package vehicle_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	testWithin   = 5 * time.Minute
	answerWithin = 10 * time.Second // an engine that runs
	listenWithin = time.Minute      // one that is started
	stopWithin   = 30 * time.Second
)

// engine is a Docker engine that answers, and the compose command for it.
type engine struct {
	ctx     context.Context // ends every command that hangs
	env     []string
	compose []string // docker compose, or docker-compose
}

// startEngine finds the machine's Docker engine or, as root, starts one of the
// test's own, whose data, sockets and containers lie in a folder that goes with
// the test.
func startEngine(t *testing.T) *engine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testWithin)
	t.Cleanup(cancel)
	e := &engine{ctx: ctx, env: os.Environ()}
	if _, err := exec.LookPath("docker"); err != nil {
		leaveOut(t, "docker is missing (Debian: docker.io)")
	}
	switch {
	case e.command("docker", "compose", "version").Run() == nil:
		e.compose = []string{"docker", "compose"}
	case e.command("docker-compose", "version").Run() == nil:
		e.compose = []string{"docker-compose"}
	default:
		leaveOut(t, "docker-compose is missing (Debian: docker-compose)")
	}
	if e.answers() {
		return e
	}
	if os.Geteuid() != 0 {
		leaveOut(t, "no Docker engine answers, and only root can start one")
	}
	dockerd, err := exec.LookPath("dockerd")
	if err != nil {
		leaveOut(t, "no Docker engine answers, and dockerd is missing (Debian: docker.io)")
	}
	socket := "unix://" + e.serve(t, dockerd, t.TempDir())
	e.env = append(e.env, "DOCKER_HOST="+socket)
	if !e.answers() {
		t.Fatalf("dockerd listens on %s and doesn't answer", socket)
	}
	return e
}

// leaveOut skips the test where a developer's machine lacks a component; the
// build server lacks none.
func leaveOut(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// serve starts dockerd, waits until it listens and returns its socket. The test's
// end stops it and waits for it.
func (e *engine) serve(t *testing.T, dockerd, folder string) string {
	t.Helper()
	socket := filepath.Join(folder, "docker.sock")
	// Not by e.command: a killed engine would leave its containers running.
	daemon := exec.Command(dockerd,
		"--data-root", filepath.Join(folder, "data"),
		"--exec-root", filepath.Join(folder, "exec"),
		"--pidfile", filepath.Join(folder, "pid"),
		"--host", "unix://"+socket,
		"--bridge", "none") // every container here has networks of its own
	logs, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}

	listening, ended := make(chan struct{}), make(chan struct{})
	var last []string // guarded by ended
	go func() {
		defer close(ended)
		scanner := bufio.NewScanner(logs)
		for scanner.Scan() {
			line := scanner.Text()
			if strings.Contains(line, "API listen on") {
				close(listening)
			}
			last = append(last[max(0, len(last)-19):], line)
		}
	}()
	t.Cleanup(func() {
		kill := time.AfterFunc(stopWithin, func() { _ = daemon.Process.Kill() })
		defer kill.Stop()
		_ = daemon.Process.Signal(syscall.SIGTERM) // a daemon that is gone is waited for all the same
		<-ended
		if err := daemon.Wait(); err != nil {
			t.Errorf("dockerd: %v; its last lines:\n%s", err, strings.Join(last, "\n"))
		}
	})

	select {
	case <-listening:
	case <-ended:
		t.Fatalf("dockerd ended; its last lines:\n%s", strings.Join(last, "\n"))
	case <-time.After(listenWithin):
		t.Fatalf("dockerd doesn't listen after %v", listenWithin)
	}
	return socket
}

func (e *engine) answers() bool {
	ctx, cancel := context.WithTimeout(e.ctx, answerWithin)
	defer cancel()
	info := exec.CommandContext(ctx, "docker", "info")
	info.Env = e.env
	return info.Run() == nil
}

func (e *engine) command(name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(e.ctx, name, args...)
	c.Env = e.env
	return c
}
