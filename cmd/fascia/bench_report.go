package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fascia-edge/fascia/bench/load"
	"github.com/fascia-edge/fascia/gateway"
)

// trafficReport is the report of a load of messages.
type trafficReport struct {
	scenario string
	*load.Result
}

func (r trafficReport) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Scenario string `json:"scenario"`
		*load.Result
	}{r.scenario, r.Result})
}

func (r trafficReport) broken() []string { return r.Broken }

func (r trafficReport) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "%s\t%s\n", r.scenario, describe(&r.Traffic))
	printTraffic(t, r.Result)
	_ = t.Flush()
}

// describe is a load in one line.
func describe(t *load.Traffic) string {
	text := fmt.Sprintf("%d publishers, %d subscribers, QoS %d, %d bytes", t.Publishers, t.Subscribers, t.QoS, t.Size)
	if t.Count > 0 {
		text += fmt.Sprintf(", %d messages", t.Count)
	}
	if t.Rate > 0 {
		text += fmt.Sprintf(", %g/s each", t.Rate)
	}
	if t.Credits > 0 {
		text += fmt.Sprintf(", %d credits", t.Credits)
	}
	if t.QoS > 0 {
		text += fmt.Sprintf(", window %d", t.Window)
	}
	if t.Absent {
		text += ", subscribers absent"
	}
	return text
}

func printTraffic(t io.Writer, r *load.Result) {
	note := ""
	if r.Interrupted {
		note = ", interrupted"
	}
	fmt.Fprintf(t, "measured\t%.1f s%s\n", r.Seconds, note)
	fmt.Fprintf(t, "sent\t%-12d%.0f/s\n", r.Sent, r.SentRate)
	if r.Traffic.QoS > 0 {
		fmt.Fprintf(t, "acknowledged\t%-12d%.0f/s\n", r.Acknowledged, r.AcknowledgedRate)
	}
	if r.Drained == nil {
		fmt.Fprintf(t, "delivered\t%-12d%.0f/s\n", r.Delivered, r.DeliveredRate)
	} else {
		fmt.Fprintf(t, "drained\t%-12d%.0f/s in %.1f s\n", r.Delivered, r.Drained.Rate, r.Drained.Seconds)
	}
	if r.Lost == nil {
		fmt.Fprintf(t, "lost\tnot known: it ended too early\n")
	} else {
		fmt.Fprintf(t, "lost\t%d\n", *r.Lost)
	}
	for _, count := range []struct {
		name string
		n    uint64
	}{{"refused", r.Refused}, {"repeated", r.Repeated}, {"late", r.Late}, {"foreign", r.Foreign}} {
		if count.n > 0 {
			fmt.Fprintf(t, "%s\t%d\n", count.name, count.n)
		}
	}
	if !r.Traffic.Absent {
		printLatency(t, "latency", r.Latency)
	}
	printLatency(t, "acknowledged after", r.AcknowledgedAfter)
	printCPU(t, "broker CPU", r.Broker)
	if r.Drained != nil {
		printCPU(t, "broker CPU, draining", r.Drained.Broker)
	}
	printCPU(t, "load CPU", r.Load)
	if m := r.Memory; m != nil {
		fmt.Fprintf(t, "broker memory\t%s idle, %s at most, %s at the end\n", megabytes(m.Idle), megabytes(m.Peak), megabytes(m.End))
		fmt.Fprintf(t, "above idle\t%s\n", megabytes(m.Peak-m.Idle))
	}
}

func printLatency(t io.Writer, name string, l *load.Latency) {
	if l == nil {
		return
	}
	fmt.Fprintf(t, "%s\tp50 %-10sp90 %-10sp99 %-10sp99.9 %-10smax %s\n", name,
		micros(l.P50), micros(l.P90), micros(l.P99), micros(l.P999), micros(l.Max))
}

func printCPU(t io.Writer, name string, c *load.CPU) {
	if c != nil {
		fmt.Fprintf(t, "%s\t%.2f µs a message, %.2f cores\n", name, c.PerMessage, c.Cores)
	}
}

// micros is a time with three figures that count.
func micros(us float64) string {
	switch {
	case us < 1e3:
		return fmt.Sprintf("%.3g µs", us)
	case us < 1e6:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.1f s", us/1e6)
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// idleReport is the report of idle connections.
type idleReport struct{ *load.IdleResult }

func (r idleReport) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Scenario string `json:"scenario"`
		*load.IdleResult
	}{"idle", r.IdleResult})
}

func (r idleReport) broken() []string { return nil }

func (r idleReport) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "idle\t%d connections, opened in %.2f s, held %.1f s\n", r.Connections, r.ConnectSeconds, r.IdleSeconds)
	if r.MemoryBefore > 0 {
		fmt.Fprintf(t, "broker memory\t%s without, %s with them\n", megabytes(r.MemoryBefore), megabytes(r.MemoryAfter))
		fmt.Fprintf(t, "a connection\t%.1f kB\n", r.PerConnection/1e3)
	}
	if r.Cores != nil {
		fmt.Fprintf(t, "broker CPU\t%.2f %% of a core\n", *r.Cores*100)
	}
	_ = t.Flush()
}

// stormReport is the report of a storm.
type stormReport struct{ *load.StormResult }

func (r stormReport) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Scenario string `json:"scenario"`
		*load.StormResult
	}{"connect", r.StormResult})
}

func (r stormReport) broken() []string { return r.Broken() }

func (r stormReport) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "connect\t%d clients\n", r.Clients)
	if r.Seconds > 0 {
		fmt.Fprintf(t, "connected\t%-12d%.0f/s\n", r.Connections, r.Rate)
		printLatency(t, "to CONNACK", r.Connect)
	}
	if r.Refused > 0 {
		fmt.Fprintf(t, "refused\t%d; the first: %s\n", r.Refused, r.Refusal)
	}
	fmt.Fprintf(t, "others\t%s\n", describe(&r.Before.Traffic))
	printLatency(t, "before", r.Before.Latency)
	if r.During != nil {
		printLatency(t, "in the storm", r.During.Latency)
		printCPU(t, "broker CPU", r.During.Broker)
	}
	_ = t.Flush()
}

// benchProgress shows how it goes: a line that renews itself on a terminal,
// nothing elsewhere.
type benchProgress struct {
	w        io.Writer
	terminal bool
}

func newBenchProgress(w io.Writer) benchProgress { return benchProgress{w, gateway.IsTerminal(w)} }

func (b benchProgress) show(p load.Progress) {
	if !b.terminal {
		return
	}
	parts := []string{
		fmt.Sprintf("%s %s", p.Elapsed.Round(time.Second), p.Phase),
		fmt.Sprintf("%d connections", p.Connections),
	}
	for _, rate := range []struct {
		name string
		n    float64
	}{{"sent", p.Sent}, {"acknowledged", p.Acknowledged}, {"delivered", p.Delivered}} {
		if rate.n > 0 {
			parts = append(parts, fmt.Sprintf("%.0f/s %s", rate.n, rate.name))
		}
	}
	if p.Memory > 0 {
		parts = append(parts, "broker "+megabytes(p.Memory))
	}
	fmt.Fprint(b.w, clearLine+strings.Join(parts, "   "))
}

func (b benchProgress) end() {
	if b.terminal {
		fmt.Fprint(b.w, clearLine)
	}
}
