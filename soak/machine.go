package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/umltest"
)

const (
	bootWithin = 60 * time.Second
	// diskSize is enough for what a run stores, in bytes.
	diskSize = 256 << 20
)

// machine is a broker in a machine of its own, whose power is cut and whose
// disk remains. The clients are outside and reach it by serial lines, one each
// and once a boot: so they outlive it, and keep their side of the sessions.
type machine struct {
	t      *testing.T
	disk   string
	init   string // starts the broker; %d is the number of lines
	ledger *ledger

	boots atomic.Int32

	mu     sync.Mutex // guards what follows
	kernel *umltest.Kernel
	lines  map[string]int // by client
	used   map[string]bool
}

// The guest's /mnt is the disk: a mount inside does not show outside.
const machineInit = `
ip link set lo up
mount -t ext4 /dev/ubda /mnt && echo "disk is mounted"
%s &
%s 127.0.0.1:1883 %d &
wait
`

// boot gives the machine power and returns when its disk is mounted.
func (m *machine) boot() {
	m.boots.Add(1)
	kernel := umltest.Boot(m.t, umltest.Machine{Init: m.init, Disk: m.disk, Lines: maxClients})
	kernel.Await(m.t, "disk is mounted", bootWithin)
	m.ledger.powerOn()
	m.ledger.event("power on, disk mounted")
	m.mu.Lock()
	m.kernel, m.used = kernel, make(map[string]bool)
	m.mu.Unlock()
}

// cut takes the power away.
func (m *machine) cut() {
	m.mu.Lock()
	kernel := m.kernel
	m.kernel = nil
	m.mu.Unlock()
	kernel.Cut()
	m.ledger.powerOff()
	m.ledger.event("power off")
}

// dial gives a client its line, once a boot.
func (m *machine) dial(ctx context.Context, id string) (net.Conn, error) {
	line, err := m.line(id)
	if err != nil {
		return nil, err
	}
	if err := line.SetReadDeadline(time.Now().Add(bootWithin)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = line.Close() })
	defer stop()
	var first [1]byte
	if _, err := io.ReadFull(line, first[:]); err != nil {
		return nil, err
	}
	if first[0] != '!' {
		return nil, fmt.Errorf("serial line of %s: got %q, want \"!\"", id, first)
	}
	return line, line.SetReadDeadline(time.Time{})
}

func (m *machine) line(id string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kernel == nil || m.used[id] {
		return nil, errors.New("no line")
	}
	i, known := m.lines[id]
	if !known {
		i = len(m.lines)
		m.lines[id] = i
	}
	m.used[id] = true
	return m.kernel.Line(i), nil
}
