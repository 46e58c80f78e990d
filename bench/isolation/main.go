// Command isolation shows what one slow or hostile client costs the others.
//
//	go run ./bench/isolation -fascia bin/fascia
//
// Ten calm pairs exchange messages at a steady rate, and their latency is taken
// three times a round: alone; while clients disturb their broker; and while the
// same clients disturb a second broker of the same kind that the pairs have
// nothing to do with. The last says what the machine costs: the disturbed broker
// and the disturbing clients take processor time from everybody, however well a
// broker keeps its clients apart. The clients that disturb are a process of their
// own at the lowest priority, so that it is the brokers that share the machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// options are the flags.
type options struct {
	fascia   string
	cases    string
	brokers  string
	runs     int
	duration time.Duration
	clients  int
	retained int
}

func main() {
	var o options
	var d disturbance
	flag.StringVar(&o.fascia, "fascia", "bin/fascia", "our binary")
	flag.StringVar(&o.cases, "cases", "", "cases to run, with commas between (default: all; -cases help names them)")
	flag.StringVar(&o.brokers, "brokers", "fascia,mosquitto", "brokers to run, with commas between")
	flag.IntVar(&o.runs, "runs", 5, "rounds of each case; medians are printed")
	flag.DurationVar(&o.duration, "d", 3*time.Second, "how long a latency is measured")
	flag.IntVar(&o.clients, "clients", 1000, "clients that connect at once")
	flag.IntVar(&o.retained, "retained", 1_000_000, "retained topics")
	flag.StringVar(&d.name, "disturb", "", "be the clients of this disturbance until standard input ends: how the program starts itself")
	flag.StringVar(&d.address, "at", "", "the broker to disturb, host and port")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if d.name != "" {
		d.clients, d.retained = o.clients, o.retained
		err = d.run(ctx, os.Stdin, os.Stdout)
	} else {
		err = compare(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "isolation: "+err.Error())
		os.Exit(1)
	}
}

// compare prints the table row by row, as the figures come.
func compare(ctx context.Context, o options, w io.Writer) error {
	if o.runs < 1 {
		return fmt.Errorf("-runs %d: want 1 or more", o.runs)
	}
	cases, err := brokers.Pick("-cases", o.cases, allCases(o))
	if err != nil {
		return err
	}
	kinds, err := findBrokers(ctx, o.fascia, o.brokers)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fascia-isolation-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	printHead(w, o)
	var notes []string
	for _, c := range cases {
		for i, m := range runCase(ctx, c, kinds, o, dir) {
			printRow(w, c, kinds[i], m)
			notes = append(notes, m.notes(c, kinds[i])...)
		}
		if ctx.Err() != nil {
			break
		}
	}
	printNotes(w, notes)
	return ctx.Err()
}

// runCase measures all kinds of broker, in turn in every round.
func runCase(ctx context.Context, c scenario, kinds []kind, o options, dir string) []measured {
	out := make([]measured, len(kinds))
	stages := make([]*stage, len(kinds))
	for i, k := range kinds {
		fmt.Fprintf(os.Stderr, "%s: start %s\n", c.name, k.Name)
		var err error
		if stages[i], err = setUp(ctx, c, k, o, filepath.Join(dir, c.name+"-"+k.Name)); err != nil {
			out[i].faults = append(out[i].faults, err.Error())
		}
	}
	for run := range o.runs {
		for n := range kinds {
			i := (n + run) % len(kinds) // each goes first as often
			if stages[i] == nil || ctx.Err() != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s %d/%d: %s\n", c.name, run+1, o.runs, kinds[i].Name)
			if err := stages[i].round(ctx, &out[i]); err != nil && ctx.Err() == nil {
				out[i].faults = append(out[i].faults, err.Error())
			}
		}
	}
	for i, s := range stages {
		if s == nil {
			continue
		}
		if err := s.tearDown(); err != nil && ctx.Err() == nil { // Ctrl-C ends the brokers, too
			out[i].faults = append(out[i].faults, err.Error())
		}
	}
	return out
}
