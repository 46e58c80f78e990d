package edgebroker

import (
	"context"
	"errors"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/listen"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// expiryInterval is how often expiries and delayed wills are looked for; they
// come in whole seconds.
const expiryInterval = time.Second

// Listen binds every listener. The error names the listener and its address
// and wraps the system's (syscall.EADDRINUSE for one that is taken); what was
// bound is closed again. An interface without addresses is no error: it is
// waited for.
func (b *Broker) Listen() error { return b.listeners.Listen() }

// Listeners tells where clients connect now. An interface has one entry for
// each of its addresses, and none while it has none.
func (b *Broker) Listeners() []listen.Info { return b.listeners.Info() }

// Serve starts to accept clients and returns at once; Close ends what it
// starts. A second call does nothing. Receivers that are to hear of the clients of
// an earlier process have subscribed before.
func (b *Broker) Serve() {
	b.serving.Do(func() {
		b.mournClients()
		b.expire(clock.Now()) // wills are due before their clients are back
		b.listeners.Serve(b.serve)
		b.workers.Go(b.keepHouse)
		b.workers.Go(func() { b.gather.Run(b.stop) })
	})
}

// serve runs one connection to its end.
func (b *Broker) serve(socket *listen.Conn) {
	c, err := newConn(b, socket)
	if err != nil {
		_ = socket.Close()
		b.log.Debug("connection is gone", "remote", socket.Remote(), "error", err)
		return
	}
	b.conns.add(c)
	defer b.conns.remove(c)
	c.serve()
}

// Close stops accepting, tells version 5 clients that the server shuts down
// (reason 0x8B), writes what is on its way and waits for everything the broker
// started. When ctx ends first, the connections left are cut and its error is
// returned.
func (b *Broker) Close(ctx context.Context) error {
	b.halt()
	b.listeners.Close()
	for _, c := range b.conns.all() {
		c.end(wire.ShuttingDown)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.listeners.Wait()
		b.awaitCompletions() // one may be about to start a worker, which Wait must not miss
		b.workers.Wait()
		b.awaitCompletions() // of what workers committed
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range b.conns.all() {
		_ = c.socket.Close()
	}
	<-done
	return errors.Join(errors.New("broker: connections were cut before they had ended"), ctx.Err())
}

func (b *Broker) keepHouse() {
	expiry := time.NewTicker(expiryInterval)
	defer expiry.Stop()
	var renew <-chan time.Time
	if every := time.Duration(b.cfg.SysInterval); every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		renew = ticker.C
		b.publishState()
	}
	for {
		select {
		case <-b.stop.Done():
			return
		case <-renew:
			b.publishState()
		case <-expiry.C:
			b.expire(clock.Now())
		}
	}
}

func (b *Broker) expire(at clock.Time) {
	b.expireRetained(at)
	b.expireSessions(at)
	b.wakeGroups()
}
