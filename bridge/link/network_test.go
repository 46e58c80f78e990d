package link

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// inNamespace is set for a test's second run, which has a network namespace to
// itself: that goes with its process, and nothing has to be cleaned up.
const inNamespace = "FASCIA_TEST_IN_NAMESPACE"

// namespaced runs the test again in a namespace of its own, and reports whether this
// is that run.
func namespaced(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		ip(t, "link set lo up")
		return true
	}
	missing := ""
	if os.Geteuid() != 0 {
		missing = "making a network namespace needs root"
	} else if _, err := exec.LookPath("ip"); err != nil {
		missing = "iproute2 is not installed"
	}
	switch {
	case missing != "" && os.Getenv("CI") == "true":
		t.Fatal(missing)
	case missing != "":
		t.Skip(missing)
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), inNamespace+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// addInterface makes wwan0, behind which nobody answers.
func addInterface(t *testing.T) {
	t.Helper()
	ip(t, "link add wwan0 type veth peer name afar", "link set wwan0 addrgenmode none", "link set afar addrgenmode none",
		"link set afar up", "link set wwan0 up")
}

// ip runs commands of iproute2.
func ip(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", command, err, out)
		}
	}
}

func TestNetworkThatComesUpIsTold(t *testing.T) {
	if !namespaced(t) {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	up, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- WatchNetwork(ctx, func() { up <- struct{}{} }) }()
	told := func(what string, commands ...string) {
		t.Helper()
		ip(t, commands...)
		select {
		case <-up:
		case <-time.After(patience):
			t.Fatalf("nothing told of %s", what)
		}
	}
	// The first is tried until the socket listens.
	eventually(t, "listening", func() bool {
		ip(t, "link add probe type veth peer name afar", "addr add 192.0.2.99/24 dev probe", "link del probe")
		select {
		case <-up:
			return true
		case <-time.After(2 * settlesWithin):
			return false
		}
	})
	silent := func(what string) {
		t.Helper()
		select {
		case <-up:
			t.Errorf("told of %s", what)
		case <-time.After(2 * settlesWithin):
		}
	}
	told("an interface", "link add wwan0 type veth peer name afar", "link set wwan0 addrgenmode none", "link set afar addrgenmode none",
		"link set afar up", "link set wwan0 up")
	told("an address", "addr add 192.0.2.1/24 dev wwan0")
	told("a default route", "route add default via 192.0.2.2")
	told("an address of IPv6", "addr add 2001:db8::1/64 dev wwan0 nodad")
	told("a default route of IPv6", "-6 route add default via 2001:db8::2")
	silent("something again")

	ip(t, "route add 198.51.100.0/24 via 192.0.2.2", "addr add fe80::1/64 dev wwan0 nodad", "route replace default via 192.0.2.2",
		"addr change 192.0.2.1/24 dev wwan0 valid_lft 100 preferred_lft 100", "link set wwan0 mtu 1400",
		"-6 addr del 2001:db8::1/64 dev wwan0", "addr add 127.0.0.2/8 dev lo")
	silent("what goes, is announced again, or is of no use")

	told("an interface", "link set wwan0 down", "link set wwan0 up")
	told("its route, which went without a word", "route add default via 192.0.2.2")
	told("two addresses", "addr add 2001:db8::1/64 dev wwan0 nodad", "addr add 192.0.2.3/24 dev wwan0")
	silent("these one by one")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestDeadIPv6BlocksNothing: a name with both kinds of addresses, of which the first
// leads nowhere without a word (RFC 8305).
func TestDeadIPv6BlocksNothing(t *testing.T) {
	if !namespaced(t) {
		return
	}
	addInterface(t)
	ip(t, "addr add 2001:db8::1/64 dev wwan0 nodad", "-6 neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev wwan0 nud permanent",
		"-6 route add default via 2001:db8::2", "addr add 192.0.2.1/24 dev wwan0")
	far := listenFar(t)
	_, port, _ := net.SplitHostPort(far.Addr().String())
	names := nameServer(t, map[string][2]string{"both.example.": {"2001:db8:1::1", "127.0.0.1"}})
	for family, ok := range map[string]bool{"auto": true, "ipv4": true, "ipv6": false} {
		c := parse(t, "url: mqtt://both.example:"+port+"\nconnect_timeout: 1s\nfamily: "+family)
		if ok {
			accepted := make(chan *peer)
			go func() {
				p := far.accept(t)
				p.welcome(wire.Acceptance{})
				accepted <- p
			}()
			defer func() { <-accepted }()
		}
		r, err := Test(t.Context(), c, Options{Vars: vars, resolver: names})
		if err != nil || r.OK() != ok {
			t.Errorf("%s: %v %v", family, r.Endpoints, err)
		}
		if family == "auto" && !strings.Contains(r.Endpoints[0].Steps[0].Detail, "2001:db8:1::1") {
			t.Errorf("resolved to %+v", r.Endpoints[0].Steps)
		}
	}
}

// nameServer answers for names with an IPv6 and an IPv4 address each.
func nameServer(t *testing.T, names map[string][2]string) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for {
			n, from, err := socket.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1, Type: q.Type}
			switch at := names[q.Name.String()]; q.Type {
			case dnsmessage.TypeAAAA:
				m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(net.ParseIP(at[0]).To16())}}}
			case dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(at[1]).To4())}}}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = socket.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		socket.Close()
		<-ended
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func TestNamesThatDoNotResolveAreAFailedTry(t *testing.T) {
	gone := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, syscall.ENETUNREACH
	}}
	l := start(t, "url: mqtt://cloud.example\nbackoff: {min: 1h, max: 1h}", func(o *Options) { o.resolver = gone })
	eventually(t, "the wait", func() bool { return l.State().Status == Down && l.State().Attempts == 1 })
	if s := l.State(); !strings.Contains(s.LastError, "lookup cloud.example") {
		t.Errorf("state %+v", s)
	}
}

// TestConnectionsLeaveByTheirInterface, which may come late.
func TestConnectionsLeaveByTheirInterface(t *testing.T) {
	if !namespaced(t) {
		return
	}
	far := listenFar(t)
	_, port, _ := net.SplitHostPort(far.Addr().String())
	text := "url: mqtt://127.0.0.1:" + port + "\nconnect_timeout: 1s\ninterface: "
	r, err := Test(t.Context(), parse(t, text+"wwan0"), Options{Vars: vars})
	if err != nil || r.OK() || !strings.Contains(r.Endpoints[0].Err.Error(), "interface wwan0: no such device") {
		t.Errorf("%v, %v", r, err)
	}
	addInterface(t)
	ip(t, "addr add 192.0.2.1/24 dev wwan0")
	r, err = Test(t.Context(), parse(t, text+"wwan0"), Options{Vars: vars})
	if err != nil || r.OK() || strings.Contains(r.Endpoints[0].Err.Error(), "no such device") {
		t.Errorf("loopback was reached by another interface: %v, %v", r, err)
	}
	welcomed := make(chan struct{})
	go func() {
		defer close(welcomed)
		far.accept(t).welcome(wire.Acceptance{})
	}()
	defer func() { <-welcomed }()
	r, err = Test(t.Context(), parse(t, text+"lo"), Options{Vars: vars})
	if err != nil || !r.OK() {
		t.Errorf("%v, %v", r, err)
	}
}
