package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/soak/outage"
)

// The names of the subjects.
const (
	ours = "fascia"
	peer = "mosquitto"
	none = "bare publisher"
)

// subject is a local broker with a bridge.
type subject struct {
	name    string
	program brokers.Broker
	// config of the broker, whose bridge leads to an address; nil for a publisher that
	// publishes to the far side itself.
	config func(to string) func(port int, dir string) string
	// wake tells it that the network is up; nil where nothing can.
	wake func(ctx context.Context, dir string) error
}

func mosquittoBridge(program brokers.Broker) subject {
	return subject{name: peer, program: program, config: outage.MosquittoBridge}
}

// bare is the far broker without a bridge before it.
func bare(program brokers.Broker) subject { return subject{name: none, program: program} }

// fasciaBridge is ours. Its back-off is as a vehicle's would be; the peer's is a second
// or two, the least it has.
func fasciaBridge(program brokers.Broker) subject {
	return subject{
		name:    ours,
		program: program,
		config: func(to string) func(port int, dir string) string {
			return func(port int, dir string) string {
				return fmt.Sprintf(`vehicle: {vin: KMHGN4JE0FU000001, thing: vehicle}
data_dir: %s/data
control: {socket: %s/control}
broker:
  listeners: [{name: local, address: "127.0.0.1:%d", auth: [anonymous]}]
bridge:
  links:
    - name: far
      url: mqtt://%s
      window: 1000
      backoff: {min: 1m, max: 2m}
      spool: {size: 2GiB}
      rules:
        - {direction: up, local: "up/#", remote: "far/${1}", qos: 1}
`, dir, dir, port, to)
			}
		},
		wake: func(ctx context.Context, dir string) error {
			out, err := program.Command(ctx, "link", "up", "--socket", dir+"/control").CombinedOutput()
			if err != nil {
				return fmt.Errorf("fascia link up: %w: %s", err, strings.TrimSpace(string(out)))
			}
			return nil
		},
	}
}
