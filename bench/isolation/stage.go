package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/bench/load"
)

// stage is two brokers of a kind: the one that the calm pairs use, and another.
type stage struct {
	c            scenario
	o            options
	own, another *process
}

// setUp starts both brokers. Where it is the holding of many messages that is
// measured, the other one stays empty.
func setUp(ctx context.Context, c scenario, k kind, o options, dir string) (*stage, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s := &stage{c: c, o: o}
	for name, p := range map[string]**process{"own": &s.own, "another": &s.another} {
		var err error
		if *p, err = k.start(ctx, c, filepath.Join(dir, name)); err != nil {
			return nil, errors.Join(err, s.tearDown())
		}
		if c.fill && (name == "own" || c.disturb != "") {
			fmt.Fprintf(os.Stderr, "%s: fill %s\n", c.name, k.Name)
			if err := fill(ctx, (*p).Address, o.retained); err != nil {
				return nil, errors.Join(fmt.Errorf("retained messages: %w", err), s.tearDown())
			}
		}
	}
	return s, nil
}

func (s *stage) tearDown() error {
	var errs []error
	for _, p := range []*process{s.own, s.another} {
		if p != nil {
			errs = append(errs, p.Stop())
		}
	}
	return errors.Join(errs...)
}

// round measures each way once.
func (s *stage) round(ctx context.Context, m *measured) error {
	if s.c.disturb == "" {
		return errors.Join(s.calm(ctx, s.another, &m.alone, m), s.calm(ctx, s.own, &m.disturbed, m))
	}
	return errors.Join(
		s.calm(ctx, s.own, &m.alone, m),
		s.during(ctx, s.own, &m.disturbed, m),
		s.during(ctx, s.another, &m.elsewhere, m),
	)
}

// during is calm while a broker is disturbed.
func (s *stage) during(ctx context.Context, at *process, to *latencies, m *measured) error {
	address := at.Address
	if s.c.tls {
		address = at.tls
	}
	d, err := s.begin(ctx, address)
	if err != nil {
		return err
	}
	err = s.calm(ctx, s.own, to, m)
	did, stopped := d.stop()
	if at == s.own {
		m.did = did
	}
	return errors.Join(err, stopped)
}

// calm measures the latency of the calm pairs once.
func (s *stage) calm(ctx context.Context, p *process, to *latencies, m *measured) error {
	made := strings.ToLower(rand.Text()[:8])
	r, err := load.RunTraffic(ctx, load.Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
		},
		Version: 4, ClientID: "calm-" + made, Prefix: "calm/" + made,
	}, load.Traffic{
		Shape: load.Pair, Publishers: calmPairs, Subscribers: calmPairs, Size: calmSize, Rate: calmRate,
		Retain: s.c.retain, WarmUp: warmUp, Duration: s.o.duration, Drain: lateAfter,
	})
	switch {
	case err != nil:
		return fmt.Errorf("calm pairs: %w", err)
	case r.Interrupted || r.Latency == nil:
		return fmt.Errorf("calm pairs: interrupted")
	}
	if r.Lost != nil {
		m.lost += *r.Lost
	}
	to.p50, to.p99 = append(to.p50, r.Latency.P50), append(to.p99, r.Latency.P99)
	return nil
}
