// Package pkitest issues certificates to tests, as files and as what crypto/tls
// wants.
package pkitest

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/auth/pki"
)

// Authority is a certificate authority of the test's own. What fails ends the
// test, so its methods belong into the test's goroutine.
type Authority struct {
	// Dir has the authority's certificate as ca.pem, and NAME.pem and NAME.key of
	// each certificate that it issued.
	Dir string
	// CA is the authority itself.
	CA *pki.CA

	t testing.TB
}

// New makes an authority, its folder if that is absent, and a certificate
// "server" for 127.0.0.1. All certificates are valid for an hour.
func New(t testing.TB, dir string) *Authority {
	t.Helper()
	ca, err := pki.NewCA("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{Dir: dir, CA: ca, t: t}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteCertificate(a.File("ca.pem")); err != nil {
		t.Fatal(err)
	}
	a.IssueServer(net.IPv4(127, 0, 0, 1))
	return a
}

// IssueServer issues the certificate "server" for those addresses, in place of
// the one before.
func (a *Authority) IssueServer(at ...net.IP) {
	a.t.Helper()
	a.issue(pki.Leaf{Name: "server", Use: pki.Server, IPs: at})
}

// Client issues a certificate for NAME.vehicle and is the configuration of a
// client that has it.
func (a *Authority) Client(name string) *tls.Config {
	a.t.Helper()
	pair := a.issue(pki.Leaf{Name: name, Use: pki.Client, DNSNames: []string{name + ".vehicle"}})
	return &tls.Config{RootCAs: a.CA.Pool(), Certificates: []tls.Certificate{pair.TLS()}}
}

// Stranger is the configuration of a client without a certificate.
func (a *Authority) Stranger() *tls.Config { return &tls.Config{RootCAs: a.CA.Pool()} }

// File is the path of a file in Dir.
func (a *Authority) File(name string) string { return filepath.Join(a.Dir, name) }

func (a *Authority) issue(leaf pki.Leaf) *pki.Pair {
	a.t.Helper()
	leaf.Lifetime = time.Hour
	pair, err := a.CA.Issue(leaf)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := pair.WritePEM(a.File(leaf.Name+".pem"), a.File(leaf.Name+".key")); err != nil {
		a.t.Fatal(err)
	}
	return pair
}
