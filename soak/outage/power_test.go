package outage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/umltest"
)

const (
	bootWithin = 60 * time.Second
	// diskSize is enough for what a run stores, in bytes.
	diskSize = 256 << 20
	// lines is how many serial lines lead out of the machine: two publishers' and the
	// recorder's.
	lines = 3
)

// The machine loses its power in an outage, while messages are published, as often as
// asked for. In its last boot the far side is there, on the same machine, and what was
// acknowledged in all boots has to reach it. A sync policy of always promises that
// without a tolerance.
func TestPowerCutsInAnOutageLoseNothing(t *testing.T) {
	umltest.Need(t, map[string]string{"linux.uml": "user-mode-linux", "mkfs.ext4": "e2fsprogs", "ip": "iproute2",
		"mosquitto": "mosquitto", "mosquitto_sub": "mosquitto-clients"})
	t.Parallel()
	s := emptyStage(t)
	m := &machine{s: s, serial: umltest.Build(t, "build", "../serial"), disk: umltest.NewDisk(t, diskSize)}
	m.write()
	for i := range 2 {
		p := NewPublisher(s.ledger, m.dial(i), PublisherOptions{ID: fmt.Sprint("publisher-", i), Topics: []string{fmt.Sprint("up/", i)}, Size: 100, Rate: 50})
		t.Cleanup(p.Close)
		p.Send(1 << 30)
		m.publishers = append(m.publishers, p)
	}
	for range *cutsFlag {
		m.boot("")
		s.grown(100)
		m.kernel.Cut()
	}
	m.boot(m.farSide())
	recorder, err := Record(t.Context(), s.ledger, m.dial(2), "far/#")
	s.must(err)
	t.Cleanup(recorder.Close)
	s.passed(50 * *cutsFlag)
	for _, p := range m.publishers {
		p.Stop()
		s.must(p.Settled(idle))
	}
	s.well(s.ledger.AwaitAll(idle))
	s.judge(Promise{MessageIDs: true})
	if t.Failed() {
		t.Logf("console:\n%s", m.kernel.Console())
	}
}

// machine is one that runs the gateway, with clients outside that reach it by a serial
// line each, once a boot.
type machine struct {
	s            *stage
	serial, disk string
	publishers   []*Publisher

	mu     sync.Mutex // guards what follows
	kernel *umltest.Kernel
	used   [lines]bool // of this boot
}

const machineFar = "127.0.0.1:2883" // nobody listens there before the last boot

func (m *machine) file(name string) string { return filepath.Join(m.s.dir, name) }

// write makes the files that the machine reads from this one's disk.
func (m *machine) write() {
	g := gateway{url: "mqtt://" + machineFar, sync: "always"}
	text := g.config(1883, "/mnt") + "time: {synchronised: always} # the machine has no clock of its own, but the host's\n"
	m.s.must(os.WriteFile(m.file("fascia.yaml"), []byte(text), 0o600))
	far := "listener 2883 127.0.0.1\nallow_anonymous true\nuser root\nmax_inflight_messages 0\nmax_queued_messages 0\n"
	m.s.must(os.WriteFile(m.file("far.conf"), []byte(far), 0o600))
}

// farSide starts the far side and its recorder's session before the gateway finds it.
func (m *machine) farSide() string {
	return fmt.Sprintf(`mosquitto -c %s &
until mosquitto_sub -p 2883 -i recorder -c -q 1 -t 'far/#' -E; do sleep 0.1; done
%s %s 1 2 &
`, m.file("far.conf"), m.serial, machineFar)
}

// boot gives the machine power, and runs what is given before its gateway starts.
func (m *machine) boot(first string) {
	m.s.t.Helper()
	kernel := umltest.Boot(m.s.t, umltest.Machine{Disk: m.disk, Lines: lines, Init: fmt.Sprintf(`
ip link set lo up
mount -t ext4 /dev/ubda /mnt && echo "disk is mounted"
%s
%s run -c %s &
%s 127.0.0.1:1883 2 &
wait
`, first, fascia.Command(m.s.t.Context()).Path, m.file("fascia.yaml"), m.serial)})
	kernel.Await(m.s.t, "disk is mounted", bootWithin)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kernel, m.used = kernel, [lines]bool{}
}

// dial gives a client its line, once a boot; it begins with one byte, "!".
func (m *machine) dial(client int) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		m.mu.Lock()
		kernel := m.kernel
		free := kernel != nil && !m.used[client]
		m.used[client] = true
		m.mu.Unlock()
		if !free {
			return nil, errors.New("no line")
		}
		socket := kernel.Line(client)
		stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
		defer stop()
		var first [1]byte
		if _, err := io.ReadFull(socket, first[:]); err != nil {
			return nil, err
		}
		if first[0] != '!' {
			return nil, fmt.Errorf("serial line %d begins with %q, want \"!\"", client, first)
		}
		return socket, nil
	}
}
