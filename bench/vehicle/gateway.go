package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/canbus"
)

// process is a gateway that runs on a configuration of its own.
type process struct {
	binary  string
	cmd     *exec.Cmd
	dir     string
	address string   // of its MQTT listener
	buses   []string // host:port of each
}

// start writes the configuration and waits until every bus is active.
func start(o options) (*process, error) {
	dir, err := os.MkdirTemp("", "fascia-bench-")
	if err != nil {
		return nil, err
	}
	g := &process{binary: o.fascia, dir: dir}
	if err := g.write(o); err != nil {
		return nil, err
	}
	g.cmd = exec.Command(o.fascia, "run", "-c", filepath.Join(dir, "fascia.yaml"))
	if log, err := os.Create(filepath.Join(dir, "log")); err == nil {
		g.cmd.Stderr = log
		defer log.Close() // the process has its own
	}
	if err := g.cmd.Start(); err != nil {
		return nil, err
	}
	for range 500 {
		if buses, err := g.status(); err == nil && !slices.ContainsFunc(buses, func(b canbus.BusStatus) bool { return !b.Active() }) {
			return g, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	return nil, errors.Join(fmt.Errorf("%s does not get its buses up:\n%s", o.fascia, text), g.stop())
}

func (g *process) write(o options) error {
	var config strings.Builder
	port, err := free("tcp")
	if err != nil {
		return err
	}
	g.address = port
	fmt.Fprintf(&config, "data_dir: data\nbroker:\n  listeners: [{name: local, address: %q, auth: [anonymous]}]\ncan:\n  mapping: [mapping.yaml]\n  buses:\n", g.address)
	for i := range o.buses {
		to, err := free("udp")
		if err != nil {
			return err
		}
		g.buses = append(g.buses, to)
		fmt.Fprintf(&config, "    - {name: can%d, source: \"udp://%s\", dbc: [vehicle.dbc]}\n", i, to)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(g.dir, "fascia.yaml"), []byte(config.String()), 0o600),
		os.WriteFile(filepath.Join(g.dir, "vehicle.dbc"), []byte(database(slowMessages(o))), 0o600),
		os.WriteFile(filepath.Join(g.dir, "mapping.yaml"), []byte(mapping(o.buses, slowMessages(o), o.paths)), 0o600))
}

// free is an address of this machine that nobody has.
func free(network string) (string, error) {
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		return c.LocalAddr().String(), c.Close()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// status tells of the buses.
func (g *process) status() ([]canbus.BusStatus, error) {
	out, err := exec.Command(g.binary, "status", "--json", "-c", filepath.Join(g.dir, "fascia.yaml")).Output()
	if err != nil {
		return nil, fmt.Errorf("%s status: %w", g.binary, err)
	}
	var status struct {
		Buses []canbus.BusStatus `json:"buses"`
	}
	err = json.Unmarshal(out, &status)
	return status.Buses, err
}

// totals are the frames that all buses have received, those that were decoded,
// and those that were lost before that.
func (g *process) totals() (frames, decoded, dropped uint64, err error) {
	buses, err := g.status()
	for _, b := range buses {
		frames, decoded, dropped = frames+b.Frames, decoded+b.Decoded, dropped+b.Dropped
	}
	return frames, decoded, dropped, err
}

func (g *process) stop() error {
	err := errors.Join(g.cmd.Process.Signal(syscall.SIGTERM), g.cmd.Wait())
	return errors.Join(err, os.RemoveAll(g.dir))
}
