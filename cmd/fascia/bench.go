package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/bench/load"
)

func newBench() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Load an MQTT broker, any one, and measure it",
		Long: `Load an MQTT broker, any one, and measure it. Each scenario has its own flags.

Every message is accounted for: where QoS 1 or 2 was acknowledged and did not
come, where a message came twice that must not, or behind a newer one, the exit
code is 1. Ctrl-C ends a run with the figures so far.`,
		Example: `  fascia bench pair --find-pid                   throughput, and the broker's CPU time
  fascia bench pair -u mqtt://other:1883 -q 1    another broker, acknowledged messages
  fascia bench latency --json | jq .latency      ten a side at 200 messages a second
  fascia bench backlog -n 1000000 --find-pid     a million messages for an absent client`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, s := range scenarios {
		c.AddCommand(newTraffic(s))
	}
	c.AddCommand(newBenchIdle(), newBenchConnect())
	return c
}

// scenario is a load of messages with its defaults.
type scenario struct {
	name, short, example string
	traffic              load.Traffic
}

var scenarios = []scenario{
	{
		name:    "pair",
		short:   "Each subscriber hears one publisher, as fast as it goes",
		example: "  fascia bench pair --find-pid\n  fascia bench pair -q 2 --pubs 1 --subs 1 --window 1",
		traffic: load.Traffic{Shape: load.Pair, Publishers: 4, Subscribers: 4, Size: 64, Credits: 500},
	},
	{
		name:    "fanout",
		short:   "Each subscriber hears every publisher",
		example: "  fascia bench fanout --pubs 1 --subs 50 --rate 1000 --find-pid",
		traffic: load.Traffic{Shape: load.FanOut, Publishers: 1, Subscribers: 50, Size: 64, Rate: 1000},
	},
	{
		name:    "wildcard",
		short:   "Each subscriber hears every publisher, by a + in its filter",
		example: "  fascia bench wildcard --pubs 20 --subs 5 --rate 500",
		traffic: load.Traffic{Shape: load.Wildcard, Publishers: 10, Subscribers: 10, Size: 64, Rate: 200},
	},
	{
		name:    "shared",
		short:   "The subscribers share one subscription: each message goes to one",
		example: "  fascia bench shared -q 1 --subs 8",
		traffic: load.Traffic{Shape: load.Shared, Publishers: 4, Subscribers: 4, Size: 64, Credits: 500},
	},
	{
		name:    "latency",
		short:   "Pairs at a fixed rate: how long a message takes",
		example: "  fascia bench latency --pubs 10 --subs 10 --rate 200 -d 30s",
		traffic: load.Traffic{Shape: load.Pair, Publishers: 10, Subscribers: 10, Size: 64, Rate: 200},
	},
	{
		name:    "durable",
		short:   "Publishers at QoS 1 or 2 for a session that outlives its connection",
		example: "  fascia bench durable --pubs 64 --window 100\n  fascia bench durable --offline",
		traffic: load.Traffic{Shape: load.FanOut, Publishers: 64, Subscribers: 1, QoS: 1, Size: 64, Persistent: true},
	},
	{
		name:    "backlog",
		short:   "Fill the queue of an absent client, then drain it",
		example: "  fascia bench backlog -n 1000000 --size 100 --find-pid",
		traffic: load.Traffic{Shape: load.FanOut, Publishers: 4, Subscribers: 1, QoS: 1, Size: 100, Persistent: true, Absent: true, Count: 1_000_000},
	},
}

func newTraffic(s scenario) *cobra.Command {
	traffic := s.traffic
	c := &cobra.Command{Use: s.name, Short: s.short, Example: s.example}
	runsLoad(c, traffic.Validate, func(ctx context.Context, o load.Options) (report, error) {
		result, err := load.RunTraffic(ctx, o, traffic)
		if result == nil {
			return nil, err
		}
		return trafficReport{s.name, result}, err
	})
	fs := c.Flags()
	fs.IntVar(&traffic.Publishers, "pubs", traffic.Publishers, "publishers")
	fs.IntVar(&traffic.Subscribers, "subs", traffic.Subscribers, "subscribers")
	fs.Uint8VarP(&traffic.QoS, "qos", "q", traffic.QoS, "QoS of messages and subscriptions")
	fs.IntVar(&traffic.Size, "size", traffic.Size, fmt.Sprintf("bytes of a payload, %d or more", load.MinSize))
	fs.Float64Var(&traffic.Rate, "rate", traffic.Rate, "messages a second of each publisher; 0: as fast as it goes")
	fs.IntVar(&traffic.Window, "window", 100, "messages of QoS 1 and 2 that a publisher sends before one is acknowledged")
	fs.BoolVar(&traffic.Retain, "retain", false, "publish retained messages (they are removed afterwards)")
	fs.DurationVar(&traffic.Drain, "drain", 3*time.Second, "how long nothing may come before what is missing counts as lost")
	if s.traffic.Absent {
		fs.Uint64VarP(&traffic.Count, "messages", "n", traffic.Count, "messages of all publishers together")
		return c
	}
	fs.DurationVarP(&traffic.Duration, "duration", "d", 5*time.Second, "how long to measure")
	fs.DurationVar(&traffic.WarmUp, "warmup", 0, "how long to publish before that")
	if s.traffic.Persistent {
		fs.BoolVar(&traffic.Absent, "offline", false, "the subscribers are absent while messages are published")
		return c
	}
	fs.IntVar(&traffic.Credits, "credits", traffic.Credits, "messages of a publisher that may be under way to subscribers; 0: any number")
	return c
}

