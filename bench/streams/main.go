// Command streams measures the stream manager: how fast messages are appended, beside
// bare embedded JetStream in the same run; what the gateway's recording, taking in and
// exporting cost; how soon a client hears that its message is stored; and what large
// streams take of memory.
//
//	go run ./bench/streams -fascia bin/fascia
//
// Exports go to an endpoint of this program's own that speaks Kinesis and looks at
// nothing: the stand-ins that users have are slower than what is measured. It takes its
// time of the same processors, but its time is not counted.
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
	drive    string
	runs     int
	bytes    int64
	backlog  int64
	duration time.Duration
}

// warmUp is how long a gateway is left alone, or loaded, before a figure counts.
func (o options) warmUp() time.Duration { return min(2*time.Second, o.duration) }

func main() {
	var o options
	flag.StringVar(&o.fascia, "fascia", "bin/fascia", "our binary")
	flag.StringVar(&o.dir, "dir", "", "folder for what is stored, on the disk that counts (default: that of temporary files)")
	flag.StringVar(&o.rows, "rows", "", "rows to run, with commas between (default: all; -rows help names them)")
	flag.StringVar(&o.drive, "drive", "../shared/data/can/genesis-drive.candump", "recorded drive, for the frames of the rows of CAN")
	flag.IntVar(&o.runs, "runs", 3, "runs of each row; the median is printed")
	flag.Int64Var(&o.bytes, "bytes", 2<<30, "bytes that the rows of appending and exporting move")
	flag.Int64Var(&o.backlog, "backlog", 10_000_000_000, "bytes on disk of the row of memory, which is run once")
	flag.DurationVar(&o.duration, "d", 10*time.Second, "how long the rows at a steady rate measure")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "streams: "+err.Error())
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
	fascia, err := brokers.Fascia(ctx, o.fascia)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "fascia-streams-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	printHead(w, o, fascia)
	for _, row := range rows {
		m, faults := row.measure(ctx, o, fascia, dir)
		row.print(w, m)
		for _, fault := range faults {
			fmt.Fprintln(os.Stderr, fault)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// values are those of a run, by figure.
type values map[string]float64

// measured are the values of all runs, by figure.
type measured map[string][]float64

// measure runs the row as often as asked for, each time in a folder of its own.
func (r *row) measure(ctx context.Context, o options, fascia brokers.Broker, dir string) (m measured, faults []string) {
	m = measured{}
	runs := o.runs
	if r.once {
		runs = 1
	}
	for run := range runs {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(os.Stderr, "%s %d/%d\n", r.name, run+1, runs)
		place := filepath.Join(dir, fmt.Sprintf("%s-%d", r.name, run))
		got, err := r.run(ctx, o, fascia, place)
		for name, value := range got {
			m[name] = append(m[name], value)
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", r.name, err))
		}
		if err := os.RemoveAll(place); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return m, faults
}

// median is that of the runs; ok is false without any.
func (m measured) median(figure string) (value float64, ok bool) {
	sorted := slices.Sorted(slices.Values(m[figure]))
	if len(sorted) == 0 {
		return 0, false
	}
	return sorted[len(sorted)/2], true
}
