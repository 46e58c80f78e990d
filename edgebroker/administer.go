package edgebroker

import (
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Errors of Kick and Purge. They are wrapped with the client id.
var (
	ErrNoSession    = errors.New("there is no such session")
	ErrNotConnected = errors.New("it is not connected")
	ErrConnected    = errors.New("it is connected")
)

// Kick ends the connection of a client, which hears reason 0x98 (administrative
// action) in version 5; its session stays, and it may come back. It returns when
// the connection has left its session. The error wraps ErrNoSession or
// ErrNotConnected.
func (b *Broker) Kick(client string) error {
	b.sessions.mu.Lock()
	s := b.sessions.byID[client]
	if s == nil {
		b.sessions.mu.Unlock()
		return fmt.Errorf("client %q: %w", client, ErrNoSession)
	}
	owner := s.owner
	b.sessions.mu.Unlock()
	if owner == nil {
		return fmt.Errorf("client %q: %w", client, ErrNotConnected)
	}
	owner.end(wire.Administrative)
	<-owner.detached
	return nil
}

// Purge ends the session of a client, connected or not, with its subscriptions
// and its queue; its will is sent. It returns how many messages were in the queue
// and not acknowledged. The error wraps ErrNoSession.
func (b *Broker) Purge(client string) (messages int, err error) {
	return b.purge(client, false)
}

// PurgeAbsent is Purge for a client that is not connected, else the error wraps
// ErrConnected.
func (b *Broker) PurgeAbsent(client string) (messages int, err error) {
	return b.purge(client, true)
}

func (b *Broker) purge(client string, absent bool) (messages int, err error) {
	for {
		b.sessions.mu.Lock()
		s := b.sessions.byID[client]
		switch {
		case s == nil:
			err = ErrNoSession
		case absent && s.owner != nil:
			err = ErrConnected
		}
		if err != nil {
			b.sessions.mu.Unlock()
			return 0, fmt.Errorf("client %q: %w", client, err)
		}
		s.mu.Lock()
		s.purged = true
		s.mu.Unlock()
		owner, others := s.owner, s.ending
		if owner == nil && others == nil {
			s.ending = make(chan struct{})
		}
		b.sessions.mu.Unlock()
		switch {
		case owner != nil:
			owner.end(wire.Administrative)
			<-owner.detached
		case others != nil:
			<-others
		default:
			b.forget(s)
			b.sessions.remove(s)
		}
		s.mu.Lock()
		ended, lost := s.ended, s.lost
		s.mu.Unlock()
		if ended {
			return lost, nil
		} // else its connection was not accepted yet, and the session is as before
	}
}
