package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
)

const (
	buses           = 8
	framesPerSecond = 8000
)

// recordBuses sends the frames of a recorded drive over and over on all buses; a
// recording takes them, and its blocks go through a stream to Kinesis. Then once more
// without recording, for what receiving alone costs.
func recordBuses(ctx context.Context, o options, fascia brokers.Broker, dir string) (values, error) {
	frames, err := readDrive(o.drive)
	if err != nil {
		return nil, err
	}
	const recorded = `  record: [{name: all}]
streams:
  streams:
    - name: drive
      size: 1GiB
      feeds: [{recording: all}]
      exporters: [` + toKinesis + "]\n"
	v, err := onBuses(ctx, o, fascia, filepath.Join(dir, "recorded"), frames, recorded)
	if err != nil {
		return nil, err
	}
	only, err := onBuses(ctx, o, fascia, filepath.Join(dir, "received"), frames, "")
	if err == nil {
		v["received"] = only["cpu"]
	}
	return v, err
}

// readDrive is the frames of all buses of a recording.
func readDrive(name string) (frames []can.Frame, err error) {
	in, err := canlog.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	for in.Scan() {
		frames = append(frames, in.Record().Frame)
	}
	if len(frames) == 0 {
		return nil, errors.Join(fmt.Errorf("%s: no frames", name), in.Err())
	}
	return frames, in.Err()
}

// onBuses is the gateway's CPU with frames on all buses, how many a second were sent,
// and how many of them it did not get.
func onBuses(ctx context.Context, o options, fascia brokers.Broker, dir string, frames []can.Frame, more string) (v values, err error) {
	ports, err := brokers.FreePorts(buses)
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, fascia, dir, func(_, far string) string {
		var text strings.Builder
		text.WriteString("can:\n  buses:\n")
		for i, port := range ports {
			fmt.Fprintf(&text, "    - {name: can%d, source: \"udp://127.0.0.1:%d\"}\n", i, port)
		}
		if more != "" {
			fmt.Fprintf(&text, more, far)
		}
		return text.String()
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	close(c.far.open)
	if err := c.busesAreUp(ctx, fascia); err != nil {
		return nil, err
	}

	sending, stop := context.WithCancel(ctx)
	begun := time.Now()
	var running sync.WaitGroup
	sent := make([]uint64, buses)
	failed := make([]error, buses)
	for i, port := range ports {
		running.Go(func() { sent[i], failed[i] = sendFrames(sending, port, frames[i*len(frames)/buses:]) })
	}
	cores := 0.
	if err = wait(ctx, o.warmUp()); err == nil {
		cores, _, err = c.cpu(func() error { return wait(ctx, o.duration) })
	}
	stop()
	running.Wait()
	took := time.Since(begun)
	if err := errors.Join(append(failed, err, wait(ctx, 300*time.Millisecond))...); err != nil {
		return nil, err
	}
	all, err := c.buses(ctx, fascia)
	total, lost := uint64(0), uint64(0)
	for i, b := range all {
		total += sent[i]
		lost += sent[i] - b.Frames + b.Dropped
	}
	return values{"cpu": cores, "sent": float64(total) / took.Seconds(), "lost": float64(lost)}, err
}

// sendFrames sends frames in a circle at a bus's rate until ctx ends: a datagram each,
// those of a millisecond with one system call.
func sendFrames(ctx context.Context, port int, frames []can.Frame) (sent uint64, err error) {
	conn, err := net.Dial("udp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	packets := ipv4.NewPacketConn(conn.(*net.UDPConn))
	const frameSize, most = 16, framesPerSecond / 100 // struct can_frame
	batch := make([]ipv4.Message, most)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, frameSize)}
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	begun := time.Now()
	for {
		select {
		case <-ctx.Done():
			return sent, nil
		case <-ticker.C:
		}
		due := min(uint64(time.Since(begun).Seconds()*framesPerSecond)-sent, most)
		for i := range due {
			fr := &frames[(sent+i)%uint64(len(frames))]
			wire := batch[i].Buffers[0]
			binary.LittleEndian.PutUint32(wire, fr.ID)
			wire[4] = fr.Len
			copy(wire[8:], fr.Data[:8])
		}
		for rest := batch[:due]; len(rest) > 0; {
			n, err := packets.WriteBatch(rest, 0)
			if err != nil {
				return sent, fmt.Errorf("sending frames: %w", err)
			}
			rest = rest[n:]
		}
		sent += due
	}
}

// buses is how the gateway's buses are.
func (c *scene) buses(ctx context.Context, fascia brokers.Broker) ([]canbus.BusStatus, error) {
	out, err := fascia.Command(ctx, "status", "--json", "--socket", filepath.Join(c.gateway.Dir, "control")).Output()
	if err != nil {
		return nil, fmt.Errorf("fascia status: %w", err)
	}
	var status struct {
		Buses []canbus.BusStatus `json:"buses"`
	}
	err = json.Unmarshal(out, &status)
	return status.Buses, err
}

// busesAreUp waits until frames can come.
func (c *scene) busesAreUp(ctx context.Context, fascia brokers.Broker) error {
	for range 500 {
		all, err := c.buses(ctx, fascia)
		active := 0
		for _, b := range all {
			if b.Active() {
				active++
			}
		}
		if err == nil && active == buses {
			return nil
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the buses are not up: %s", c.gateway.Said())
}
