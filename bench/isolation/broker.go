package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// kind is a kind of broker that is disturbed.
type kind struct {
	brokers.Broker
	// config is its configuration: ports of loopback, a folder of its own that has
	// cert.pem and key.pem in it.
	config func(c scenario, port, tlsPort int, dir string) string
}

// findBrokers gives the kinds with those names.
func findBrokers(ctx context.Context, fascia, names string) (kinds []kind, err error) {
	for name := range strings.SplitSeq(names, ",") {
		var k kind
		switch name {
		case "fascia":
			k.config = fasciaConfig
			k.Broker, err = brokers.Fascia(ctx, fascia)
		case "mosquitto":
			k.config = mosquittoConfig
			k.Broker, err = brokers.Mosquitto(ctx)
		default:
			err = fmt.Errorf("-brokers %s: want some of fascia,mosquitto", name)
		}
		if err != nil {
			return nil, err
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

func fasciaConfig(c scenario, port, tlsPort int, dir string) string {
	text := fmt.Sprintf("data_dir: %s\nbroker:\n  limits: {%s}\n  listeners:\n", dir, c.limits)
	text += fmt.Sprintf("    - {name: local, address: \"127.0.0.1:%d\", auth: [anonymous]}\n", port)
	text += fmt.Sprintf("    - {name: tls, address: \"127.0.0.1:%d\", auth: [anonymous], tls: {cert: %s, key: %s}}\n",
		tlsPort, filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	return text
}

func mosquittoConfig(_ scenario, port, tlsPort int, dir string) string {
	text := "allow_anonymous true\nlog_type error\nmax_queued_messages 0\nmax_queued_bytes 0\n"
	if os.Geteuid() == 0 {
		text += "user root\n" // else it changes to one that may not read our folder
	}
	return text + fmt.Sprintf("listener %d 127.0.0.1\nlistener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n",
		port, tlsPort, filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
}

// process is a broker that runs.
type process struct {
	*brokers.Process
	tls string // host and port of its listener for TLS
}

// start starts a broker and waits until it listens.
func (k *kind) start(ctx context.Context, c scenario, dir string) (*process, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeCertificate(dir); err != nil {
		return nil, err
	}
	ports, err := brokers.FreePorts(2)
	if err != nil {
		return nil, err
	}
	p, err := k.Start(ctx, dir, k.config(c, ports[0], ports[1], dir), ports[0])
	if err != nil {
		return nil, err
	}
	return &process{p, fmt.Sprintf("127.0.0.1:%d", ports[1])}, nil
}
