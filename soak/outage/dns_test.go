package outage

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// The far side's name is all that the gateway has. First the name server knows nobody,
// then nobody is there, and the link is lost each time.
func TestNothingIsLostWhileNamesDoNotResolve(t *testing.T) {
	asRoot(t)
	t.Parallel()
	s := newStage(t)
	names := newNames(t)
	conf := filepath.Join(s.dir, "resolv.conf")
	s.must(os.WriteFile(conf, fmt.Appendf(nil, "nameserver %s\noptions timeout:1 attempts:1\n", names.address), 0o644))
	// Its own mount name space has its own /etc/resolv.conf.
	program := fascia.Within("unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, conf)
	_, port, err := net.SplitHostPort(s.network.Address)
	s.must(err)
	names.mood.Store(nobody)
	s.driveAs(program, gateway{url: "mqtt://far.vehicle.test:" + port, link: "connect_timeout: 2s"})
	s.running(100)
	s.grown(50)
	if arrived := s.ledger.Counts().Arrived; arrived > 0 {
		t.Fatalf("%d messages arrived though nobody could know where", arrived)
	}
	names.mood.Store(right)
	s.state("up")
	s.passed(50)
	for _, mood := range []int32{unknown, nobody} {
		names.mood.Store(mood)
		s.must(s.network.Drop())
		s.state("down", "connecting")
		s.stuck(100)
		names.mood.Store(right)
		s.state("up")
		s.passed(50)
	}
	s.kept(Promise{MessageIDs: true})
}

// What a name server does.
const (
	right   int32 = iota // every name is 127.0.0.1
	unknown              // no name exists
	nobody               // no answer
)

// names is a name server.
type names struct {
	address string
	mood    atomic.Int32
}

// newNames listens on the port that resolvers ask, at an address of loopback that is
// this test's alone.
func newNames(t *testing.T) *names {
	t.Helper()
	n := &names{address: "127.53.0.53"}
	socket, err := net.ListenPacket("udp", n.address+":53")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { n.serve(socket) })
	t.Cleanup(func() {
		_ = socket.Close()
		serving.Wait()
	})
	return n
}

func (n *names) serve(socket net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := socket.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := n.answer(buf[:size]); answer != nil {
			_, _ = socket.WriteTo(answer, from) // as UDP is
		}
	}
}

// answer is nil for none.
func (n *names) answer(question []byte) []byte {
	var m dnsmessage.Message
	mood := n.mood.Load()
	if mood == nobody || m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	switch {
	case mood == unknown:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr("127.0.0.1").As4()},
		}}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}