func newBenchIdle() *cobra.Command {
	var idle load.Idle
	c := &cobra.Command{
		Use:     "idle",
		Short:   "Connections that do nothing: memory of each",
		Example: "  fascia bench idle --connections 1000 --find-pid",
	}
	runsLoad(c, idle.Validate, func(ctx context.Context, o load.Options) (report, error) {
		result, err := load.RunIdle(ctx, o, idle)
		if result == nil {
			return nil, err
		}
		return idleReport{result}, err
	})
	fs := c.Flags()
	fs.IntVar(&idle.Connections, "connections", 900, "how many")
	fs.DurationVarP(&idle.Hold, "duration", "d", 5*time.Second, "how long they are held before memory is read")
	return c
}

func newBenchConnect() *cobra.Command {
	storm := load.Storm{Others: load.Traffic{
		Shape: load.Pair, Publishers: 10, Subscribers: 10, Size: 64, Rate: 100, Window: 100, Drain: 3 * time.Second,
	}}
	c := &cobra.Command{
		Use:     "connect",
		Short:   "Clients that connect all at once: rate, and what others feel of it",
		Example: "  fascia bench connect --clients 1000",
	}
	valid := func() error {
		storm.Others.Subscribers = storm.Others.Publishers
		return storm.Validate()
	}
	runsLoad(c, valid, func(ctx context.Context, o load.Options) (report, error) {
		result, err := load.RunStorm(ctx, o, storm)
		if result == nil || result.Before == nil {
			return nil, err
		}
		return stormReport{result}, err
	})
	fs := c.Flags()
	fs.IntVar(&storm.Clients, "clients", 100, "how many connect side by side, each again and again")
	fs.IntVar(&storm.Others.Publishers, "others", storm.Others.Publishers, "pairs that exchange messages meanwhile")
	fs.Float64Var(&storm.Others.Rate, "rate", storm.Others.Rate, "messages a second of each pair")
	fs.Uint8VarP(&storm.Others.QoS, "qos", "q", 0, "QoS of their messages")
	fs.DurationVarP(&storm.Others.Duration, "duration", "d", 5*time.Second, "how long without the storm, and how long with it")
	return c
}

// report is what a run came to.
type report interface {
	json.Marshaler
	// table prints the figures, a line each.
	table(w io.Writer)
	// broken says which promises of MQTT were not kept.
	broken() []string
}

// runsLoad lets a command run a load once its flags are valid, and gives it those
// that every load has.
func runsLoad(c *cobra.Command, valid func() error, do func(context.Context, load.Options) (report, error)) {
	var flags benchFlags
	flags.register(c)
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := valid(); err != nil {
			return usageError{err}
		}
		return flags.run(c, do)
	}
}

// run runs a load and prints its report: the error is that of the run, or the
// promises that were broken.
func (f *benchFlags) run(c *cobra.Command, do func(context.Context, load.Options) (report, error)) error {
	options, err := f.options()
	if err != nil {
		return err
	}
	progress := newBenchProgress(c.ErrOrStderr())
	options.Progress = progress.show
	result, err := do(c.Context(), options)
	progress.end()
	if result == nil {
		return err
	}
	if f.json {
		err = errors.Join(err, json.NewEncoder(c.OutOrStdout()).Encode(result))
	} else {
		result.table(c.OutOrStdout())
	}
	if broken := result.broken(); len(broken) > 0 {
		err = errors.Join(err, errors.New(strings.Join(broken, "; ")))
	}
	return err
}
