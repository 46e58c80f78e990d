package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// tickEvery is how often a client does what it does by itself.
	tickEvery = 10 * time.Millisecond
	// redialAfter is the pause after an attempt to connect failed.
	redialAfter = 20 * time.Millisecond
	// connackWithin is the time for an answer to CONNECT.
	connackWithin = 30 * time.Second

	sessionExpiry = 24 * 3600 // seconds
)

// Reason codes of MQTT 5.
const (
	reasonSuccess   = 0x00
	reasonFailure   = 0x80 // and above
	reasonShutDown  = 0x8B
	reasonTakenOver = 0x8E
)

// client is what every client has: its connection's life, which ends by the
// broker's death or by its own whim, and its own side of the session, which
// does not. One goroutine owns it.
type client struct {
	id      string
	version byte
	ledger  *ledger
	phases  *phases
	dial    func(ctx context.Context) (net.Conn, error)
	random  *rand.Rand

	// brief ends the session with the connection.
	brief bool
	// away is how long it stays away at most between visits, while the run is
	// restless.
	away time.Duration
	// until, if it is set, has to be true before the client comes back.
	until func() bool
	// visit is how long a connection lives on average while the run is restless;
	// 0: until the broker ends it.
	visit time.Duration

	link      *link // nil while there is none
	asked     bool  // a CONNECT was sent once
	confirmed bool  // a CONNACK was read once: the session must be there
	requests  uint16
}

// phases are the parts of a run. Each channel is closed when its part begins.
type phases struct {
	calm  chan struct{} // no more whims: clients stay connected and hurry
	quiet chan struct{} // nothing new is published, but for rounds
}

func begun(phase chan struct{}) bool {
	select {
	case <-phase:
		return true
	default:
		return false
	}
}

// session is what differs between clients. Its methods are called by the one
// goroutine that owns the client.
type session interface {
	// connecting completes the CONNECT.
	connecting(pk *packets.Packet)
	// connected follows a CONNACK: what was not acknowledged is sent again.
	connected(ack *packets.Packet)
	// handle takes a packet of the broker.
	handle(pk *packets.Packet)
	// tick comes every tickEvery; false ends the visit.
	tick() bool
	// leaving follows the end of a connection, by the client's own whim or not;
	// it is closed after.
	leaving(whim bool)
}

// run connects again and again until ctx ends.
func (c *client) run(ctx context.Context, s session) {
	var before *link // left open, for the next connection to take over
	for ctx.Err() == nil {
		ack, err := c.connect(ctx, s)
		if before != nil {
			before.close()
			before = nil
		}
		if err != nil {
			c.sleep(ctx, redialAfter)
			continue
		}
		s.connected(ack)
		whim := c.serve(ctx, s)
		s.leaving(whim)
		if whim && c.away == 0 && c.until == nil && c.random.IntN(2) == 0 {
			before, c.link = c.link, nil
			continue
		}
		c.link.close()
		c.link = nil
		c.stayAway(ctx)
	}
	if before != nil {
		before.close()
	}
}

func (c *client) stayAway(ctx context.Context) {
	for c.until != nil && !c.until() && ctx.Err() == nil {
		c.sleep(ctx, redialAfter)
	}
	if c.away > 0 && !begun(c.phases.calm) {
		c.sleep(ctx, atMost(c.random, c.away))
	} else {
		c.sleep(ctx, redialAfter)
	}
}

func (c *client) sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// connect dials and waits for the CONNACK. It leaves c.link set if there is no
// error.
func (c *client) connect(ctx context.Context, s session) (*packets.Packet, error) {
	socket, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.link = newLink(socket, c.version)
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect.ClientIdentifier = c.id
	switch {
	case c.version == v3:
		pk.Connect.Clean = c.brief
	case !c.brief:
		pk.Connect.Clean = !c.confirmed
		pk.Properties.SessionExpiryInterval = sessionExpiry
		pk.Properties.SessionExpiryIntervalFlag = true
	}
	s.connecting(&pk)
	c.link.send(&pk)
	asked := c.asked
	c.asked = true
	ack, err := c.connack(ctx)
	if err != nil {
		c.link.close()
		c.link = nil
		return nil, err
	}
	c.checkPresent(ack.SessionPresent, asked)
	c.confirmed = true
	return ack, nil
}

func (c *client) connack(ctx context.Context) (*packets.Packet, error) {
	select {
	case pk, ok := <-c.link.packets:
		switch {
		case !ok:
			c.checkEnd()
			return nil, c.link.err
		case pk.FixedHeader.Type != packets.Connack || pk.ReasonCode != reasonSuccess:
			c.ledger.blame(illegal, c.id, -1, "CONNECT was answered by %s", describe(&pk))
			return nil, errors.New("refused")
		}
		return &pk, nil
	case <-time.After(connackWithin):
		c.ledger.blame(unanswered, c.id, -1, "CONNECT was not answered within %v", connackWithin)
		return nil, errors.New("no CONNACK")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// checkPresent compares Session Present with what the broker had confirmed.
func (c *client) checkPresent(present, asked bool) {
	clean := c.version == v5 && !c.confirmed
	switch {
	case present && (c.brief || clean):
		c.ledger.blame(invented, c.id, -1, "session present after a clean start or an expiry of 0")
	case present && !asked:
		c.ledger.blame(invented, c.id, -1, "session present at the first connection")
	case !present && c.confirmed && !c.brief:
		c.ledger.blame(forgotten, c.id, -1, "no session present")
	}
}

// serve runs one connection. It returns true if the client left by its own
// whim and the connection still stands.
func (c *client) serve(ctx context.Context, s session) (whim bool) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	var leave <-chan time.Time
	if c.visit > 0 {
		leave = time.After(time.Duration(c.random.ExpFloat64() * float64(c.visit)))
	}
	for {
		select {
		case pk, ok := <-c.link.packets:
			switch {
			case !ok:
				c.checkEnd()
				return false
			case pk.FixedHeader.Type == packets.Disconnect:
				if r := pk.ReasonCode; r != reasonShutDown && r != reasonTakenOver {
					c.ledger.blame(illegal, c.id, -1, "the broker disconnected: %s", describe(&pk))
				}
			default:
				s.handle(&pk)
			}
		case <-ticker.C:
			if !s.tick() {
				return false
			}
		case <-leave:
			leave = nil
			if !begun(c.phases.calm) {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// checkEnd blames a broker that sent what can't be read. Connections may end at
// any time.
func (c *client) checkEnd() {
	var bad malformed
	if errors.As(c.link.err, &bad) {
		c.ledger.blame(illegal, c.id, -1, "%v", bad)
	}
}

// unexpected blames a packet that makes no sense here.
func (c *client) unexpected(pk *packets.Packet) {
	c.ledger.blame(illegal, c.id, -1, "unexpected %s", describe(pk))
}

// request is a packet id for SUBSCRIBE or UNSUBSCRIBE, none of which is used
// for publishing by the same client.
func (c *client) request() uint16 {
	c.requests++
	if c.requests == 0 {
		c.requests = 1
	}
	return c.requests
}

func describe(pk *packets.Packet) string {
	return fmt.Sprintf("%s id %d reason 0x%02X %X", packets.PacketNames[pk.FixedHeader.Type], pk.PacketID, pk.ReasonCode, pk.ReasonCodes)
}

// dialTCP is the dial of clients on this machine.
func dialTCP(address string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}
