package outage

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Network is the way from the vehicle to the far side, of which the vehicle knows
// only the address. Safe for concurrent use.
type Network struct {
	// Address is where the far side seems to listen, host:port.
	Address string

	upstream string

	mu    sync.Mutex // held while connections end or may come
	proxy *toxiproxy.Proxy
}

// quiet keeps toxiproxy from writing to the test's output: it logs every connection.
var quiet = sync.OnceFunc(func() { zerolog.SetGlobalLevel(zerolog.Disabled) })

// NewNetwork leads to upstream, host:port, from a free port of loopback. Close ends
// it.
func NewNetwork(upstream string) (*Network, error) {
	quiet()
	n := &Network{Address: "127.0.0.1:0", upstream: upstream}
	if err := n.Calm(); err != nil {
		return nil, err
	}
	n.Address = n.proxy.Listen
	return n, nil
}

// Cut ends all connections; new ones are refused until Mend.
func (n *Network) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proxy.Stop()
}

// Mend lets connections through again, with the disturbances that there are.
func (n *Network) Mend() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proxy.Enabled {
		return nil
	}
	return n.proxy.Start()
}

// Drop ends all connections; new ones come up at once.
func (n *Network) Drop() error {
	n.Cut()
	return n.Mend()
}

// Close is Cut, for good.
func (n *Network) Close() { n.Cut() }

// Calm takes every disturbance away, and ends the connections that had them: what a
// toxic holds back would else come at once.
func (n *Network) Calm() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proxy != nil {
		n.proxy.Stop()
	}
	// A proxy of its own: toxiproxy waits for ever to take a toxic from a connection
	// that ended with something under way.
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n.proxy = toxiproxy.NewProxy(server, "cellular", n.Address, n.upstream)
	if err := n.proxy.Start(); err != nil {
		return fmt.Errorf("network to %s: %w", n.upstream, err)
	}
	return nil
}

// Disturb adds a toxic of that kind to both directions, with the attributes that
// toxiproxy's documents name. The connections that stand have it too.
func (n *Network) Disturb(kind string, attributes map[string]int) error {
	for _, direction := range []string{"upstream", "downstream"} {
		if err := n.DisturbOne(direction, kind, attributes); err != nil {
			return err
		}
	}
	return nil
}

// DisturbOne is Disturb for one direction: "upstream" is away from the vehicle.
func (n *Network) DisturbOne(direction, kind string, attributes map[string]int) error {
	text, err := json.Marshal(map[string]any{"type": kind, "stream": direction, "attributes": attributes})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(string(text))); err != nil {
		return fmt.Errorf("toxic %s: %w", text, err)
	}
	return nil
}

// Blackhole lets nothing through any more and tells nobody, as a tunnel does: the
// connections stand, and new ones come up to where nothing answers.
func (n *Network) Blackhole() error { return n.Disturb("timeout", map[string]int{"timeout": 0}) }

// Delay adds to both directions, half of the round trip each, in milliseconds.
func (n *Network) Delay(ms int) error { return n.Disturb("latency", map[string]int{"latency": ms}) }

// Narrow lets through that many thousand bytes a second each way.
func (n *Network) Narrow(kilobytes int) error {
	return n.Disturb("bandwidth", map[string]int{"rate": kilobytes})
}

// Tear ends each connection after that many bytes from the vehicle, wherever in a
// packet that is.
func (n *Network) Tear(bytes int) error {
	return n.DisturbOne("upstream", "limit_data", map[string]int{"bytes": bytes})
}

// Reset answers the next bytes of each connection from the vehicle with a TCP reset.
func (n *Network) Reset() error {
	return n.DisturbOne("upstream", "reset_peer", map[string]int{"timeout": 0})
}

// FreePort is a port of loopback that stays free: below the range from which the
// kernel gives ports to clients, where one that dials a dead broker could come to
// talk to itself.
func FreePort() (int, error) {
	const first, ports = 10_000, 20_000
	for range 100 {
		port := first + rand.IntN(ports)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d", first, first+ports)
}
