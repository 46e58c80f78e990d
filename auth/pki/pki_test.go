package pki

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const year = 365 * 24 * time.Hour

func newCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA("test vehicle CA", year)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca *CA, leaf Leaf) *Pair {
	t.Helper()
	pair, err := ca.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func server(names ...string) Leaf {
	return Leaf{Name: "head unit", Use: Server, DNSNames: names, Lifetime: year}
}

func client(name string) Leaf {
	return Leaf{Name: name, Use: Client, DNSNames: []string{name}, Lifetime: year}
}

func TestLeafVerifiesForItsUseAlone(t *testing.T) {
	ca := newCA(t)
	for _, c := range []struct {
		name   string
		leaf   Leaf
		usage  x509.ExtKeyUsage
		verify bool
	}{
		{"server as server", server("headunit"), x509.ExtKeyUsageServerAuth, true},
		{"server as client", server("headunit"), x509.ExtKeyUsageClientAuth, false},
		{"client as client", client("rear-seat"), x509.ExtKeyUsageClientAuth, true},
		{"client as server", client("rear-seat"), x509.ExtKeyUsageServerAuth, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair := issue(t, ca, c.leaf)
			_, err := pair.Certificate.Verify(x509.VerifyOptions{
				Roots:     ca.Pool(),
				DNSName:   c.leaf.DNSNames[0],
				KeyUsages: []x509.ExtKeyUsage{c.usage},
			})
			if (err == nil) != c.verify {
				t.Errorf("verified %v, want %v: %v", err == nil, c.verify, err)
			}
		})
	}
}

func TestLeafIssuesNothing(t *testing.T) {
	ca := newCA(t)
	leaf := CA{*issue(t, ca, client("rear-seat"))}
	forged := issue(t, &leaf, server("headunit"))
	intermediates := x509.NewCertPool()
	intermediates.AddCert(leaf.Certificate)
	_, err := forged.Certificate.Verify(x509.VerifyOptions{Roots: ca.Pool(), Intermediates: intermediates})
	if err == nil {
		t.Error("a certificate signed by a client's key verifies")
	}
}

func TestKeyIdentifiersLinkLeafToCA(t *testing.T) {
	ca := newCA(t)
	leaf := issue(t, ca, client("rear-seat")).Certificate
	if len(leaf.SubjectKeyId) != 20 || !bytes.Equal(leaf.AuthorityKeyId, ca.Certificate.SubjectKeyId) {
		t.Errorf("leaf SKI %x AKI %x, CA SKI %x", leaf.SubjectKeyId, leaf.AuthorityKeyId, ca.Certificate.SubjectKeyId)
	}
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
		t.Errorf("leaf: key usage %b, CA %v", leaf.KeyUsage, leaf.IsCA)
	}
	if c := ca.Certificate; c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || !c.IsCA || !c.MaxPathLenZero {
		t.Errorf("CA: key usage %b, CA %v, path length zero %v", c.KeyUsage, c.IsCA, c.MaxPathLenZero)
	}
}

func TestSerialsAreRandom(t *testing.T) {
	ca := newCA(t)
	seen := map[string]bool{}
	longest := 0
	for range 64 {
		serial := issue(t, ca, client("rear-seat")).Certificate.SerialNumber
		if seen[serial.String()] {
			t.Fatalf("serial %v twice", serial)
		}
		seen[serial.String()] = true
		longest = max(longest, serial.BitLen())
	}
	// Of 64 numbers of 128 bits one below 2^120 is likely, all of them never.
	if longest <= 120 || longest > 128 {
		t.Errorf("longest serial has %d bits, want up to 128", longest)
	}
}

func TestLeafIsValidForClocksThatAreBehindAndEndsWithItsCA(t *testing.T) {
	ca, err := NewCA("short-lived CA", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf := issue(t, ca, server("headunit"))
	behind := time.Now().Add(-Backdate + time.Minute)
	if _, err := leaf.Certificate.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: behind}); err != nil {
		t.Errorf("with the clock at %v: %v", behind, err)
	}
	if !leaf.Certificate.NotAfter.Equal(ca.Certificate.NotAfter) {
		t.Errorf("leaf ends %v, its CA %v", leaf.Certificate.NotAfter, ca.Certificate.NotAfter)
	}
}

func TestMutualTLS(t *testing.T) {
	ca, stranger := newCA(t), newCA(t)
	headUnit := issue(t, ca, Leaf{Name: "head unit", Use: Server, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Lifetime: year})
	rearSeat := issue(t, ca, client("rear-seat")).TLS()
	forged := issue(t, stranger, client("rear-seat")).TLS()
	asServer := headUnit.TLS()

	for _, c := range []struct {
		name   string
		client *tls.Certificate
		roots  *x509.CertPool
		enter  bool
	}{
		{"own client enters", &rearSeat, ca.Pool(), true},
		{"without a certificate", nil, ca.Pool(), false},
		{"another CA of the same name", &forged, ca.Pool(), false},
		{"a server's certificate", &asServer, ca.Pool(), false},
		{"the client trusts another CA", &rearSeat, stranger.Pool(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer, err := handshake(t, headUnit, ca.Pool(), c.client, c.roots)
			if (err == nil) != c.enter {
				t.Fatalf("entered %v, want %v: %v", err == nil, c.enter, err)
			}
			if c.enter && peer != "rear-seat" {
				t.Errorf("the server saw %q", peer)
			}
		})
	}
}

// handshake connects over loopback and returns the name the server saw.
func handshake(t *testing.T, server *Pair, clientCAs *x509.CertPool, client *tls.Certificate, roots *x509.CertPool) (string, error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{server.TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clientCAs,
		MinVersion:   tls.VersionTLS13,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()

	var clientErr error
	dialled := make(chan struct{})
	go func() {
		defer close(dialled)
		config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
		if client != nil {
			// Offered even where the server's list of CAs doesn't name its issuer.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client, nil }
		}
		conn, err := tls.Dial("tcp", listener.Addr().String(), config)
		if err != nil {
			clientErr = err
			return
		}
		_ = conn.Close()
	}()

	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	serverErr := conn.(*tls.Conn).Handshake()
	state := conn.(*tls.Conn).ConnectionState()
	_ = conn.Close()
	<-dialled
	if err := errors.Join(serverErr, clientErr); err != nil {
		return "", err
	}
	return state.PeerCertificates[0].DNSNames[0], nil
}

// opaque is a key that can sign and can't be read, as in a TPM.
type opaque struct{ crypto.Signer }

func (k opaque) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.Signer.Sign(random, digest, opts)
}

func TestKeyThatCannotBeReadSignsForTheCA(t *testing.T) {
	ca := newCA(t)
	ca.Key = opaque{ca.Key}
	leaf := issue(t, ca, client("rear-seat"))
	if err := leaf.Certificate.CheckSignatureFrom(ca.Certificate); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeIssuedIsRefused(t *testing.T) {
	ca := newCA(t)
	for _, c := range []struct {
		name, want string
		leaf       Leaf
	}{
		{"no name", "no name", Leaf{Use: Client, Lifetime: year}},
		{"no use", "want Server or Client", Leaf{Name: "rear-seat", Lifetime: year}},
		{"no lifetime", "want more than zero", Leaf{Name: "rear-seat", Use: Client}},
		{"server without a name to verify", "want a DNS name or an IP", Leaf{Name: "head unit", Use: Server, Lifetime: year}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ca.Issue(c.leaf)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := NewCA("", year); err == nil {
		t.Error("a CA without a name")
	}
	if _, err := NewCA("vehicle CA", -time.Second); err == nil {
		t.Error("a CA that ended before it began")
	}
}
