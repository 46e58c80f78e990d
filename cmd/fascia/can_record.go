package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/gateway"
)

// recording is what the flags of can record ask for.
type recording struct {
	from       []string
	buses      []string
	dbc        []string
	messages   []string
	format     string
	resolution string
	file       string
	length     time.Duration
	frames     uint64
}

func newCANRecord() *cobra.Command {
	var r recording
	c := &cobra.Command{
		Use:   "record --from URL",
		Short: "Record the frames of buses as candump lines or compact blocks",
		Long: `Record what comes on one bus or several, until Ctrl-C, --for or --frames, as
lines of candump -l or as blocks of ten seconds, which take about a twentieth.
"fascia can decode" and "fascia can replay" read both.

With --from replay://FILE?speed=max the frames of a log come with the log's own
stamps and bus names: that turns one form into the other.`,
		Example: `  fascia can record --from socketcan://can0 -o drive.candump
  fascia can record --from socketcan://can0 --from socketcan://can1 --format block --for 10m -o drive.fcan
  fascia can record --from 'replay://drive.fcan?speed=max' > drive.candump`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return r.run(c) },
	}
	fs := c.Flags()
	fs.StringArrayVar(&r.from, "from", nil, "bus to record: socketcan://NAME, udp://GROUP:PORT[?interface=NAME] or replay://FILE (may be repeated)")
	fs.StringArrayVar(&r.buses, "bus", nil, "name of the bus in the recording, one for each --from (default the interface's, or can0, can1…)")
	fs.StringArrayVar(&r.messages, "message", nil, "record only this message, by name or as 0x2A0 or 0x18FEF100 (may be repeated)")
	fs.StringArrayVar(&r.dbc, "dbc", nil, "DBC file with the messages' names (may be repeated)")
	fs.StringVar(&r.format, "format", "candump", "candump or block")
	fs.StringVar(&r.resolution, "resolution", "1us", "of the stamps in blocks: 1us or 1ms")
	fs.StringVarP(&r.file, "output", "o", "", "file, which appears when it is whole; standard output without it")
	fs.DurationVar(&r.length, "for", 0, "end after this time")
	fs.Uint64Var(&r.frames, "frames", 0, "end after so many frames")
	_ = c.MarkFlagFilename("dbc", "dbc")
	return c
}

func (r *recording) run(c *cobra.Command) error {
	specs, err := r.specs()
	if err != nil {
		return err
	}
	selection, err := r.selection(c.ErrOrStderr())
	if err != nil {
		return err
	}
	newLog, err := r.newLog()
	if err != nil {
		return err
	}
	out, err := createOutput(r.file, c.OutOrStdout())
	if err != nil {
		return err
	}
	defer out.abandon()
	log := newLog(out)
	log.Most, log.Selection = r.frames, selection

	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	if r.length > 0 {
		ctx, stop = context.WithTimeout(ctx, r.length)
		defer stop()
	}
	err = r.record(ctx, stop, log, specs, c.ErrOrStderr())
	if endErr := log.End(); err == nil {
		err = endErr
	}
	frames, bytes := log.Written()
	if frames > 0 || err == nil { // what was recorded before a failure is worth keeping
		if commitErr := out.commit(); err == nil {
			err = commitErr
		}
	}
	fmt.Fprintf(c.ErrOrStderr(), "%d frames recorded, %d bytes\n", frames, bytes)
	return err
}

