package listen

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/unixsocket"
)

const (
	interfacePoll = time.Second // between looks at an interface's addresses
	acceptFirst   = 5 * time.Millisecond
	acceptLast    = time.Second
)

// listener is one entry of the configuration: the sockets it is bound to and
// how a connection is greeted there.
type listener struct {
	set    *Set
	cfg    *Config
	certs  *certificates // nil without TLS
	counts counts

	held int  // places; guarded by Set.places
	pace pace // guarded by Set.places

	mu      sync.Mutex              // guards what follows
	sockets map[string]net.Listener // by address
	serving bool
	closed  bool
}

func newListener(s *Set, cfg *Config) (*listener, error) {
	l := &listener{set: s, cfg: cfg, pace: newPace(cfg.ConnectRate), sockets: make(map[string]net.Listener)}
	if cfg.TLS != nil {
		certs, err := newCertificates(cfg, s.log)
		if err != nil {
			return nil, err
		}
		l.certs = certs
	}
	return l, nil
}

// bind opens the sockets that can be opened now.
func (l *listener) bind() error {
	switch {
	case l.cfg.Protocol == protocolUnix:
		return l.open(l.cfg.Socket, func() (net.Listener, error) {
			mode, err := l.cfg.mode()
			if err != nil {
				return nil, err
			}
			return unixsocket.Listen(l.cfg.Socket, mode)
		})
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
		l.set.workers.Go(l.watch)
	}
}

func (l *listener) watch() {
	ticker := time.NewTicker(interfacePoll)
	defer ticker.Stop()
	for {
		select {
		case <-l.set.stop.Done():
			return
		case <-ticker.C:
			if err := l.follow(); err != nil {
				// An IPv6 address can't be bound while it is tentative.
				l.set.warn("interface not bound yet", "error", err)
			}
		}
	}
}

// accept takes connections of one socket until it is closed. Running out of
// file descriptors and the like pass: only the pause grows.
func (l *listener) accept(socket net.Listener) {
	l.set.workers.Go(func() {
		pause, pace := acceptFirst, acceptPace(l.certs != nil)
		for {
			if wait, _ := pace.next(time.Now()); wait > 0 && !l.set.sleep(wait) {
				return
			}
			nc, err := socket.Accept()
			switch {
			case err == nil:
				pause = acceptFirst
				l.admit(nc)
				continue
			case errors.Is(err, net.ErrClosed):
				return
			}
			l.set.warn("accepting failed", "listener", l.cfg.Name, "error", err)
			if !l.set.sleep(pause) {
				return
			}
			pause = min(2*pause, acceptLast)
		}
	})
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
