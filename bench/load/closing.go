package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// close ends all connections, waits for everything that the run started, and
// removes what it left at the broker.
func (r *run) close() error {
	r.end()
	r.meter.stop()
	r.closing.Store(true)
	close(r.done)
	clients := r.clients()
	for _, c := range clients {
		_ = c.socket.SetDeadline(time.Now().Add(goodbyeWithin))
	}
	for _, c := range clients {
		_, _ = c.socket.Write(disconnect) // it may be gone
	}
	r.readers.Wait() // the broker closes, or the deadline passes
	for _, c := range clients {
		_ = c.socket.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectWithin)
	defer cancel()
	return errors.Join(r.removeSessions(ctx), r.removeRetained(ctx))
}

// clients are the connections that were made.
func (r *run) clients() (list []*client) {
	for _, p := range r.publishers {
		if p.client != nil {
			list = append(list, p.client)
		}
	}
	for _, s := range r.subscribers {
		if s.client != nil {
			list = append(list, s.client)
		}
	}
	return list
}

func (r *run) removeSessions(ctx context.Context) error {
	return each(len(r.subscribers), func(i int) error {
		s := r.subscribers[i]
		if !s.session {
			return nil
		}
		c, err := r.o.connect(ctx, s.label, s.id, passing) // ends the old session [MQTT-3.1.2-6]
		if err != nil {
			return fmt.Errorf("the session %s may be left at the broker: %w", s.id, err)
		}
		c.goodbye()
		return nil
	})
}

func (r *run) removeRetained(ctx context.Context) error {
	if !r.t.Retain || !r.begun {
		return nil
	}
	c, err := r.o.connect(ctx, "cleaner", r.o.ClientID+"-cleaner", passing)
	if err != nil {
		return fmt.Errorf("retained messages below %s may be left at the broker: %w", r.o.Prefix, err)
	}
	defer c.goodbye()
	for _, p := range r.publishers {
		body := append(binary.BigEndian.AppendUint16(nil, uint16(len(p.topic))), p.topic...)
		if r.o.Version == 5 {
			body = append(body, 0) // no properties
		}
		packet := append(appendLength([]byte{publishByte | retainFlag}, len(body)), body...)
		if _, err := c.socket.Write(packet); err != nil {
			return fmt.Errorf("retained messages below %s may be left at the broker: %w", r.o.Prefix, err)
		}
	}
	return nil
}

// ping keeps the connections alive until the run ends.
func (r *run) ping(clients []*client) {
	r.readers.Go(func() {
		ticker := time.NewTicker(pingInterval(clients))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-r.done:
				return
			}
			for _, c := range clients {
				if _, err := c.socket.Write(pingreq); err != nil && !r.closing.Load() {
					r.fail(fmt.Errorf("%s: %w", c.name, err))
				}
			}
		}
	})
}

// pingInterval is half the shortest time that a connection may be silent.
func pingInterval(clients []*client) time.Duration {
	shortest := uint16(math.MaxUint16)
	for _, c := range clients {
		if c.keepAlive > 0 {
			shortest = min(shortest, c.keepAlive)
		}
	}
	return time.Duration(shortest) * time.Second / 2
}
