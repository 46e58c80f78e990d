package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

// alertWithin is how long the alert behind a failed write may take.
const alertWithin = time.Second

// tls is the configuration that the flags ask for.
func (f *mqttFlags) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it; want PEM", f.caFile)
		}
	}
	if (f.cert == "") != (f.key == "") {
		return nil, usagef("--cert and --key go together")
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.cert, f.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// dialTLS connects and shakes hands.
func dialTLS(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin) // autopaho leaves that to who dials
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return tlsConn{conn}, nil
}

func webSocketDialer(_ *url.URL, config *tls.Config) *websocket.Dialer {
	dialer := *websocket.DefaultDialer
	dialer.Subprotocols = []string{"mqtt"} // [MQTT-6.0.0-3]
	dialer.NetDialTLSContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		return dialTLS(ctx, address, config)
	}
	return &dialer
}

// tlsConn tells why a write failed. In TLS 1.3 a server judges the client's
// certificate when the handshake is over for the client (RFC 8446 §4.4.3): its
// alert waits to be read, while a write finds a broken pipe.
type tlsConn struct{ net.Conn }

func (c tlsConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil || c.SetReadDeadline(time.Now().Add(alertWithin)) != nil {
		return n, err
	}
	_, readErr := c.Read(make([]byte, 1))
	var alert *net.OpError
	if errors.As(readErr, &alert) && alert.Op == "remote error" { // as crypto/tls calls it
		return n, alert
	}
	return n, err
}
