package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Idle is a load of connections that do nothing.
type Idle struct {
	// Connections is how many there are.
	Connections int
	// Hold is how long they are held before the broker's memory is read, so that
	// what connecting took can be given back.
	Hold time.Duration
}

// Validate says what is wrong with a load.
func (i *Idle) Validate() error {
	if i.Connections < 1 {
		return fmt.Errorf("%d connections: want 1 or more", i.Connections)
	}
	if i.Hold < 0 {
		return fmt.Errorf("hold for %s: want 0 or more", i.Hold)
	}
	return nil
}

// IdleResult is what idle connections cost the broker.
type IdleResult struct {
	// Connections is how many were held, all of them alive at the end.
	Connections int `json:"connections"`
	// ConnectSeconds is how long it took to open them, a few at a time.
	ConnectSeconds float64 `json:"connect_seconds"`
	// IdleSeconds is how long they were held.
	IdleSeconds float64 `json:"idle_seconds"`
	// Interrupted tells that they were held for less time than asked for.
	Interrupted bool `json:"interrupted,omitempty"`
	// MemoryBefore and MemoryAfter are the broker's resident memory in bytes
	// without and with the connections, 0 if it isn't known.
	MemoryBefore uint64 `json:"memory_before_bytes,omitempty"`
	MemoryAfter  uint64 `json:"memory_after_bytes,omitempty"`
	// PerConnection is the difference in bytes for each connection.
	PerConnection float64 `json:"bytes_per_connection,omitempty"`
	// Cores is how many processors the broker kept busy meanwhile, nil if it isn't
	// known.
	Cores *float64 `json:"cores,omitempty"`
}

// RunIdle opens connections, holds them, and closes them again. Every one must
// answer a ping at the end. When ctx ends they are held no longer.
func RunIdle(ctx context.Context, o Options, idle Idle) (*IdleResult, error) {
	if err := errors.Join(o.validate(), idle.Validate()); err != nil {
		return nil, err
	}
	m := newMeter(o, func() counts { return counts{} })
	defer m.stop()
	clients := make([]*client, idle.Connections)
	var open atomic.Int64
	begin := clock()
	err := each(len(clients), func(i int) (err error) {
		clients[i], err = o.connect(ctx, fmt.Sprintf("connection %d", i), fmt.Sprintf("%s-idle%d", o.ClientID, i), passing)
		if err == nil {
			m.connections.Add(1)
			open.Add(1)
		}
		return err
	})
	defer leave(clients)
	if err != nil {
		return nil, fmt.Errorf("with %d of %d connections open: %w", open.Load(), len(clients), err)
	}
	opened := m.sample()
	m.enter("idle")
	held, err := hold(ctx, clients, idle.Hold)
	if err != nil {
		return nil, err
	}
	end := m.sample()
	result := &IdleResult{
		Connections:    len(clients),
		ConnectSeconds: opened.seconds(sample{at: begin}),
		IdleSeconds:    end.seconds(opened),
		Interrupted:    !held,
		MemoryBefore:   m.memory.Idle,
		MemoryAfter:    m.resident(),
	}
	if result.MemoryBefore > 0 && result.MemoryAfter > 0 {
		result.PerConnection = (float64(result.MemoryAfter) - float64(result.MemoryBefore)) / float64(len(clients))
	}
	if used := cpu(opened.broker, end.broker, 1, result.IdleSeconds); used != nil {
		result.Cores = &used.Cores
	}
	return result, each(len(clients), func(i int) error {
		if err := clients[i].ping(); err != nil {
			return fmt.Errorf("connection %d did not last: %w", i, err)
		}
		return nil
	})
}

// hold waits, and pings where a connection has to be kept alive. It reports
// whether the time was over.
func hold(ctx context.Context, clients []*client, d time.Duration) (bool, error) {
	end := time.NewTimer(d)
	defer end.Stop()
	ticker := time.NewTicker(pingInterval(clients))
	defer ticker.Stop()
	for {
		select {
		case <-end.C:
			return true, nil
		case <-ctx.Done():
			return false, nil
		case <-ticker.C:
			err := each(len(clients), func(i int) error { return clients[i].ping() })
			if err != nil {
				return false, errors.Join(errors.New("a connection did not last"), err)
			}
		}
	}
}

// leave closes the connections that came about.
func leave(clients []*client) {
	_ = each(len(clients), func(i int) error { // goodbye has no error
		if clients[i] != nil {
			clients[i].goodbye()
		}
		return nil
	})
}
