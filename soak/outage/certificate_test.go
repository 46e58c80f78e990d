package outage

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/auth/pki"
)

// First the far side's certificate runs out, then the vehicle's own. Each ends the
// link at its next connecting, and a new one brings it back; the vehicle's is
// read again without a restart of the gateway.
func TestNothingIsLostWhileACertificateIsExpired(t *testing.T) {
	t.Parallel()
	s := emptyStage(t)
	ca, err := pki.NewCA("far", time.Hour)
	s.must(err)
	file := func(name string) string { return filepath.Join(s.dir, name) }
	s.must(ca.WriteCertificate(file("ca.pem")))
	issue := func(name string, use pki.Use, lifetime time.Duration) {
		t.Helper()
		pair, err := ca.Issue(pki.Leaf{Name: name, Use: use, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Lifetime: lifetime})
		s.must(err)
		s.must(pair.WritePEM(file(name+".pem"), file(name+".key")))
	}
	issue("server", pki.Server, time.Hour)
	issue("vehicle", pki.Client, time.Hour)

	port, err := FreePort()
	s.must(err)
	s.beyond(func(plain int, dir string) string {
		return Far(plain, dir) + fmt.Sprintf("listener %d 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\n",
			port, file("ca.pem"), file("server.pem"), file("server.key"))
	})
	s.connect(fmt.Sprintf("127.0.0.1:%d", port))
	s.drive(gateway{url: "mqtts://" + s.network.Address,
		link: fmt.Sprintf("tls: {ca: %s, cert: %s, key: %s}", file("ca.pem"), file("vehicle.pem"), file("vehicle.key"))})
	s.running(100)
	s.passed(50)
	// restart makes the far side read its files and forget TLS sessions: by one of these
	// the vehicle could come back without showing a certificate.
	restart := func() {
		s.must(s.far.Stop())
		s.must(s.far.Start(t.Context()))
		s.must(s.recorder.Subscribed(t.Context()))
	}
	expire := func(name string, use pki.Use) {
		const least = time.Second // certificates know no less
		issue(name, use, least)
		time.Sleep(2 * least)
		restart()
		s.state("down")
		s.stuck(100)
		issue(name, use, time.Hour)
	}
	expire("server", pki.Server)
	restart()
	s.state("up")
	s.passed(100)

	expire("vehicle", pki.Client)
	s.state("up")
	s.passed(100)
	s.kept(Promise{MessageIDs: true})
}
