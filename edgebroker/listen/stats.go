package listen

import "sync/atomic"

// Info is where a listener is bound.
type Info struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // "mqtt", "websocket", "unix"
	TLS      bool   `json:"tls"`
	Address  string `json:"address"` // host:port, or the path of a Unix socket
}

// Info tells where clients connect now. An interface has one entry for each of
// its addresses, and none while it has none.
func (s *Set) Info() []Info {
	var list []Info
	for _, l := range s.listeners {
		l.mu.Lock()
		for _, socket := range l.sockets {
			list = append(list, Info{
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

// Stats are the counters of one listener since the start and its state of now.
type Stats struct {
	Listener string
	Open     int // connections that hold a place, CONNECT or not
	Accepted uint64
	Refused  map[string]uint64 // by reason: the name of a Limit, "handshake", "connect"
}

// counts are the running part of Stats.
type counts struct {
	accepted   atomic.Uint64
	over       [limitsCounted]atomic.Uint64
	handshakes atomic.Uint64 // failed
	connects   atomic.Uint64 // refused by the broker
}

// Stats are the listeners' counters, in the order of the configuration.
func (s *Set) Stats() []Stats {
	list := make([]Stats, 0, len(s.listeners))
	for _, l := range s.listeners {
		st := Stats{Listener: l.cfg.Name, Accepted: l.counts.accepted.Load(), Refused: map[string]uint64{
			"handshake": l.counts.handshakes.Load(),
			"connect":   l.counts.connects.Load(),
		}}
		for limit := AllListeners; limit < limitsCounted; limit++ {
			st.Refused[limit.String()] = l.counts.over[limit].Load()
		}
		s.places.mu.Lock()
		st.Open = l.held
		s.places.mu.Unlock()
		list = append(list, st)
	}
	return list
}

// Open is how many connections there are over all listeners, CONNECT or not,
// those that are over a limit and still to be told so among them.
func (s *Set) Open() int { return s.places.open() }

// Over tells which limit the connection is over, NoLimit if it has a place. It
// is asked when the CONNECT is there: a place that became free since is taken.
// It is not safe for concurrent use, nor after handle has returned.
func (c *Conn) Over() Limit {
	if c.from != nil && (c.over == AllListeners || c.over == OneListener) {
		c.over = c.from.set.places.retry(c.from)
	}
	return c.over
}

// Refused counts the connection as refused: by the limit that it is over, else
// by its CONNECT. It is called at most once, by the broker.
func (c *Conn) Refused() {
	switch {
	case c.from == nil:
	case c.over != NoLimit:
		c.from.counts.over[c.over].Add(1)
	default:
		c.from.counts.connects.Add(1)
	}
}
