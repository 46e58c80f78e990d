package edgebroker

import (
	"context"
	"errors"
	"time"
)

// expiryInterval is how often expiries and delayed wills are looked for; they
// come in whole seconds.
const expiryInterval = time.Second

// Listen binds every listener. The error names the listener and its address
// and wraps the system's (syscall.EADDRINUSE for one that is taken); what was
// bound is closed again. An interface without addresses is no error: it is
// waited for.
func (b *Broker) Listen() error {
	for _, l := range b.listeners {
		if err := l.bind(); err != nil {
			for _, bound := range b.listeners {
				bound.close()
			}
			return err
		}
	}
	return nil
}

// Serve starts to accept clients and returns at once; Close ends what it
// starts. A second call does nothing.
func (b *Broker) Serve() {
	b.serving.Do(func() {
		for _, l := range b.listeners {
			l.serve()
		}
		b.workers.Go(b.keepHouse)
	})
}

// Close stops accepting, tells version 5 clients that the server shuts down
// (reason 0x8B), writes what is on its way and waits for everything the broker
// started. When ctx ends first, the connections left are cut and its error is
// returned.
func (b *Broker) Close(ctx context.Context) error {
	b.halt()
	for _, l := range b.listeners {
		l.close()
	}
	for _, c := range b.conns.all() {
		c.end(reasonShuttingDown)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.workers.Wait()
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
			b.expire(now())
		}
	}
}

func (b *Broker) expire(at clock) {
	b.retained.expire(at)
	b.expireSessions(at)
}
