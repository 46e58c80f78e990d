package main

import (
	"net"
	"path/filepath"
	"time"

	"github.com/fascia-edge/fascia/auth/pki"
)

const (
	certFile = "cert.pem"
	keyFile  = "key.pem"
)

// writeCertificate makes a server's certificate for loopback.
func writeCertificate(dir string) error {
	const lifetime = 24 * time.Hour
	ca, err := pki.NewCA("isolation", lifetime)
	if err != nil {
		return err
	}
	pair, err := ca.Issue(pki.Leaf{
		Name: "localhost", Use: pki.Server, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Lifetime: lifetime,
	})
	if err != nil {
		return err
	}
	return pair.WritePEM(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
}