// specs are the sources, with the names of their buses in Name.
func (r *recording) specs() ([]source.Spec, error) {
	if len(r.from) == 0 {
		return nil, usagef("from where? Say --from socketcan://NAME or --from udp://GROUP:PORT")
	}
	if len(r.buses) > 0 && len(r.buses) != len(r.from) {
		return nil, usagef("--bus: want one for each --from, got %d for %d", len(r.buses), len(r.from))
	}
	specs := []source.Spec{}
	for _, from := range r.from {
		spec, err := source.Parse(from)
		if err != nil {
			return nil, usagef("--from: %v", err)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// bus is the name that the frames of a source are recorded under; "" keeps that
// of a log.
func (r *recording) bus(i int, spec source.Spec) string {
	switch {
	case len(r.buses) > 0:
		return r.buses[i]
	case isConversion(spec):
		return ""
	case spec.Scheme == source.SchemeSocketCAN:
		return spec.Name
	}
	return fmt.Sprintf("can%d", i)
}

// isConversion reports whether a log is to be read and not replayed.
func isConversion(spec source.Spec) bool {
	return spec.Scheme == source.SchemeReplay && math.IsInf(spec.Speed, 1) && !spec.Loop
}

// selection is which messages are wanted, nil for all.
func (r *recording) selection(warn io.Writer) (*record.Selection, error) {
	if len(r.messages) == 0 {
		return nil, nil
	}
	db, err := loadDatabases(r.dbc, warn)
	if err != nil {
		return nil, err
	}
	var filters []source.Filter
	for _, wanted := range r.messages {
		f, ok := record.ParseIdentifier(wanted)
		if !ok {
			m := messageNamed(db, wanted)
			if m == nil {
				return nil, usagef("--message %s: no --dbc has a message of that name; an identifier is written 0x and 3 digits, or 8 for an extended one", wanted)
			}
			f = source.Filter{ID: m.ID, Mask: m.Mask(), Extended: m.Extended}
		}
		filters = append(filters, f)
	}
	return record.Select(filters), nil
}

func messageNamed(db *dbc.Database, name string) *dbc.Message {
	for _, m := range db.Messages {
		if m.Name == name {
			return m
		}
	}
	return nil
}

func (r *recording) newLog() (func(io.Writer) *record.Log, error) {
	resolution := block.Microsecond
	switch r.resolution {
	case "1us":
	case "1ms":
		resolution = block.Millisecond
	default:
		return nil, usagef("--resolution %s: want 1us or 1ms", r.resolution)
	}
	switch r.format {
	case "candump":
		return record.NewCandump, nil
	case "block":
		return func(w io.Writer) *record.Log { return record.NewBlocks(w, resolution) }, nil
	}
	return nil, usagef("--format %s: want candump or block", r.format)
}

// record runs until all sources have ended, ctx has, or there are frames enough.
// The first thing that fails ends it.
func (r *recording) record(ctx context.Context, stop context.CancelFunc, log *record.Log, specs []source.Spec, stderr io.Writer) error {
	results := make(chan error, len(specs))
	for i, spec := range specs {
		copyOne, err := r.openOne(ctx, log, i, spec, stderr)
		if err != nil {
			stop()
			for range i {
				err = errors.Join(err, <-results)
			}
			return err
		}
		go func() { results <- copyOne() }()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var failed error
	for left := len(specs); left > 0; {
		select {
		case err := <-results:
			left--
			if err != nil {
				stop()
				if failed == nil && !errors.Is(err, record.ErrEnough) {
					failed = err
				}
			}
		case <-tick.C:
			if err := log.Flush(); err != nil && failed == nil {
				failed = err
				stop()
			}
			if gateway.IsTerminal(stderr) {
				frames, bytes := log.Written()
				fmt.Fprintf(stderr, "\r%d frames, %.1f MB ", frames, float64(bytes)/1e6)
			}
		}
	}
	if gateway.IsTerminal(stderr) {
		fmt.Fprint(stderr, "\r")
	}
	return failed
}

// openOne opens one source, and gives what copies it and closes it.
func (r *recording) openOne(ctx context.Context, log *record.Log, i int, spec source.Spec, stderr io.Writer) (func() error, error) {
	bus := r.bus(i, spec)
	if isConversion(spec) {
		from, err := canlog.Open(spec.File)
		if err != nil {
			return nil, err
		}
		return func() error {
			defer from.Close()
			err := log.Convert(ctx, bus, from)
			for _, s := range from.SkippedLines() {
				fmt.Fprintf(stderr, "warning: %s: %s %d: %s\n", spec.File, from.Format().Unit(), s.Line, s.Reason)
			}
			return err
		}, nil
	}
	src, err := source.Open(spec, source.Options{})
	if err != nil {
		return nil, err
	}
	return func() error {
		defer src.Close()
		err := log.Copy(ctx, bus, src)
		if c := src.Counters(); c.First != "" {
			fmt.Fprintf(stderr, "warning: %s: %d frames dropped, %d lines or datagrams could not be read; first: %s\n",
				spec, c.Dropped, c.TornLines+c.BadDatagrams, c.First)
		}
		return err
	}, nil
}
