package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/demo"
	"github.com/fascia-edge/fascia/gateway"
)

// demoBus is the name in virtual://demo of the demo's configuration.
const demoBus = "demo"

func newDemo() *cobra.Command {
	var (
		dir   string
		reset bool
		cloud string
		ports demoPorts
	)
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run the gateway of a simulated electric car",
		Long: `Run a whole gateway on a simulated car: its ECUs send CAN frames on a bus inside
the process, which are decoded and published like a real car's. Nothing leaves
the machine unless --bridge names a broker. Its configuration is written to the demo's folder, for you to look
at and to change; --reset writes it anew.`,
		Example: `  fascia demo
  fascia demo --port 1884      a second one, with ports and a folder of its own
  fascia demo --bridge mqtt://127.0.0.1:1884      its values go to that broker, in batches
  fascia demo ecu --to udp://239.64.142.206:20000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			reloads := catchReloads()
			defer reloads.stop()
			bridge, err := demoBridge(cloud)
			if err != nil {
				return err
			}
			if dir == "" {
				dir = demoDir(ports.mqtt)
			}
			file, err := prepareDemo(dir, reset)
			if err != nil {
				return err
			}
			screen := newDemoScreen(c.OutOrStdout(), c.ErrOrStderr())
			bus := source.NewVirtual()
			g, err := gateway.New(file, gateway.Options{
				Version: version,
				Stderr:  screen.log(),
				Virtual: map[string]*source.Virtual{demoBus: bus},
				Adjust: func(cfg *gateway.Config) {
					ports.apply(cfg)
					if cloud != "" {
						cfg.Bridge = bridge
					}
					cfg.DataDir = filepath.Join(dir, "data")
					cfg.Control.Socket = filepath.Join(dir, demoSocketName)
				},
			})
			if err != nil {
				return explain(err)
			}
			err = runDemo(c.Context(), g, bus, screen, reloads)
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%w\nStop that, or start this one elsewhere: %s demo --port 1884", err, self())
			}
			return err
		},
	}
	fs := c.Flags()
	fs.StringVar(&dir, "dir", "", "folder of the demo's configuration and data (default: below ~/.local/state)")
	fs.BoolVar(&reset, "reset", false, "write the demo's own configuration, DBC and mapping anew")
	fs.StringVar(&cloud, "bridge", "", "URL of a broker that the car's values go to, such as mqtt://127.0.0.1:1884")
	fs.Uint16Var(&ports.mqtt, "port", 0, "port of the MQTT listener (default 1883); the other two follow it")
	fs.Uint16Var(&ports.websocket, "websocket-port", 0, "port of the WebSocket listener (default 8083, or --port plus 1)")
	fs.Uint16Var(&ports.metrics, "metrics-port", 0, "port of metrics and health (default 9464, or --port plus 2)")
	_ = c.MarkFlagDirname("dir")
	c.AddCommand(newDemoECU())
	return c
}

// demoPorts are the ports given on the command line, 0 for the configuration's.
type demoPorts struct{ mqtt, websocket, metrics uint16 }

func (p demoPorts) apply(cfg *gateway.Config) {
	if p.mqtt != 0 && p.websocket == 0 {
		p.websocket = p.mqtt + 1
	}
	if p.mqtt != 0 && p.metrics == 0 {
		p.metrics = p.mqtt + 2
	}
	for i := range cfg.Broker.Listeners {
		l := &cfg.Broker.Listeners[i]
		if l.Protocol == "websocket" {
			l.Address = withPortNumber(l.Address, p.websocket)
		} else {
			l.Address = withPortNumber(l.Address, p.mqtt)
		}
	}
	cfg.Metrics.Listen = withPortNumber(cfg.Metrics.Listen, p.metrics)
}

func withPortNumber(address string, port uint16) string {
	host, _, err := net.SplitHostPort(address)
	if port == 0 || err != nil {
		return address
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// runDemo runs gateway and ECUs side by side until one of them ends.
func runDemo(ctx context.Context, g *gateway.Gateway, bus *source.Virtual, screen *demoScreen, asked reloads) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	node := bus.Attach()
	ecus := make(chan error, 1)
	shown := make(chan struct{})
	car := demo.New(demo.Seed)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for node.Receive() {
			car.Receive(node.Frame())
		}
	}()
	defer func() { _ = node.Close(); <-heard }()
	go func() {
		ecus <- car.Run(ctx, node)
		cancel()
	}()
	go func() {
		defer close(shown)
		screen.run(ctx, g)
	}()
	err := serve(ctx, g, asked)
	cancel()
	<-shown
	if carErr := <-ecus; err == nil && !errors.Is(carErr, context.Canceled) {
		err = carErr
	}
	return err
}
