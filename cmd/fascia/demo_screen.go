package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/gateway"
)

const (
	renewEvery = 500 * time.Millisecond
	clearLine  = "\r\x1b[K"
)

// demoScreen prints where to connect and then what the car does: a line that
// renews itself at the bottom of a terminal, a single line elsewhere. The log
// shares the terminal with it.
type demoScreen struct {
	out, err io.Writer
	terminal bool

	mu   sync.Mutex // guards the writers and the field below
	line string     // at the bottom, "" without one
}

func newDemoScreen(out, err io.Writer) *demoScreen {
	return &demoScreen{out: out, err: err, terminal: gateway.IsTerminal(out)}
}

// log is a writer for whole lines of the log, which go above the live line.
func (s *demoScreen) log() io.Writer {
	f, ok := s.err.(*os.File)
	if !ok || !s.terminal || !gateway.IsTerminal(f) {
		return s.err
	}
	return logAbove{f, s}
}

type logAbove struct {
	*os.File // standard error: a terminal
	s        *demoScreen
}

func (l logAbove) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.line == "" {
		return l.File.Write(p)
	}
	fmt.Fprint(l.s.out, clearLine)
	n, err := l.File.Write(p)
	fmt.Fprint(l.s.out, l.s.line)
	return n, err
}

// run greets once the gateway is up and the car has values, and renews the line
// until ctx ends.
func (s *demoScreen) run(ctx context.Context, g *gateway.Gateway) {
	if !s.awaitValues(ctx, g) {
		return
	}
	s.print(demoGreeting(g))
	line, _ := demoLine(g)
	if !s.terminal {
		s.print(line + "\n")
		return
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		s.show(line)
		select {
		case <-ctx.Done():
			s.show("")
			return
		case <-tick.C:
			line, _ = demoLine(g)
		}
	}
}

func (s *demoScreen) awaitValues(ctx context.Context, g *gateway.Gateway) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, ok := demoLine(g); ok && g.Ready() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func (s *demoScreen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(s.out, text)
}

// show renews the line at the bottom, cut to the width: a line that wraps would
// not be cleared whole.
func (s *demoScreen) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			runes := []rune(line)
			line = string(runes[:min(len(runes), int(size.Col)-1)])
		}
	}
	s.line = line
	fmt.Fprint(s.out, clearLine, line)
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
	dir := filepath.Dir(cfg.Control.Socket)
	fmt.Fprintf(&b, "  Metrics     http://%s/metrics\n", cfg.Metrics.Listen)
	fmt.Fprintf(&b, "  Files       %s\n", dir)
	url, socket := "", ""
	if port != "1883" {
		url = " --url mqtt://" + net.JoinHostPort(host, port)
	}
	if cfg.Control.Socket != demoSocket() {
		socket = " --socket " + cfg.Control.Socket
	}
	fmt.Fprintf(&b, "\nWatch it from another terminal:\n\n  %s sub%s 'vss/#'\n", self(), url)
	fmt.Fprintf(&b, "  mosquitto_sub -h %s -p %s -t 'vss/#' -v\n", host, port)
	fmt.Fprintf(&b, "  %s status%s\n", self(), socket)
	b.WriteString(demoBridgeText(cfg.Bridge))
	b.WriteString("\nCtrl-C ends it.\n\n")
	return b.String()
}

// demoLine is what the car does right now; false before its first values.
func demoLine(g *gateway.Gateway) (string, bool) {
	number := func(path string) (float64, bool) {
		r, ok := g.State().Get(path)
		n, isNumber := r.Value.Number()
		return n, ok && isNumber
	}
	speed, hasSpeed := number("Vehicle.Speed")
	charge, hasCharge := number("Vehicle.Powertrain.TractionBattery.StateOfCharge.Current")
	angle, hasAngle := number("Vehicle.Chassis.SteeringWheel.Angle")
	return fmt.Sprintf("Vehicle.Speed %5.1f km/h   battery %4.1f %%   steering wheel %4.0f°   clients %d",
		speed, charge, angle, g.Clients()), hasSpeed && hasCharge && hasAngle
}

// self is how the user called this program.
func self() string {
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0]
	}
	return "fascia"
}
