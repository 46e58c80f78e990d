package listen

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// certificatePoll is the least time between looks at the certificate files.
const certificatePoll = time.Second

// certificates are a listener's TLS files, read again when they change.
type certificates struct {
	files *TLS
	auth  tls.ClientAuthType
	log   *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Config
	looked  time.Time
	stamps  [3]stamp // of cert, key, client_ca when they were last read
}

// stamp tells a changed file.
type stamp struct {
	modified time.Time
	size     int64
}

func newCertificates(cfg *Config, log *slog.Logger) (*certificates, error) {
	c := &certificates{files: cfg.TLS, log: log}
	methods := cfg.Methods()
	switch {
	case !slices.Contains(methods, MTLS):
		c.auth = tls.NoClientCert
	case len(methods) == 1:
		c.auth = tls.RequireAndVerifyClientCert
	default:
		c.auth = tls.VerifyClientCertIfGiven
	}
	c.stamps = c.look()
	current, err := c.load()
	if err != nil {
		return nil, err
	}
	c.current, c.looked = current, time.Now()
	return c, nil
}

// CheckFiles reads the certificate, key and CA files that the listener names
// and reports why they can't be used, nil if they can or there are none.
func (l *Config) CheckFiles() error {
	if l.TLS == nil {
		return nil
	}
	_, err := newCertificates(l, slog.Default())
	return err
}

// load reads the files. A new configuration also drops the session tickets of
// the old one, so no client resumes with a certificate that is trusted no more.
func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.files.Cert, c.files.Key, err)
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		ClientAuth:   c.auth,
	}
	if c.files.ClientCA != "" {
		pem, err := os.ReadFile(c.files.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("client_ca: %w", err)
		}
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("client_ca %s: want certificates in PEM, found none", c.files.ClientCA)
		}
	}
	return cfg, nil
}

// look takes the stamps of the files; a missing file has none.
func (c *certificates) look() (stamps [3]stamp) {
	for i, path := range []string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// config is the configuration of the files of now. Changed files that don't
// load leave the old one in place until they change again.
func (c *certificates) config() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificatePoll {
		return c.current
	}
	c.looked = time.Now()
	stamps := c.look()
	if stamps == c.stamps {
		return c.current
	}
	c.stamps = stamps
	fresh, err := c.load()
	if err != nil {
		c.log.Error("changed certificate files don't load, the old ones stay", "error", err)
		return c.current
	}
	c.log.Info("certificate files taken up", "cert", c.files.Cert)
	c.current = fresh
	return fresh
}

// handshake secures a connection; chain is the client's verified one, if it
// has shown any. It computes in its turn only.
func (c *certificates) handshake(nc net.Conn, turn *turn) (net.Conn, []*x509.Certificate, error) {
	socket := &turning{Conn: nc, turn: turn, left: handshakeLimit}
	defer func() {
		turn.giveBack()
		socket.turn = nil
	}()
	secured := tls.Server(socket, c.config())
	if err := secured.Handshake(); err != nil {
		return nil, nil, err
	}
	chains := secured.ConnectionState().VerifiedChains
	if len(chains) == 0 {
		if c.auth == tls.RequireAndVerifyClientCert {
			return nil, nil, errors.New("client has no certificate")
		}
		return secured, nil, nil
	}
	return secured, chains[0], nil
}
