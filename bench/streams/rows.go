package main

import (
	"context"
	"fmt"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// row is something that is run, and the figures that it gives.
type row struct {
	name    string
	run     func(ctx context.Context, o options, fascia brokers.Broker, dir string) (values, error)
	once    bool
	figures []figure
}

// String is the name that -rows has for it.
func (r row) String() string { return r.name }

// allRows are the rows of the table.
func allRows(o options) []row {
	return []row{
		{"append", appendBlocks, false, []figure{
			{"rate", "append, 16 kB messages, file, synced by interval", megabytes, 1e-6, goal{timesBare, .8, 1}},
		}},
		{"small", appendSmall, false, []figure{
			{"rate", "append, 64 B messages in batches of 1,000", perSecond, 1, goal{atLeast, 500_000, 2_000_000}},
		}},
		{"can", recordBuses, false, []figure{
			{"cpu", fmt.Sprintf("%d buses at %d frames/s each over UDP, recorded and exported: CPU", buses, framesPerSecond), cores, 1, goal{atMost, .5, .2}},
			{"sent", "the same: frames sent, of all buses", perSecond, 1, goal{}},
			{"received", "the same buses, neither recorded nor exported: CPU", cores, 1, goal{}},
			{"lost", "recorded and exported: frames lost", "%.0f", 1, goal{atMost, 0, 0}},
		}},
		{"whitepaper", steady, false, []figure{
			{"cpu", "25 GB an hour, 4 kB messages in by Unix socket and out to Kinesis: CPU", cores, 1, goal{atMost, .4, .15}},
		}},
		{"export", exportKinesis, false, []figure{
			{"core", "export of 16 kB messages to Kinesis", aCore, 1e-6, goal{atLeast, 100, 250}},
			{"rate", "the same, by the clock", megabytes, 1e-6, goal{}},
		}},
		{"http", exportHTTP, false, []figure{
			{"core", "export of 16 kB messages by HTTP", aCore, 1e-6, goal{atLeast, 100, 250}},
			{"rate", "the same, by the clock", megabytes, 1e-6, goal{}},
		}},
		{"frame", driveToKinesis, true, []figure{
			{"bytes", "to Kinesis a CAN frame of the recorded drive, µs stamps, with HTTP's heads", aFrame, 1, goal{atMost, 2.8, 2.2}},
		}},
		{"acknowledged", acknowledged, false, []figure{
			{"p99", "append acknowledged, one client of the protocol, synced by interval: p99", millis, 1e3, goal{atMost, 2, .5}},
			{"p50", "the same: median", millis, 1e3, goal{}},
		}},
		{"memory", largeStream, true, []figure{
			{"filled", fmt.Sprintf("%g GB on disk: memory above idle, just filled", float64(o.backlog)/1e9), megas, 1e-6, goal{atMost, 48, 24}},
			{"peak", "the same: most while it was filled", megas, 1e-6, goal{}},
			{"started", "the same: started anew", megas, 1e-6, goal{atMost, 48, 24}},
		}},
	}
}
