package gateway

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/streammgr"
)

// reloadResult is how the last reload went.
type reloadResult struct {
	At    time.Time `json:"at,omitzero"`
	Error string    `json:"error,omitempty"`
}

// Reload reads the configuration and the files it names again and takes over
// what changed: roles and identities, mappings, DBC files, which messages are
// published whole and which are watched, the bridge, streams, and the log level.
// It is all or nothing: with any error, or a change to anything else, the gateway
// goes on as it was, and the error says why.
func (g *Gateway) Reload() error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	l, err := g.load(g.Config())
	if err == nil {
		err = g.bridge.Use(l.config.Bridge) // the only one that may refuse, so the first
	}
	result := reloadResult{At: time.Now()}
	if err != nil {
		result.Error = err.Error()
		g.log.Error("reload refused; everything goes on as it was", "error", err)
	} else {
		setLevel(&g.level, l.config.Log.Level)
		g.broker.SetPolicy(l.policy)
		g.policy.Store(l.policy)
		g.buses.Use(l.plan)
		if g.streams != nil {
			g.streams.Use(*l.config.Streams)
		}
		g.logWarnings(l.warnings)
		g.log.Info("configuration reloaded", "config", g.file)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastReload = result
	if err == nil {
		g.config, g.warnings = l.config, l.warnings
	}
	return err
}

// refuseFixed names every section that differs and can't be changed while the
// gateway runs.
func refuseFixed(old, new *Config) error {
	var errs []error
	for _, section := range []struct {
		name     string
		old, new any
	}{
		{"vehicle", old.Vehicle, new.Vehicle},
		{"data_dir", old.DataDir, new.DataDir},
		{"control", old.Control, new.Control},
		{"log.format", old.Log.Format, new.Log.Format},
		{"stop_timeout", old.StopTimeout, new.StopTimeout},
		{"store", old.Store, new.Store},
		{"time", old.Time, new.Time},
		{"broker", old.Broker, new.Broker},
		{"can.buses (names and sources)", fixedBuses(old.CAN), fixedBuses(new.CAN)},
		{"can.record", old.CAN.Record, new.CAN.Record},
		{"audit", old.Audit, new.Audit},
		{"metrics", old.Metrics, new.Metrics},
	} {
		if !reflect.DeepEqual(section.old, section.new) {
			errs = append(errs, fixed(section.name))
		}
	}
	if err := bridge.Fixed(old.Bridge, new.Bridge); err != nil {
		errs = append(errs, fmt.Errorf("bridge.links: %w", err))
	}
	if err := streammgr.Fixed(old.Streams, new.Streams); err != nil {
		errs = append(errs, fmt.Errorf("streams: %w", err))
	}
	return errors.Join(errs...)
}

func fixedBuses(c canbus.Config) [][2]string {
	var buses [][2]string
	for _, b := range c.Buses {
		buses = append(buses, [2]string{b.Name, b.Source})
	}
	return buses
}
