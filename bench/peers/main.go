// Command peers runs our broker and others side by side on this machine and
// prints how they compare, as a Markdown table.
//
//	go run ./bench/peers -fascia bin/fascia -mqttload ../shared/tools/mqttload
//
// Every figure is the median of several runs. A run starts all brokers anew and
// loads one after the other, in turn, so that what else the machine does meets
// all alike. Ours has its authorisation on, with the roles that are there by
// default; the others have none.
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
	mqttload string
	dir      string
	rows     string
	runs     int
	duration time.Duration
	idle     int
	backlog  uint64
}

func main() {
	var o options
	flag.StringVar(&o.fascia, "fascia", "bin/fascia", "our binary")
	flag.StringVar(&o.mqttload, "mqttload", "", "folder of mqttload's source: the load of the rows that it can make; else it is that of fascia bench")
	flag.StringVar(&o.dir, "dir", "", "folder for what the brokers store, on the disk that counts (default: that of temporary files)")
	flag.StringVar(&o.rows, "rows", "", "rows to run, with commas between (default: all; -rows help names them)")
	flag.IntVar(&o.runs, "runs", 5, "runs of each row; the median is printed")
	flag.DurationVar(&o.duration, "d", 3*time.Second, "how long a run publishes")
	flag.IntVar(&o.idle, "idle", 900, "idle connections")
	flag.Uint64Var(&o.backlog, "backlog", 1_000_000, "messages that wait for an absent session")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "peers: "+err.Error())
		os.Exit(1)
	}
}

// compare prints the table row by row, as the figures come.
func compare(ctx context.Context, o options, w io.Writer) error {
	if o.runs < 1 {
		return fmt.Errorf("-runs %d: want 1 or more", o.runs)
	}
	dir, err := os.MkdirTemp(o.dir, "fascia-peers-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	tool := ""
	if o.mqttload != "" {
		if tool, err = buildTool(ctx, o.mqttload, dir); err != nil {
			return err
		}
	}
	rows, err := brokers.Pick("-rows", o.rows, allRows(o, tool))
	if err != nil {
		return err
	}
	peers, err := findBrokers(ctx, o.fascia)
	if err != nil {
		return err
	}
	printHead(w, o, tool, peers)
	var notes []string
	for _, r := range rows {
		measured := runRow(ctx, r, peers, o.runs, dir)
		r.print(w, peers, measured)
		notes = append(notes, r.notes(peers, measured)...)
		if ctx.Err() != nil {
			break
		}
	}
	if len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range notes {
		fmt.Fprintln(w, "- "+note)
	}
	return ctx.Err()
}

// outcome is what one broker came to in the runs of a row.
type outcome struct {
	figures map[string][]float64 // by figure, a value a run
	faults  []string             // promises that were broken, runs that failed
}

// runRow measures every broker runs times.
func runRow(ctx context.Context, r row, peers []broker, runs int, dir string) []outcome {
	out := make([]outcome, len(peers))
	for i := range out {
		out[i].figures = make(map[string][]float64)
	}
	for run := range runs {
		running := make([]*brokers.Process, len(peers))
		for i, b := range peers {
			fmt.Fprintf(os.Stderr, "%s %d/%d: start %s\n", r.name, run+1, runs, b.Name)
			var err error
			if running[i], err = b.start(ctx, r.needs, filepath.Join(dir, fmt.Sprintf("%s-%s-%d", r.name, b.Name, run))); err != nil {
				out[i].faults = append(out[i].faults, err.Error())
			}
		}
		for n := range peers {
			i := (n + run) % len(peers) // each goes first as often
			if running[i] == nil || ctx.Err() != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s %d/%d: %s\n", r.name, run+1, runs, peers[i].Name)
			figures, err := r.measure(ctx, running[i])
			for name, value := range figures {
				out[i].figures[name] = append(out[i].figures[name], value)
			}
			if err != nil && ctx.Err() == nil {
				out[i].faults = append(out[i].faults, err.Error())
			}
		}
		for i, p := range running {
			if p == nil {
				continue
			}
			if err := p.Stop(); err != nil && ctx.Err() == nil { // Ctrl-C ends them, too
				out[i].faults = append(out[i].faults, err.Error())
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return out
}

// median is the middle of the runs; ok is false without any.
func (o *outcome) median(figure string) (value float64, ok bool) {
	values := slices.Sorted(slices.Values(o.figures[figure]))
	if len(values) == 0 {
		return 0, false
	}
	return values[len(values)/2], true
}
