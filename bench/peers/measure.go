package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/bench/load"
)

// at are the options of a load on a broker.
func at(p *brokers.Process) load.Options {
	made := strings.ToLower(rand.Text()[:8])
	return load.Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", p.Address)
		},
		Version: 4, ClientID: "peers-" + made, Prefix: "bench/" + made, Process: p.PID(),
	}
}

// messages is a load of messages by mqttload, or by our own engine without it.
func messages(tool string, t load.Traffic) func(context.Context, *brokers.Process) (map[string]float64, error) {
	if tool == "" {
		return engine(t)
	}
	return func(ctx context.Context, p *brokers.Process) (map[string]float64, error) {
		args := []string{
			"-json", "-a", p.Address, "-pid", fmt.Sprint(p.PID()), "-mode", string(t.Shape),
			"-pubs", fmt.Sprint(t.Publishers), "-subs", fmt.Sprint(t.Subscribers), "-qos", fmt.Sprint(t.QoS),
			"-size", fmt.Sprint(t.Size), "-rate", fmt.Sprint(t.Rate), "-window", fmt.Sprint(t.Window),
			"-credits", fmt.Sprint(t.Credits), "-d", t.Duration.String(), "-t", "bench/mqttload",
		}
		// It waits for ever for a message or an acknowledgement that does not come.
		ctx, cancel := context.WithTimeout(ctx, t.Duration+time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, tool, args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("mqttload %s: %w: %s", strings.Join(args, " "), err, stderr.String())
		}
		var told map[string]float64
		if err := json.Unmarshal(stdout.Bytes(), &told); err != nil {
			return nil, fmt.Errorf("mqttload: %w", err)
		}
		figures := map[string]float64{
			"delivered": told["msgs_per_s"], "cpu": told["cpu_us_per_msg"], "p50": told["p50_us"], "p99": told["p99_us"],
		}
		if lost := told["lost"]; lost > 0 && t.QoS > 0 {
			return figures, fmt.Errorf("%.0f messages of QoS %d did not come", lost, t.QoS)
		}
		return figures, nil
	}
}

// buildTool builds mqttload and gives the binary.
func buildTool(ctx context.Context, source, dir string) (string, error) {
	binary := filepath.Join(dir, "mqttload")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("-mqttload %s: %w: %s", source, err, out)
	}
	return binary, nil
}

// engine is a load of messages by the engine of fascia bench.
func engine(t load.Traffic) func(context.Context, *brokers.Process) (map[string]float64, error) {
	return func(ctx context.Context, p *brokers.Process) (map[string]float64, error) {
		r, err := load.RunTraffic(ctx, at(p), t)
		if err != nil {
			return nil, err
		}
		if r.Interrupted {
			return nil, context.Canceled
		}
		figures := map[string]float64{"delivered": r.DeliveredRate, "acknowledged": r.AcknowledgedRate}
		if r.Broker != nil {
			figures["cpu"] = r.Broker.PerMessage
		}
		if r.Latency != nil {
			figures["p50"], figures["p99"] = r.Latency.P50, r.Latency.P99
		}
		if r.Memory != nil {
			figures["memory"] = float64(r.Memory.Peak - r.Memory.Idle)
		}
		if r.Drained != nil {
			figures["drained"] = r.Drained.Rate
		}
		if len(r.Broken) > 0 {
			return figures, errors.New(strings.Join(r.Broken, "; "))
		}
		return figures, nil
	}
}

// settle is how long idle connections are held before memory is read.
const settle = 3 * time.Second

func idle(connections int) func(context.Context, *brokers.Process) (map[string]float64, error) {
	return func(ctx context.Context, p *brokers.Process) (map[string]float64, error) {
		r, err := load.RunIdle(ctx, at(p), load.Idle{Connections: connections, Hold: settle})
		if err != nil {
			return nil, err
		}
		return map[string]float64{"before": float64(r.MemoryBefore), "connection": r.PerConnection}, nil
	}
}
