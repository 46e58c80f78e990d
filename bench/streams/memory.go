package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/bench/load"
	"github.com/fascia-edge/fascia/soak/streams"
)

// largeStream fills a stream with 4 kB messages, and starts the gateway anew.
func largeStream(ctx context.Context, o options, fascia brokers.Broker, dir string) (v values, err error) {
	c, err := open(ctx, fascia, dir, fed(""))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	idle, err := c.memory(ctx, o)
	if err != nil {
		return nil, err
	}
	v = values{}
	if err := c.fill(ctx, noise(4<<10), o.backlog); err != nil {
		return v, err
	}
	filled, err := c.memory(ctx, o)
	if err != nil {
		return v, err
	}
	peak, err := mostMemory(c.gateway.PID())
	if err != nil {
		return v, err
	}
	v["filled"], v["peak"] = filled-idle, peak-idle
	if err := errors.Join(c.gateway.Stop(), c.gateway.Start(ctx)); err != nil {
		return v, err
	}
	started, err := c.memory(ctx, o)
	if err != nil {
		return v, err
	}
	v["started"] = started - idle
	return v, nil
}

// memory is that of a gateway whose streams are there and which does nothing.
func (c *scene) memory(ctx context.Context, o options) (float64, error) {
	f, err := streams.Feed(ctx, socketIn(c.gateway.Dir))
	if err != nil {
		return 0, err
	}
	if err := errors.Join(f.End(), wait(ctx, o.warmUp())); err != nil {
		return 0, err
	}
	resident, err := load.ResidentMemory(c.gateway.PID())
	return float64(resident), err
}

// mostMemory is the most that a process has had in RAM so far, in bytes (VmHWM of
// proc(5)).
func mostMemory(pid int) (float64, error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
	var kilobytes float64
	if _, err := fmt.Sscan(string(rest), &kilobytes); err != nil {
		return 0, fmt.Errorf("%s: VmHWM: %w", name, err)
	}
	return kilobytes * 1024, nil
}
