// Command vehicle measures the gateway at the load of a whole vehicle: eight
// buses at 8,000 frames a second each over UDP, every signal decoded, 500 paths
// published ten times a second each, five clients subscribed to all of them.
//
//	go run ./bench/vehicle -fascia bin/fascia
//
// Each published value is the moment at which its frame was sent, so that a
// client knows how long it took from there: through the bus, the gateway and
// MQTT.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// options are the flags.
type options struct {
	fascia   string
	buses    int
	rate     int // frames a second of each bus
	paths    int
	clients  int
	duration time.Duration
	runs     int
}

func main() {
	var o options
	flag.StringVar(&o.fascia, "fascia", "bin/fascia", "binary to measure")
	flag.IntVar(&o.buses, "buses", 8, "buses")
	flag.IntVar(&o.rate, "rate", 8000, "frames a second of each bus")
	flag.IntVar(&o.paths, "paths", 500, "VSS paths that are published ten times a second")
	flag.IntVar(&o.clients, "clients", 5, "clients that subscribe to vss/#")
	flag.DurationVar(&o.duration, "d", 10*time.Second, "how long a run measures")
	flag.IntVar(&o.runs, "runs", 3, "runs; the median is printed")
	flag.Parse()
	if err := compare(o); err != nil {
		fmt.Fprintln(os.Stderr, "vehicle: "+err.Error())
		os.Exit(1)
	}
}

func compare(o options) error {
	results := make([]result, o.runs)
	for i := range results {
		r, err := measure(o)
		if err != nil {
			return err
		}
		results[i] = r
		fmt.Fprintf(os.Stderr, "run %d of %d: %+v\n", i+1, o.runs, r)
	}
	table(os.Stdout, o, results)
	return nil
}
