package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus/source"
	democonfig "github.com/fascia-edge/fascia/configs/demo"
	"github.com/fascia-edge/fascia/demo"
	"github.com/fascia-edge/fascia/gateway"
)

// demoBus is the name in virtual://demo of the demo's configuration.
const demoBus = "demo"

func newDemo() *cobra.Command {
	var dir string
	var ports demoPorts
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run the gateway of a simulated electric car",
		Long: `Run a whole gateway on a simulated car: its ECUs send CAN frames on a bus inside
the process, which are decoded and published like a real car's. Nothing leaves
the machine. The configuration it uses is written to the demo's folder: copy it
as a start for your own.`,
		Example: `  fascia demo
  fascia demo --port 1884
  fascia demo ecu --to udp://239.64.142.206:20000`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			file, err := writeDemoConfig(dir)
			if err != nil {
				return err
			}
			bus := source.NewVirtual()
			g, err := gateway.New(file, gateway.Options{
				Version: version,
				Stderr:  c.ErrOrStderr(),
				Virtual: map[string]*source.Virtual{demoBus: bus},
				Adjust: func(cfg *gateway.Config) {
					ports.apply(cfg)
					cfg.DataDir = filepath.Join(dir, "data")
					cfg.Control.Socket = filepath.Join(dir, "fascia.sock")
				},
			})
			if err != nil {
				return explain(err)
			}
			return runDemo(c.Context(), g, bus, c.OutOrStdout())
		},
	}
	fs := c.Flags()
	fs.StringVar(&dir, "dir", demoDir(), "folder of the demo's configuration and data")
	fs.Uint16Var(&ports.mqtt, "port", 0, "port of the MQTT listener (default: the configuration's 1883)")
	fs.Uint16Var(&ports.websocket, "websocket-port", 0, "port of the WebSocket listener (default: 8083)")
	fs.Uint16Var(&ports.metrics, "metrics-port", 0, "port of metrics and health (default: 9464)")
	_ = c.MarkFlagDirname("dir")
	c.AddCommand(newDemoECU())
	return c
}

// demoPorts are the ports given on the command line, 0 for the configuration's.
type demoPorts struct{ mqtt, websocket, metrics uint16 }

func (p demoPorts) apply(cfg *gateway.Config) {
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
func runDemo(ctx context.Context, g *gateway.Gateway, bus *source.Virtual, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	node := bus.Attach()
	defer func() { _ = node.Close() }()
	ecus := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		ecus <- demo.New(demo.Seed).Run(ctx, node)
		cancel(errors.New("the simulated car stopped"))
	}()
	go func() {
		defer close(gone)
		greet(ctx, g, out)
	}()
	err := serve(ctx, g)
	cancel(nil)
	<-gone
	if carErr := <-ecus; err == nil && !errors.Is(carErr, context.Canceled) {
		err = carErr
	}
	return err
}

// greet prints where to connect once the gateway is up, and then what the car
// does: a line that renews itself on a terminal, a single line elsewhere.
func greet(ctx context.Context, g *gateway.Gateway, out io.Writer) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	greeted := false
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		line, ok := demoLine(g)
		switch {
		case !g.Ready() || !ok:
		case !greeted:
			fmt.Fprint(out, demoGreeting(g), line)
			greeted = true
			if !gateway.IsTerminal(out) {
				fmt.Fprintln(out)
				return
			}
		case n%5 == 0:
			fmt.Fprint(out, "\r\x1b[K", line)
		}
	}
}

func demoGreeting(g *gateway.Gateway) string {
	var b strings.Builder
	cfg := g.Config()
	b.WriteString("A simulated electric car drives on a virtual CAN bus. Connect to it:\n\n")
	host, port := "127.0.0.1", "1883"
	for _, l := range cfg.Broker.Listeners {
		if l.Protocol == "websocket" {
			fmt.Fprintf(&b, "  WebSocket   ws://%s/mqtt\n", l.Address)
			continue
		}
		fmt.Fprintf(&b, "  MQTT        mqtt://%s\n", l.Address)
		host, port, _ = net.SplitHostPort(l.Address)
	}
	fmt.Fprintf(&b, "  Metrics     http://%s/metrics\n", cfg.Metrics.Listen)
	fmt.Fprintf(&b, "  Files       %s\n", filepath.Dir(cfg.Control.Socket))
	url := ""
	if port != "1883" {
		url = " --url mqtt://" + net.JoinHostPort(host, port)
	}
	fmt.Fprintf(&b, "\nWatch it from another terminal:\n\n  %s sub%s 'vss/#'\n", self(), url)
	fmt.Fprintf(&b, "  mosquitto_sub -h %s -p %s -t 'vss/#' -v\n\nCtrl-C ends it.\n\n", host, port)
	return b.String()
}

// demoLine is what the car does right now; false before its first values.
func demoLine(g *gateway.Gateway) (string, bool) {
	number := func(path string) (float64, bool) {
		r, ok := g.State().Get(path)
		n, isNumber := r.Value.Number()
		return n, ok && isNumber
	}
	speed, ok := number("Vehicle.Speed")
	charge, ok2 := number("Vehicle.Powertrain.TractionBattery.StateOfCharge.Current")
	angle, ok3 := number("Vehicle.Chassis.SteeringWheel.Angle")
	clients := g.Status().Clients.Connected
	return fmt.Sprintf("Vehicle.Speed %5.1f km/h   battery %4.1f %%   steering wheel %4.0f°   clients %d", speed, charge, angle, clients), ok && ok2 && ok3
}

// self is how the user called this program.
func self() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "fascia"
}

// demoDir is where the demo keeps its files, the same for `demo` and for who
// looks for its socket.
func demoDir() string {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "fascia-demo")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "fascia-demo")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("fascia-demo-%d", os.Getuid()))
}

func demoSocket() string { return filepath.Join(demoDir(), "fascia.sock") }

// writeDemoConfig writes the demo's own files to dir and returns the
// configuration's name.
func writeDemoConfig(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{democonfig.Config, democonfig.DBC, democonfig.Mapping} {
		text, err := democonfig.Files.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, democonfig.Config), nil
}
