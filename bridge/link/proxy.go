package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// proxyAnswerLimit is the largest answer of an HTTP proxy, in bytes.
const proxyAnswerLimit = 64 << 10

// tunnel asks the proxy at the other end of conn for a connection to e.
func (d *dialer) tunnel(ctx context.Context, conn net.Conn, e endpoint, watch observer) (net.Conn, error) {
	err := d.step(ctx, watch, "proxy", func(ctx context.Context) (string, error) {
		if d.proxy.Scheme == "https" {
			// Its certificate chains to the system's authorities or to those of the link.
			pool, err := d.files.pool(true)
			if err != nil {
				return "", err
			}
			encrypted := tls.Client(conn, &tls.Config{ServerName: d.proxy.Hostname(), RootCAs: pool, MinVersion: tls.VersionTLS12})
			if err := encrypted.HandshakeContext(ctx); err != nil {
				return "", err
			}
			conn = encrypted
		}
		ask := httpConnect
		if d.proxy.Scheme == "socks5" {
			ask = socksConnect
		}
		return d.proxy.Host, ask(ctx, conn, d.proxy, e.address())
	})
	return conn, err
}

// httpConnect asks an HTTP proxy (RFC 9110 §9.3.6).
func httpConnect(ctx context.Context, conn net.Conn, at *url.URL, address string) error {
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if at.User != nil {
		password, _ := at.User.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(at.User.Username() + ":" + password))
		request += "Proxy-Authorization: Basic " + credentials + "\r\n"
	}
	return during(ctx, conn, func() error {
		if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
			return err
		}
		in := bufio.NewReader(io.LimitReader(conn, proxyAnswerLimit))
		answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
		if err != nil {
			return err
		}
		defer answer.Body.Close() // an answer to CONNECT has none (RFC 9110 §9.3.6)
		switch {
		case answer.StatusCode == http.StatusProxyAuthRequired:
			return fmt.Errorf("%s refuses with %s: want USER:PASSWORD@ in proxy that it knows", at.Host, answer.Status)
		case answer.StatusCode/100 != 2:
			return fmt.Errorf("%s refuses with %s", at.Host, answer.Status)
		case in.Buffered() > 0:
			return errors.New("the proxy says more than its answer") // the far side never speaks first
		}
		return nil
	})
}

// socksConnect asks a SOCKS 5 proxy (RFC 1928), with user and password if there are
// (RFC 1929).
func socksConnect(ctx context.Context, conn net.Conn, at *url.URL, address string) error {
	var auth *proxy.Auth
	if at.User != nil {
		password, _ := at.User.Password()
		auth = &proxy.Auth{User: at.User.Username(), Password: password}
	}
	asker, err := proxy.SOCKS5("tcp", at.Host, auth, given{conn})
	if err != nil {
		return err
	}
	return during(ctx, conn, func() error {
		_, err := asker.Dial("tcp", address)
		return err
	})
}

// given is a proxy.Dialer that has dialled.
type given struct{ conn net.Conn }

func (g given) Dial(string, string) (net.Conn, error) { return g.conn, nil }
