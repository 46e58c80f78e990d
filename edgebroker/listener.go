package edgebroker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/auth"
)

const (
	interfacePoll = time.Second // between looks at an interface's addresses
	acceptFirst   = 5 * time.Millisecond
	acceptLast    = time.Second
	spareConns    = 16 // connections over the limit that are told so
)

// listener is one entry of the configuration: the sockets it is bound to and
// how a connection is greeted there.
type listener struct {
	b       *Broker
	cfg     *ListenerConfig
	methods []string
	certs   *certificates // nil without TLS

	mu      sync.Mutex              // guards what follows
	sockets map[string]net.Listener // by address
	serving bool
	closed  bool
}

// ListenerInfo is where a listener is bound.
type ListenerInfo struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // "mqtt", "websocket", "unix"
	TLS      bool   `json:"tls"`
	Address  string `json:"address"` // host:port, or the path of a Unix socket
}

func newListener(b *Broker, cfg *ListenerConfig) (*listener, error) {
	l := &listener{b: b, cfg: cfg, methods: cfg.methods(), sockets: make(map[string]net.Listener)}
	if cfg.TLS != nil {
		certs, err := newCertificates(cfg, b.log)
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w", cfg.Name, err)
		}
		l.certs = certs
	}
	return l, nil
}

// Listeners tells where clients connect now. An interface has one entry for
// each of its addresses, and none while it has none.
func (b *Broker) Listeners() []ListenerInfo {
	var list []ListenerInfo
	for _, l := range b.listeners {
		l.mu.Lock()
		for _, socket := range l.sockets {
			list = append(list, ListenerInfo{
				Name:     l.cfg.Name,
				Protocol: l.cfg.Protocol,
				TLS:      l.certs != nil,
				Address:  socket.Addr().String(),
			})
		}
		l.mu.Unlock()
	}
	return list
}

// bind opens the sockets that can be opened now.
func (l *listener) bind() error {
	switch {
	case l.cfg.Protocol == protocolUnix:
		return l.open(l.cfg.Socket, func() (net.Listener, error) { return listenUnix(l.cfg) })
	case l.cfg.Address != "":
		return l.open(l.cfg.Address, func() (net.Listener, error) { return net.Listen("tcp", l.cfg.Address) })
	}
	return l.follow()
}

// follow binds the addresses that the interface has now and lets go of those
// that it has no more.
func (l *listener) follow() error {
	wanted := interfaceAddresses(l.cfg.Interface, l.cfg.Port)
	l.mu.Lock()
	for address, socket := range l.sockets {
		if !wanted[address] {
			_ = socket.Close()
			delete(l.sockets, address)
		}
	}
	l.mu.Unlock()
	var failed error
	for address := range wanted {
		err := l.open(address, func() (net.Listener, error) { return net.Listen("tcp", address) })
		failed = errors.Join(failed, err)
	}
	return failed
}

// interfaceAddresses are host:port for each address of an interface; none
// while there is no such interface.
func interfaceAddresses(name string, port int) map[string]bool {
	wanted := make(map[string]bool)
	nic, err := net.InterfaceByName(name)
	if err != nil || nic.Flags&net.FlagUp == 0 {
		return wanted
	}
	addresses, _ := nic.Addrs() // gone since: the next look finds it
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		host := network.IP.String()
		if network.IP.IsLinkLocalUnicast() && network.IP.To4() == nil {
			host += "%" + name
		}
		wanted[net.JoinHostPort(host, strconv.Itoa(port))] = true
	}
	return wanted
}

// open binds one address unless it is bound already.
func (l *listener) open(address string, listen func() (net.Listener, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.sockets[address] != nil {
		return nil
	}
	socket, err := listen()
	if err != nil {
		return fmt.Errorf("listener %q on %s: %w", l.cfg.Name, address, err)
	}
	l.sockets[address] = socket
	if l.serving {
		l.accept(socket)
	}
	return nil
}

// serve starts accepting on what is bound, and following an interface.
func (l *listener) serve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serving = true
	for _, socket := range l.sockets {
		l.accept(socket)
	}
	if l.cfg.Interface != "" {
		l.b.workers.Go(l.watch)
	}
}

func (l *listener) watch() {
	ticker := time.NewTicker(interfacePoll)
	defer ticker.Stop()
	for {
		select {
		case <-l.b.stop.Done():
			return
		case <-ticker.C:
			if err := l.follow(); err != nil {
				// An IPv6 address can't be bound while it is tentative.
				l.b.noise.warn(l.b.log, "interface not bound yet", "error", err)
			}
		}
	}
}

// accept takes connections of one socket until it is closed. Running out of
// file descriptors and the like pass: only the pause grows.
func (l *listener) accept(socket net.Listener) {
	l.b.workers.Go(func() {
		pause := acceptFirst
		for {
			nc, err := socket.Accept()
			switch {
			case err == nil:
				pause = acceptFirst
				l.admit(nc)
				continue
			case errors.Is(err, net.ErrClosed):
				return
			}
			l.b.noise.warn(l.b.log, "accepting failed", "listener", l.cfg.Name, "error", err)
			select {
			case <-time.After(pause):
			case <-l.b.stop.Done():
				return
			}
			pause = min(2*pause, acceptLast)
		}
	})
}

// admit counts a connection and greets it on a goroutine of its own.
func (l *listener) admit(nc net.Conn) {
	b := l.b
	b.counters.accepted.Add(1)
	if b.counters.connections.Add(1) > int64(b.cfg.Limits.Connections+spareConns) {
		b.counters.connections.Add(-1)
		b.counters.refused.Add(1)
		_ = nc.Close()
		return
	}
	b.workers.Go(func() {
		defer b.counters.connections.Add(-1)
		deadline := time.Now().Add(time.Duration(b.cfg.Limits.ConnectTimeout))
		socket, cred, err := l.greet(nc, deadline)
		if err != nil {
			hangUp(nc)
			b.counters.refused.Add(1)
			b.log.Debug("handshake failed", "listener", l.cfg.Name, "remote", remoteName(nc), "error", err)
			return
		}
		c := newConn(b, l, socket, cred)
		b.conns.add(c)
		defer b.conns.remove(c)
		c.serve(deadline)
	})
}

// greet does the handshakes below MQTT: TLS, WebSocket, the peer's credentials
// of a Unix socket. The deadline holds for all of it, and so does Close.
func (l *listener) greet(nc net.Conn, deadline time.Time) (socket net.Conn, cred auth.Credentials, err error) {
	if err := nc.SetDeadline(deadline); err != nil {
		return nil, cred, err
	}
	ctx, cancel := context.WithDeadline(l.b.stop, deadline)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	socket = nc
	if l.certs != nil {
		secured, chain, err := l.certs.handshake(ctx, nc)
		if err != nil {
			return nil, cred, fmt.Errorf("TLS: %w", err)
		}
		socket, cred.Chain = secured, chain
	}
	switch l.cfg.Protocol {
	case protocolWebSocket:
		socket, err = upgrade(socket, l.cfg.Origins, l.certs != nil)
	case protocolUnix:
		cred.Peer, err = peerOf(nc)
	}
	return socket, cred, err
}

func (l *listener) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for address, socket := range l.sockets {
		_ = socket.Close()
		delete(l.sockets, address)
	}
}
