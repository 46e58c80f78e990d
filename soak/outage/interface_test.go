package outage

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// The interface loses its address, as a modem's does: nothing ends the connection, and
// no packet goes through. When the address is back the kernel tells the gateway, which
// would else wait for its back-off, longer than this test.
func TestAddressThatComesBackEndsTheWait(t *testing.T) {
	asRoot(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip is missing: want the package iproute2") // .ci/components fails without it
	}
	t.Parallel()
	s := emptyStage(t)
	s.beyond(Far)
	modem := newModem(t)
	address := modem.lead(s.far.Address())
	s.drive(gateway{
		url:  "mqtt://" + address,
		link: "keep_alive: 1s, ping_timeout: 1s, connect_timeout: 2s, backoff: {min: 10m, max: 20m}",
	})
	s.state("up")
	s.running(100)
	s.passed(50)
	modem.down()
	s.state("down", "connecting")
	s.stuck(100)
	modem.up()
	s.state("up")
	s.passed(100)
	s.kept(Promise{MessageIDs: true})
}

// The same wait, ended by a command, as an ignition script would.
func TestCommandEndsTheWait(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.drive(gateway{link: "backoff: {min: 10m, max: 20m}"})
	s.state("up")
	s.running(100)
	s.passed(20)
	s.network.Cut()
	s.state("down")
	s.stuck(50)
	s.mend()
	out, err := fascia.Command(t.Context(), "link", "up", "--socket", filepath.Join(s.vehicle.Dir, "control")).CombinedOutput()
	if err != nil {
		t.Fatalf("fascia link up: %v\n%s", err, out)
	}
	s.passed(50)
	s.kept(Promise{MessageIDs: true})
}

// modem is a pair of interfaces, one of which is in a network name space of its own.
type modem struct {
	t                  *testing.T
	space, near, net30 string
}

func newModem(t *testing.T) *modem {
	t.Helper()
	number := os.Getpid() % 250
	m := &modem{t: t, space: fmt.Sprintf("outage%d", number), near: fmt.Sprintf("modem%d", number), net30: fmt.Sprintf("10.253.%d", number)}
	m.ip("netns add " + m.space)
	t.Cleanup(func() { m.ip("netns del " + m.space) }) // the interfaces go with it
	m.ip("link add " + m.near + " type veth peer name far netns " + m.space)
	m.ip("-n " + m.space + " addr add " + m.net30 + ".2/30 dev far")
	m.ip("-n " + m.space + " link set far up")
	m.ip("link set " + m.near + " up")
	m.up()
	return m
}

func (m *modem) up()   { m.ip("addr add " + m.net30 + ".1/30 dev " + m.near) }
func (m *modem) down() { m.ip("addr del " + m.net30 + ".1/30 dev " + m.near) }

func (m *modem) ip(command string) {
	m.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		m.t.Fatalf("ip %s: %v: %s", command, err, out)
	}
}

// lead carries connections that come to the far interface to an address of this
// machine.
func (m *modem) lead(to string) (address string) {
	m.t.Helper()
	listener, err := m.listen(m.net30 + ".2:0")
	if err != nil {
		m.t.Fatal(err)
	}
	var carrying sync.WaitGroup
	ended := make(chan struct{})
	carrying.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			carrying.Go(func() { carry(from, to, ended) })
		}
	})
	m.t.Cleanup(func() {
		close(ended)
		_ = listener.Close()
		carrying.Wait()
	})
	return listener.Addr().String()
}

func carry(from net.Conn, to string, ended <-chan struct{}) {
	defer from.Close()
	onward, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer onward.Close()
	over := make(chan struct{}, 2)
	var copying sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, onward}, {onward, from}} {
		copying.Go(func() {
			_, _ = io.Copy(way[1], way[0]) // however it ends
			over <- struct{}{}
		})
	}
	select {
	case <-over:
	case <-ended:
	}
	_ = from.Close()
	_ = onward.Close()
	copying.Wait()
}

// listen makes a listener of the other name space.
func (m *modem) listen(address string) (listener net.Listener, err error) {
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer here.Close()
	there, err := os.Open("/run/netns/" + m.space)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	runtime.LockOSThread() // a thread that can't come back ends with its goroutine
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	listener, err = net.Listen("tcp4", address)
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, errors.Join(err, back)
	}
	runtime.UnlockOSThread()
	return listener, err
}
