package edgebroker

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/auth/pki"
)

// authority issues certificates as files.
type authority struct {
	t   testing.TB
	dir string
	ca  *pki.CA
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	ca, err := pki.NewCA("test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, dir: t.TempDir(), ca: ca}
	if err := ca.WriteCertificate(a.file("ca.pem")); err != nil {
		t.Fatal(err)
	}
	a.issue(pki.Leaf{Name: "server", Use: pki.Server, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(leaf pki.Leaf) {
	a.t.Helper()
	leaf.Lifetime = time.Hour
	pair, err := a.ca.Issue(leaf)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := pair.WritePEM(a.file(leaf.Name+".pem"), a.file(leaf.Name+".key")); err != nil {
		a.t.Fatal(err)
	}
}

// client issues a certificate with NAME.vehicle and is a client that has it.
func (a *authority) client(name string) *tls.Config {
	a.t.Helper()
	a.issue(pki.Leaf{Name: name, Use: pki.Client, DNSNames: []string{name + ".vehicle"}})
	pair, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{RootCAs: a.ca.Pool(), Certificates: []tls.Certificate{pair}}
}

// stranger is a client without a certificate.
func (a *authority) stranger() *tls.Config { return &tls.Config{RootCAs: a.ca.Pool()} }

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }
