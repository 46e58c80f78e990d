package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/streammgr"
	"github.com/fascia-edge/fascia/vehicle"
)

// newStreams makes the streams of the configuration, nil without the section. They
// begin with startStreams.
func (g *Gateway) newStreams(c *Config) (*streammgr.Manager, error) {
	if c.Streams == nil {
		return nil, nil
	}
	return streammgr.New(*c.Streams, streammgr.Options{
		DataDir: c.DataDir,
		Broker:  brokerForStreams{g.broker},
		Keeper:  keeper{g, streamKeys},
		State:   g.state,
		Vehicle: c.streamsVehicle(),
		Clock:   clock.New(clock.Trust(c.Time.Synchronised)),
		Version: g.options.Version,
		Log:     g.log,
	})
}

// startStreams opens the ways into the streams; the streams themselves come behind
// /readyz.
func (g *Gateway) startStreams() (stop func(context.Context), err error) {
	if g.streams == nil {
		return func(context.Context) {}, nil
	}
	if err := g.streams.Start(); err != nil {
		return nil, err
	}
	g.streamsOpen.Store(true)
	return g.streams.Stop, nil
}

// checkStreams finds what the section's fields alone don't show.
func checkStreams(c *Config, doc *config.Document, state *vehicle.State) (problems []config.Problem) {
	if c.Streams == nil {
		return nil
	}
	var recordings []string
	for _, r := range c.CAN.Record {
		recordings = append(recordings, r.Name)
	}
	for _, p := range streammgr.Check(c.Streams, c.streamsVehicle(), recordings, state) {
		problems = append(problems, doc.Errorf(append([]any{"streams"}, p.Path...), "%s", p.Text))
	}
	return problems
}

func (c *Config) streamsVehicle() streammgr.Vehicle {
	return streammgr.Vehicle{VIN: c.Vehicle.VIN, Thing: c.Vehicle.Thing}
}

// streamStatus is nil without the section, and before the streams are started.
func (g *Gateway) streamStatus() *streammgr.Status {
	if g.streams == nil || !g.streamsOpen.Load() {
		return nil
	}
	st := g.streams.Status()
	return &st
}

// brokerForStreams is the broker as streams need it.
type brokerForStreams struct{ *edgebroker.Broker }

func (b brokerForStreams) OpenQueue(name string, limits streammgr.QueueLimits) (streammgr.Queue, error) {
	q, err := b.Broker.OpenQueue(name, edgebroker.QueueLimits(limits))
	if err != nil {
		return nil, err
	}
	return queueForStreams{q}, nil
}

// queueForStreams is a durable queue as streams need it.
type queueForStreams struct{ *edgebroker.Queue }

func (q queueForStreams) Read(from uint64, limit int, fn func(streammgr.Item) bool) (next uint64, err error) {
	return q.Queue.Read(from, limit, func(it edgebroker.Item) bool { return fn(streammgr.Item(it)) })
}

func (q queueForStreams) Stats() streammgr.QueueStats {
	s := q.Queue.Stats()
	return streammgr.QueueStats{Dropped: s.Dropped, Refused: s.Refused, Failed: s.Failed}
}

func (q queueForStreams) SetLimits(limits streammgr.QueueLimits) {
	q.Queue.SetLimits(edgebroker.QueueLimits(limits))
}

// recordingStream is a stream as a recording needs it.
type recordingStream struct{ to *streammgr.Recording }

// Append implements record.Sink. What it returns nil for is as durable as the stream
// promises.
func (s recordingStream) Append(packed []byte, _ block.Header) error {
	err := s.to.Append(packed)
	if errors.Is(err, streammgr.ErrFull) {
		return fmt.Errorf("%w: %w", record.ErrFull, err)
	}
	return err
}

// Usage implements record.Sink.
func (s recordingStream) Usage() record.Usage {
	i := s.to.Info()
	return record.Usage{Blocks: int64(i.Next - i.First), Bytes: i.Bytes, Removed: i.Removed}
}

// streamsForBridge are the streams as the bridge needs them; to is nil without any.
type streamsForBridge struct{ to *streammgr.Manager }

// Has implements bridge.Streams. Which streams there are was checked with the whole of
// the configuration.
func (s streamsForBridge) Has(string) bool { return s.to != nil }

// Take implements bridge.Streams.
func (s streamsForBridge) Take(name string, m edgebroker.Message) error { return s.to.Take(name, m) }

// streamNames are the names of a configuration's streams, for its check.
type streamNames map[string]bool

// Has implements bridge.Streams.
func (s streamNames) Has(name string) bool { return s[name] }

// Take implements bridge.Streams; nothing is sent while a configuration is checked.
func (s streamNames) Take(string, edgebroker.Message) error { return errNoStreams }

func streamsOf(c *Config) streamNames {
	names := streamNames{}
	if c.Streams != nil {
		for i := range c.Streams.Streams {
			names[c.Streams.Streams[i].Name] = true
		}
	}
	return names
}
