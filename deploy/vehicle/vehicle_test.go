// Package vehicle_test drives the vehicle in containers as `make vehicle` builds
// it, on a real Docker engine.
package vehicle_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	// In the images: when they change, go test may not answer from its cache.
	_ "github.com/fascia-edge/fascia/demo"
	_ "github.com/fascia-edge/fascia/gateway"
)

const user = "65532:65532"

// inputs are the folders that make and docker read; go test sees only what the
// test itself reads, and would answer from its cache when they change.
var inputs = []string{".", "headunit", "cloud", "certs", "../../cmd/fascia", "../../configs/demo"}

// TestVehicleInContainers takes a signal from one container's bus through the head
// unit's decoder and broker to another's client, and sees what a dead ECU does to
// that. The steps build on each other.
func TestVehicleInContainers(t *testing.T) {
	v := start(t)
	rearSeat := v.follow(t, "rear-seat")

	step(t, "values reach the rear seat by mutual TLS", func(t *testing.T) {
		rearSeat.await(t, "a moving car", func(s speed) bool { return s.Value > 0 })
	})
	step(t, "the certificate alone opens the door", func(t *testing.T) {
		// TLS 1.3 refuses a client after its first write, so what it hears is left
		// to chance: the alert, or a connection that breaks.
		sub := []string{"run", "--rm", "--no-deps", "-T", "rear-seat",
			"sub", "--url=mqtts://headunit:8883", "--cafile=/etc/fascia/pki/ca.crt", "--count=1", "--timeout=30s", "vss/#"}
		out, err := v.command(sub...).CombinedOutput()
		if err == nil || strings.Contains(string(out), "vss/") {
			t.Errorf("a client without a certificate: %v\n%s", err, out)
		}
		v.compose(t, append(sub, "--cert=/etc/fascia/pki/rear-seat.crt", "--key=/etc/fascia/pki/rear-seat.key")...)
	})
	step(t, "values reach the cloud, and commands the vehicle", func(t *testing.T) {
		v.compose(t, "exec", "-T", "cloud", "/fascia", "sub", "--count=1", "--timeout=30s", "dt/demo/car/FASC1ADEM00000001/vss")
		command := "cmd/demo/car/FASC1ADEM00000001/lights"
		heard := v.command("exec", "-T", "headunit", "/fascia", "sub", "--count=1", "--timeout=30s", command)
		if err := heard.Start(); err != nil {
			t.Fatal(err)
		}
		// Nobody tells when it has subscribed: the command is given until it is heard.
		ended := make(chan error, 1)
		go func() { ended <- heard.Wait() }()
		for {
			v.compose(t, "exec", "-T", "cloud", "/fascia", "pub", "-q", "1", command, "on")
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("no command came: %v", err)
				}
				return
			default:
			}
		}
	})
	step(t, "nothing runs as root", func(t *testing.T) {
		for _, service := range []string{"ecu", "headunit", "cloud", "rear-seat"} {
			if got := v.inspect(t, service, "{{.Config.User}}"); got != user {
				t.Errorf("%s runs as %q, want %s", service, got, user)
			}
		}
	})
	step(t, "the head unit outlives the ECU", func(t *testing.T) {
		v.compose(t, "kill", "ecu")
		v.compose(t, "exec", "-T", "headunit", "/fascia", "status", "--socket", "/var/lib/fascia/fascia.sock")
		if state := v.inspect(t, "headunit", "{{.State.Status}} {{.State.Health.Status}}"); state != "running healthy" {
			t.Errorf("the head unit is %s, want it running healthy", state)
		}
	})
	step(t, "values flow again when the ECU is back", func(t *testing.T) {
		back := time.Now()
		v.compose(t, "start", "ecu")
		rearSeat.await(t, "a value from the new ECU", func(s speed) bool { return s.Stamp.After(back) })
	})
	step(t, "the head unit stops in order", func(t *testing.T) {
		v.compose(t, "stop", "headunit")
		if code := v.inspect(t, "headunit", "{{.State.ExitCode}}"); code != "0" {
			t.Errorf("exit code %s, want 0", code)
		}
	})
}

// step is a subtest without which the next ones mean nothing.
func step(t *testing.T, name string, run func(t *testing.T)) {
	t.Helper()
	if !t.Run(name, run) {
		t.FailNow()
	}
}

// vehicle is one set of containers under a project name of its own.
type vehicle struct {
	*engine
	project string
}

// start builds the images and starts the containers; the test's end removes both.
func start(t *testing.T) *vehicle {
	t.Helper()
	for _, folder := range inputs {
		if _, err := os.ReadDir(folder); err != nil {
			t.Fatal(err)
		}
	}
	v := &vehicle{engine: startEngine(t), project: fmt.Sprintf("fascia-test-%d", os.Getpid())}
	build := v.engine.command("make", "--no-print-directory", "-C", "../..", "vehicle-context")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make vehicle-context: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := v.command("logs", "--tail=40").CombinedOutput() // as much as there is
			t.Logf("the containers' last lines:\n%s", out)
		}
		v.compose(t, "down", "--volumes", "--rmi=local", "--remove-orphans", "--timeout=5")
	})
	v.compose(t, "up", "--build", "--detach")
	return v
}

// command is a compose command on this vehicle.
func (v *vehicle) command(args ...string) *exec.Cmd {
	words := append([]string{}, v.engine.compose...)
	words = append(words, "--ansi", "never", "--project-name", v.project)
	words = append(words, args...)
	return v.engine.command(words[0], words[1:]...)
}

// compose runs a compose command that has to succeed.
func (v *vehicle) compose(t *testing.T, args ...string) {
	t.Helper()
	if out, err := v.command(args...).CombinedOutput(); err != nil {
		t.Fatalf("compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// inspect is what the engine says of a service's container.
func (v *vehicle) inspect(t *testing.T, service, format string) string {
	t.Helper()
	out, err := v.engine.command("docker", "inspect", "--format", format, v.container(t, service)).Output()
	if err != nil {
		t.Fatalf("docker inspect %s: %v", service, err)
	}
	return strings.TrimSpace(string(out))
}

func (v *vehicle) container(t *testing.T, service string) string {
	t.Helper()
	out, err := v.command("ps", "--all", "--quiet", service).Output()
	id := strings.TrimSpace(string(out))
	if err != nil || id == "" {
		t.Fatalf("%s has no container: %v", service, err)
	}
	return id
}
