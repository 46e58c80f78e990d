package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// needs is what a row asks of the brokers beyond their defaults.
type needs int

const (
	nothing needs = iota
	// room is for a backlog: persistence on, and queues without a limit.
	room
	// durable is room, and where a broker can do it, a message is on disk before it
	// is acknowledged.
	durable
)

// broker is one that is compared.
type broker struct {
	brokers.Broker
	// config is its configuration: a port of loopback, a folder of its own.
	config func(n needs, port int, dir string) string
}

// ours is the broker that the others are compared with.
const ours = "fascia"

// findBrokers gives mosquitto, ours, and FlashMQ where it is installed.
func findBrokers(ctx context.Context, fascia string) ([]broker, error) {
	own, err := brokers.Fascia(ctx, fascia)
	if err != nil {
		return nil, err
	}
	mosquitto, err := brokers.Mosquitto(ctx)
	if err != nil {
		return nil, err
	}
	found := []broker{{mosquitto, mosquittoConfig}, {own, fasciaConfig}}
	if flashmq, err := brokers.FlashMQ(ctx); err == nil {
		found = append(found, broker{flashmq, flashmqConfig})
	}
	return found, nil
}

// start starts a broker and waits until it listens.
func (b *broker) start(ctx context.Context, n needs, dir string) (*brokers.Process, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := brokers.FreePorts(1)
	if err != nil {
		return nil, err
	}
	return b.Start(ctx, dir, b.config(n, ports[0], dir), ports[0])
}

func fasciaConfig(n needs, port int, dir string) string {
	text := fmt.Sprintf("data_dir: %s\nbroker:\n  listeners: [{name: local, address: \"127.0.0.1:%d\", auth: [anonymous]}]\n", dir, port)
	if n >= room {
		text += "  limits: {session_messages: 20000000, session_bytes: 8GiB}\n"
	}
	if n == durable {
		text += "  durability: {sync: always}\n"
	}
	return text
}

func mosquittoConfig(n needs, port int, dir string) string {
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nlog_type error\nlog_type warning\n", port)
	if os.Geteuid() == 0 {
		text += "user root\n" // else it changes to one that may not write into our folder
	}
	if n >= room {
		text += fmt.Sprintf("persistence true\npersistence_location %s/\nmax_queued_messages 0\nmax_queued_bytes 0\n", dir)
	}
	return text
}

func flashmqConfig(n needs, port int, dir string) string {
	text := fmt.Sprintf("allow_anonymous true\nquiet true\nlog_file %s/flashmq.log\nlisten {\n  protocol mqtt\n  inet_protocol ip4\n  inet4_bind_address 127.0.0.1\n  port %d\n}\n", dir, port)
	if n >= room {
		text += fmt.Sprintf("storage_dir %s\nmax_qos_msg_pending_per_client 65535\nmax_qos_bytes_pending_per_client 1073741824\n", dir)
	}
	return text
}
