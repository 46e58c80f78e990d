// Command certs makes the certificates of the vehicle in containers: a CA, the server
// certificates of the head unit and of the cloud, and the client certificates of the
// rear seat and of the head unit's link.
//
// The CA's key is not kept: nothing can be issued later that the head unit would
// let in. Each run makes a new vehicle.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fascia-edge/fascia/auth/pki"
)

const lifetime = 365 * 24 * time.Hour

// leaves are the certificates. Those of servers have the name of their service in
// docker-compose.yml, which is its host name on the networks as well.
var leaves = []pki.Leaf{
	{Name: "headunit", Use: pki.Server, DNSNames: []string{"headunit"}, Lifetime: lifetime},
	{Name: "cloud", Use: pki.Server, DNSNames: []string{"cloud"}, Lifetime: lifetime},
	{Name: "headunit-link", Use: pki.Client, DNSNames: []string{"headunit-link"}, Lifetime: lifetime},
	{Name: "rear-seat", Use: pki.Client, DNSNames: []string{"rear-seat"}, Lifetime: lifetime},
}

func main() {
	out := flag.String("out", "", "folder to write NAME.crt, NAME.key and ca.crt to; made if absent")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "certs:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	if folder == "" {
		return errors.New("-out is missing: want the folder to write to")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	ca, err := pki.NewCA("Fascia vehicle in containers", lifetime)
	if err != nil {
		return err
	}
	if err := ca.WriteCertificate(filepath.Join(folder, "ca.crt")); err != nil {
		return err
	}
	for _, leaf := range leaves {
		pair, err := ca.Issue(leaf)
		if err != nil {
			return err
		}
		base := filepath.Join(folder, leaf.Name)
		if err := pair.WritePEM(base+".crt", base+".key"); err != nil {
			return err
		}
	}
	return nil
}
