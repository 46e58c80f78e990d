package main

import (
	"context"
	"errors"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/soak/streams"
)

// hourly is what AWS's whitepaper on connected vehicles has of one, in bytes an hour.
const hourly = 25_000_000_000

// steady puts messages in at the whitepaper's rate, which go out as they come.
func steady(ctx context.Context, o options, fascia brokers.Broker, dir string) (v values, err error) {
	c, err := open(ctx, fascia, dir, fed(toKinesis))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	close(c.far.open)
	f, err := streams.Feed(ctx, socketIn(c.gateway.Dir))
	if err != nil {
		return nil, err
	}
	message := noise(4 << 10)
	ctx, cancel := context.WithCancel(ctx)
	put := make(chan int64, 1)
	failed := make(chan error, 1)
	go func() {
		bytes, err := pour(ctx, f, message, hourly/3600)
		put <- bytes
		failed <- err
	}()
	cores := 0.
	if err = wait(ctx, o.warmUp()); err == nil {
		cores, _, err = c.cpu(func() error { return wait(ctx, o.duration) })
	}
	cancel()
	bytes := <-put
	if err := errors.Join(err, <-failed, f.End()); err != nil {
		return nil, err
	}
	return values{"cpu": cores}, c.far.has(context.WithoutCancel(ctx), bytes)
}

// pour puts messages in at a rate, in bytes a second, until ctx ends.
func pour(ctx context.Context, f *streams.Feeder, message []byte, rate int64) (bytes int64, err error) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	begun := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return bytes, nil
		}
		for due := int64(time.Since(begun).Seconds() * float64(rate)); bytes < due; bytes += int64(len(message)) {
			if err := f.Put(message); err != nil {
				return bytes, err
			}
		}
		if err := f.Flush(); err != nil {
			return bytes, err
		}
	}
}

func exportKinesis(ctx context.Context, o options, fascia brokers.Broker, dir string) (values, error) {
	return drain(ctx, o, fascia, dir, toKinesis)
}

func exportHTTP(ctx context.Context, o options, fascia brokers.Broker, dir string) (values, error) {
	return drain(ctx, o, fascia, dir, toHTTP)
}

// drain fills a stream while the far side does not answer, and then lets it.
func drain(ctx context.Context, o options, fascia brokers.Broker, dir, exporter string) (v values, err error) {
	c, err := open(ctx, fascia, dir, fed(exporter))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	message := noise(16 << 10)
	bytes := o.bytes / int64(len(message)) * int64(len(message))
	if err := c.fill(ctx, message, bytes); err != nil {
		return nil, err
	}
	// What is written last is synced by then.
	if err := wait(ctx, time.Second); err != nil {
		return nil, err
	}
	cores, took, err := c.cpu(func() error {
		close(c.far.open)
		return c.far.has(ctx, bytes)
	})
	if err != nil {
		return nil, err
	}
	rate := float64(bytes) / took.Seconds()
	return values{"core": rate / cores, "rate": rate}, nil
}
