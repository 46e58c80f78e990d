package main

import (
	"context"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/bench/load"
)

// row is a load, and the figures that it gives.
type row struct {
	name    string
	needs   needs
	measure func(context.Context, *brokers.Process) (map[string]float64, error)
	figures []figure
}

// String is the name that -rows has for it.
func (r row) String() string { return r.name }

// figure is a line of the table.
type figure struct {
	name   string // among those that measure gives
	text   string
	format string  // of a value, with its unit
	scale  float64 // from what measure gives to that unit
	goal   goal
}

// goal is what our figure should be: a bound on it, or on its ratio to
// mosquitto's.
type goal struct {
	ratio   bool
	atLeast bool    // else at most
	target  float64 // 0: none
	beyond  float64 // more than asked for; 0: none
}

func times(target, beyond float64) goal  { return goal{true, true, target, beyond} }
func within(target, beyond float64) goal { return goal{true, false, target, beyond} }
func least(target, beyond float64) goal  { return goal{false, true, target, beyond} }
func most(target, beyond float64) goal   { return goal{false, false, target, beyond} }

const (
	perSecond = "%.0f/s"
	cpu       = "%.2f µs"
	millis    = "%.2f ms"
	mebi      = "%.1f MB"
	kilo      = "%.1f kB"
)

// allRows are the rows of the comparison. tool is mqttload, "" without it.
func allRows(o options, tool string) []row {
	flatOut := load.Traffic{Shape: load.Pair, Publishers: 4, Subscribers: 4, Size: 64, Credits: 500,
		Window: 100, Duration: o.duration, Drain: 3 * time.Second}
	fanOut := flatOut
	fanOut.Shape, fanOut.Publishers, fanOut.Subscribers, fanOut.Rate, fanOut.Credits = load.FanOut, 1, 50, 1000, 0
	acknowledged := flatOut
	acknowledged.QoS = 1
	paced := flatOut
	paced.Publishers, paced.Subscribers, paced.Rate, paced.Credits = 10, 10, 200, 0
	durably := flatOut
	durably.Shape, durably.Publishers, durably.Subscribers = load.FanOut, 64, 1
	durably.QoS, durably.Persistent, durably.Credits = 1, true, 0
	absent := durably
	absent.Absent = true
	backlog := absent
	backlog.Publishers, backlog.Size, backlog.Count, backlog.Duration = 4, 100, o.backlog, 0

	return []row{
		{"qos0", nothing, messages(tool, flatOut), []figure{
			{"delivered", "QoS 0, 4 → 4, closed loop: messages", perSecond, 1, times(8, 15)},
			{"cpu", "the same: broker CPU a message", cpu, 1, within(.12, .05)},
		}},
		{"fanout", nothing, messages(tool, fanOut), []figure{
			{"cpu", "1 → 50 at 1,000/s: broker CPU a delivered message", cpu, 1, within(1, .6)},
		}},
		{"qos1", nothing, messages(tool, acknowledged), []figure{
			{"cpu", "QoS 1, 4 → 4, closed loop: broker CPU a message", cpu, 1, within(.2, .08)},
			{"delivered", "the same: messages", perSecond, 1, goal{}},
		}},
		{"durable", durable, engine(durably), []figure{
			{"acknowledged", "QoS 1, 64 publishers, durable receiver: acknowledged", perSecond, 1, least(40_000, 90_000)},
		}},
		{"durable-absent", durable, engine(absent), []figure{
			{"acknowledged", "the same, receiver absent: acknowledged", perSecond, 1, least(40_000, 90_000)},
		}},
		{"latency", nothing, messages(tool, paced), []figure{
			{"p99", "10 → 10 at 200/s each: p99 latency", millis, 1e-3, within(1, .5)},
			{"p50", "the same: median latency", millis, 1e-3, goal{}},
		}},
		{"backlog", room, engine(backlog), []figure{
			{"memory", "backlog for an absent session: memory above idle", mebi, 1e-6, most(32, 16)},
			{"drained", "the same: drained", perSecond, 1, least(100_000, 0)},
			{"acknowledged", "the same: acknowledged while it grew", perSecond, 1, goal{}},
		}},
		{"idle", nothing, idle(o.idle), []figure{
			{"before", "memory of an idle broker", mebi, 1e-6, most(25, 15)},
			{"connection", "memory of an idle connection", kilo, 1e-3, most(32, 8)},
		}},
	}
}
