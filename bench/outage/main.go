// Command outage compares our bridge with mosquitto's own on one outage: messages are
// published while the link is cut, the local broker is restarted in the middle, and
// then the link comes back. The far side is a mosquitto in both cases, and toxiproxy
// the link. Then it measures what the outage does not show: how our bridge keeps up
// with a bare publisher, its latency, its memory with a large backlog, and how soon it
// is back.
//
//	go run ./bench/outage -fascia bin/fascia
//
// Every figure is the median of several runs, each with brokers started anew, in turn.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// options are the flags.
type options struct {
	fascia   string
	dir      string
	rows     string
	runs     int
	messages int
	backlog  int
	size     int
	rate     int
	duration time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.fascia, "fascia", "bin/fascia", "our binary")
	flag.StringVar(&o.dir, "dir", "", "folder for what the brokers store, on the disk that counts (default: that of temporary files)")
	flag.StringVar(&o.rows, "rows", "", "rows to run, with commas between (default: all; -rows help names them)")
	flag.IntVar(&o.runs, "runs", 3, "runs of each row; the median is printed")
	flag.IntVar(&o.messages, "messages", 100_000, "messages published in the outage")
	flag.IntVar(&o.backlog, "backlog", 1_000_000, "messages of the row that shows what a large backlog takes")
	flag.IntVar(&o.size, "size", 100, "bytes of a payload")
	flag.IntVar(&o.rate, "rate", 5_000, "messages a second of the row of latency")
	flag.DurationVar(&o.duration, "d", 10*time.Second, "how long the row of latency publishes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "outage: "+err.Error())
		os.Exit(1)
	}
}

// compare prints the table row by row, as the figures come.
func compare(ctx context.Context, o options, w io.Writer) error {
	if o.runs < 1 {
		return fmt.Errorf("-runs %d: want 1 or more", o.runs)
	}
	rows, err := brokers.Pick("-rows", o.rows, allRows(o))
	if err != nil {
		return err
	}
	mosquitto, err := brokers.Mosquitto(ctx)
	if err != nil {
		return err
	}
	fascia, err := brokers.Fascia(ctx, o.fascia)
	if err != nil {
		return err
	}
	subjects := []subject{mosquittoBridge(mosquitto), fasciaBridge(fascia), bare(mosquitto)}
	dir, err := os.MkdirTemp(o.dir, "fascia-outage-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	printHead(w, o, subjects)
	for _, row := range rows {
		measured, faults := row.measure(ctx, o, subjects, mosquitto, dir)
		row.print(w, subjects, measured)
		for _, fault := range faults {
			fmt.Fprintln(os.Stderr, fault)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// measured are the values of a row, by subject and figure, one a run.
type measured []map[string][]float64

// measure runs the row's scenario for every subject that it is of, in turn.
func (r *row) measure(ctx context.Context, o options, subjects []subject, far brokers.Broker, dir string) (out measured, faults []string) {
	out = make(measured, len(subjects))
	for i := range out {
		out[i] = make(map[string][]float64)
	}
	for run := range o.runs {
		for i, s := range subjects {
			if ctx.Err() != nil || !slices.Contains(r.subjects, s.name) {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s %d/%d: %s\n", r.name, run+1, o.runs, s.name)
			place := filepath.Join(dir, fmt.Sprintf("%s-%d-%s", r.name, run, s.name))
			figures, err := r.run(ctx, s, far, place)
			for name, value := range figures {
				out[i][name] = append(out[i][name], value)
			}
			if err != nil {
				faults = append(faults, fmt.Sprintf("%s, %s: %v", r.name, s.name, err))
			}
			if err := os.RemoveAll(place); err != nil {
				faults = append(faults, err.Error())
			}
		}
	}
	return out, faults
}

// median is that of the runs; ok is false without any.
func (m measured) median(subject int, figure string) (value float64, ok bool) {
	values := slices.Sorted(slices.Values(m[subject][figure]))
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)/2], true
}
