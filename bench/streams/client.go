package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/soak/streams"
)

// acknowledged is one client of the Stream Manager protocol that appends 1 kB and
// waits, again and again.
func acknowledged(ctx context.Context, o options, fascia brokers.Broker, dir string) (v values, err error) {
	ports, err := brokers.FreePorts(1)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprint("127.0.0.1:", ports[0])
	c, err := open(ctx, fascia, dir, func(string, string) string {
		return "streams: {listen: \"" + address + "\"}\n"
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	client, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.Create("drive", 8<<30, false); err != nil {
		return nil, err
	}
	payload := noise(1 << 10)
	var took []time.Duration
	for begun := time.Now(); time.Since(begun) < o.warmUp()+o.duration && ctx.Err() == nil; {
		asked := time.Now()
		if _, err := client.Append("drive", payload); err != nil {
			return nil, err
		}
		if time.Since(begun) > o.warmUp() {
			took = append(took, time.Since(asked))
		}
	}
	if len(took) == 0 {
		return nil, errors.Join(errors.New("nothing was acknowledged"), ctx.Err())
	}
	slices.Sort(took)
	return values{"p50": took[len(took)/2].Seconds(), "p99": took[len(took)*99/100].Seconds()}, nil
}

// dial waits for the port to be there.
func dial(ctx context.Context, address string) (*streams.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	for {
		client, err := streams.Dial(address)
		if err == nil {
			return client, nil
		}
		if wait(ctx, 5*time.Millisecond) != nil {
			return nil, err
		}
	}
}
