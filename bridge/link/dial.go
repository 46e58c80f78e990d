package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsentLimit is how much the kernel takes of what was not sent yet, in bytes: what
// stands there can't be overtaken by something more urgent.
const unsentLimit = 64 << 10

// dialer opens byte streams to far brokers.
type dialer struct {
	config   *Config
	proxy    *url.URL // nil for none
	files    certificates
	alpn443  []string
	resolver *net.Resolver // nil for the system's
	in, out  atomic.Uint64 // bytes of TCP payload since the start
}

func newDialer(c *Config, o *Options) (*dialer, error) {
	proxy, err := parseProxy(c.Proxy)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return &dialer{
		config:   c,
		proxy:    proxy,
		files:    certificates{files: &c.TLS, signer: o.Signer, resumable: tls.NewLRUClientSessionCache(0)},
		alpn443:  o.ALPN443,
		resolver: o.resolver,
	}, nil
}

// open goes all the way to e, short of MQTT, and tells watch each step.
func (d *dialer) open(ctx context.Context, e endpoint, watch observer) (net.Conn, error) {
	conn, err := d.reach(ctx, e, watch)
	if err != nil {
		return nil, err
	}
	over := conn
	if e.secure {
		over, err = d.encrypt(ctx, over, e, watch)
	}
	if err == nil && e.path != "" {
		over, err = d.upgrade(ctx, over, e, watch)
	}
	if err != nil {
		_ = conn.Close() // it is of no use, and the error says more
		return nil, err
	}
	return over, nil
}

// reach gives the TCP connection, through the proxy if there is one.
func (d *dialer) reach(ctx context.Context, e endpoint, watch observer) (net.Conn, error) {
	if d.proxy == nil {
		return d.dial(ctx, e.address(), watch)
	}
	conn, err := d.dial(ctx, d.proxy.Host, watch)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	over, err := d.tunnel(ctx, conn, e, watch)
	if err != nil {
		_ = conn.Close() // as in open
		return nil, err
	}
	return over, nil
}

// dial makes a TCP connection. Both address families are tried side by side
// (RFC 8305), as net.Dialer does.
func (d *dialer) dial(ctx context.Context, address string, watch observer) (conn net.Conn, err error) {
	network := "tcp"
	switch d.config.Family {
	case "ipv4":
		network = "tcp4"
	case "ipv6":
		network = "tcp6"
	}
	dialer := net.Dialer{
		Resolver: d.resolver,
		// TCP's own keep-alive would wake a modem every 15 s; MQTT's is the configured one.
		KeepAlive:      -1,
		ControlContext: d.tune,
	}
	ctx = httptrace.WithClientTrace(ctx, watch.resolving())
	err = d.step(ctx, watch, "connect", func(ctx context.Context) (string, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return "", err
		}
		conn = &counted{Conn: c, in: &d.in, out: &d.out}
		return c.RemoteAddr().String(), nil
	})
	return conn, err
}

// tune sets a socket up before it connects.
func (d *dialer) tune(_ context.Context, _, _ string, raw syscall.RawConn) (err error) {
	controlled := raw.Control(func(fd uintptr) {
		if d.config.Interface != "" {
			if err = unix.BindToDevice(int(fd), d.config.Interface); err != nil {
				err = fmt.Errorf("interface %s: %w", d.config.Interface, err)
				return
			}
		}
		// The kernel knows best what a dead peer is: sent, and never confirmed (RFC 5482).
		patience := int(time.Duration(d.config.PingTimeout).Milliseconds())
		if err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, patience); err != nil {
			return
		}
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
	})
	if controlled != nil {
		return controlled
	}
	return err
}

// counted counts the bytes of a TCP connection, whatever is spoken in it.
type counted struct {
	net.Conn
	in, out *atomic.Uint64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(uint64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(uint64(n))
	return n, err
}

// Step is one step of connecting.
type Step struct {
	Name   string        // resolve, connect (resolve is a part of it), proxy, tls, websocket, mqtt
	Detail string        // what came of it
	Took   time.Duration // how long it took
	Err    error         // why it failed
}

// observer is told the steps; nil for nobody.
type observer func(Step)

// step does one step in the time that a step has.
func (d *dialer) step(ctx context.Context, watch observer, name string, do func(context.Context) (detail string, err error)) error {
	limit := time.Duration(d.config.ConnectTimeout)
	late := fmt.Errorf("no answer within %s", limit)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	began := time.Now()
	detail, err := do(ctx)
	if err != nil {
		switch { // these tell more than a timed-out read does
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case time.Since(began) >= limit: // the socket's timer was faster than the context's
			err = late
		}
		err = fmt.Errorf("%s: %w", name, err)
	}
	if watch != nil {
		watch(Step{name, detail, time.Since(began), err})
	}
	return err
}

// resolving tells of a look-up inside a dial.
func (watch observer) resolving() *httptrace.ClientTrace {
	if watch == nil {
		return &httptrace.ClientTrace{}
	}
	var began time.Time
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { began = time.Now() },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			list := make([]string, len(info.Addrs))
			for i, a := range info.Addrs {
				list[i] = a.String()
			}
			watch(Step{"resolve", strings.Join(list, " "), time.Since(began), info.Err})
		},
	}
}

// during does what blocks on conn until ctx ends; then conn is of no more use.
func during(ctx context.Context, conn net.Conn, do func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // whoever waits returns at once
	err := do()
	if !stop() && err == nil {
		err = context.Cause(ctx) // the deadline is set, or about to be
	}
	return err
}
