package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 20 * time.Second
	idleFor     = 90 * time.Second
)

// transport is one connection, kept while batches come.
func (t *Target) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: dialTimeout,
		DialTLSContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return t.dialTLS(ctx, dialer, network)
		},
		MaxIdleConns:       1,
		IdleConnTimeout:    idleFor,
		DisableCompression: true, // of answers
	}
}

// dialTLS reads the files and connects.
func (t *Target) dialTLS(ctx context.Context, dialer *net.Dialer, network string) (net.Conn, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.url.Hostname()}
	if file := t.config.TLS.CA; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.ca %s: want certificates in PEM", file)
		}
	}
	if file := t.config.TLS.Cert; file != "" {
		pair, err := tls.LoadX509KeyPair(file, t.config.TLS.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert %s with tls.key %s: %w", file, t.config.TLS.Key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	d := tls.Dialer{NetDialer: dialer, Config: c}
	return d.DialContext(ctx, network, address(t.url))
}

// counted is a body that counts what is read of it, and tells when nothing reads it
// any more.
type counted struct {
	in     *bytes.Reader
	out    atomic.Int64
	done   chan struct{}
	closed sync.Once
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.out.Add(int64(n))
	return n, err
}

// Close is called by the transport, always.
func (c *counted) Close() error {
	c.closed.Do(func() { close(c.done) })
	return nil
}

func (c *counted) sent() int64 { return c.out.Load() }
