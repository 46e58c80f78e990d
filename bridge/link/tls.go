package link

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// certificates are the files of a link's TLS, read at each connection: a changed one
// is taken up by itself.
type certificates struct {
	files  *TLS
	signer crypto.Signer // in place of files.Key; nil for none

	mu        sync.Mutex // guards what follows
	resumable tls.ClientSessionCache
	of        [sha256.Size]byte // the files that resumable's sessions began with
}

// encrypt is TLS to e. A session is resumed where the far side lets it, which saves
// kilobytes at each return from a tunnel.
func (d *dialer) encrypt(ctx context.Context, under net.Conn, e endpoint, watch observer) (net.Conn, error) {
	var over *tls.Conn
	err := d.step(ctx, watch, "tls", func(ctx context.Context) (string, error) {
		c, err := d.files.config()
		if err != nil {
			return "", err
		}
		c.NextProtos = d.config.TLS.ALPN
		if len(c.NextProtos) == 0 && e.port == "443" && e.path == "" {
			c.NextProtos = d.alpn443
		}
		if c.ServerName = d.config.TLS.ServerName; c.ServerName == "" {
			c.ServerName = e.host
		}
		over = tls.Client(under, c)
		if err := over.HandshakeContext(ctx); err != nil {
			return "", explain(err)
		}
		return described(over.ConnectionState()), nil
	})
	return over, err
}

// config reads the files.
func (c *certificates) config() (*tls.Config, error) {
	pool, err := c.pool(false)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if c.files.Cert != "" {
		pair, err := c.pair()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	config.ClientSessionCache = c.sessions(config.Certificates)
	return config, nil
}

// pool has the authorities to chain to: those of the file, and beside them the
// system's where asked for; nil for the system's alone.
func (c *certificates) pool(beside bool) (*x509.CertPool, error) {
	if c.files.CA == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if beside {
		if system, err := x509.SystemCertPool(); err == nil { // without one there is the file
			pool = system
		}
	}
	text, err := os.ReadFile(c.files.CA)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca %s: want certificates in PEM", c.files.CA)
	}
	return pool, nil
}

// pair is the vehicle's own certificate.
func (c *certificates) pair() (tls.Certificate, error) {
	if c.signer == nil {
		pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
		if err != nil {
			return pair, fmt.Errorf("certificate %s with key %s: %w", c.files.Cert, c.files.Key, err)
		}
		return pair, nil
	}
	text, err := os.ReadFile(c.files.Cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("cert: %w", err)
	}
	pair, err := chain(text, c.signer)
	if err != nil {
		return pair, fmt.Errorf("certificate %s: %w", c.files.Cert, err)
	}
	return pair, nil
}

// chain is a certificate whose key is elsewhere.
func chain(text []byte, key crypto.Signer) (tls.Certificate, error) {
	pair := tls.Certificate{PrivateKey: key}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			pair.Certificate = append(pair.Certificate, block.Bytes)
		}
	}
	if len(pair.Certificate) == 0 {
		return pair, errors.New("want certificates in PEM")
	}
	own, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return pair, err
	}
	public, comparable := own.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !comparable || !public.Equal(key.Public()) {
		return pair, errors.New("it is not that of the key")
	}
	pair.Leaf = own
	return pair, nil
}

// sessions are those that began with this certificate: with another one the far side
// is to see it.
func (c *certificates) sessions(own []tls.Certificate) tls.ClientSessionCache {
	hash := sha256.New()
	for _, pair := range own {
		for _, der := range pair.Certificate {
			hash.Write(der)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if of := [sha256.Size]byte(hash.Sum(nil)); of != c.of {
		c.resumable, c.of = tls.NewLRUClientSessionCache(0), of
	}
	return c.resumable
}

// explain adds to an error of TLS what to do about it. In TLS 1.3 a far side refuses
// a certificate only after the handshake, so that it shows when MQTT is read.
func explain(err error) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var alert *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w: the vehicle's clock says %s", err, time.Now().UTC().Format(time.RFC3339))
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: want its authority in tls.ca", err)
	case errors.As(err, &alert) && alert.Op == "remote error":
		return fmt.Errorf("the far side refuses: %w: check tls.cert and its end", alert.Err)
	}
	return err
}

func described(s tls.ConnectionState) string {
	parts := []string{tls.VersionName(s.Version)}
	if s.NegotiatedProtocol != "" {
		parts = append(parts, "ALPN "+s.NegotiatedProtocol)
	}
	if s.DidResume {
		parts = append(parts, "resumed")
	}
	if len(s.PeerCertificates) > 0 {
		until := s.PeerCertificates[0].NotAfter.UTC().Format(time.RFC3339)
		parts = append(parts, "certificate of "+s.PeerCertificates[0].Subject.CommonName+" until "+until)
	}
	return strings.Join(parts, ", ")
}
