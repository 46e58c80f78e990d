package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// warmUp is before the measurement: first values, buffers that grow.
const warmUp = 2 * time.Second

// result is one run.
type result struct {
	Cores              float64 // of CPU time a second
	Memory             float64 // resident, in MB
	Sent, Lost         uint64
	Values             float64 // a second and client
	Median, P99, Worst time.Duration
}

func measure(o options) (r result, err error) {
	g, err := start(o)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	began := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	failed := make(chan error, o.buses+o.clients)

	var hearers []*hearer
	for i := range o.clients {
		h, err := subscribeAll(g.address, fmt.Sprint("hearer", i), began)
		if err != nil {
			return r, err
		}
		defer h.socket.Close()
		hearers = append(hearers, h)
		running.Go(func() { failed <- h.run() })
	}
	var senders []*sender
	for _, to := range g.buses {
		s, err := newSender(to, schedule(o), began)
		if err != nil {
			return r, err
		}
		senders = append(senders, s)
		running.Go(func() { failed <- s.run(ctx) })
	}

	if err := pause(warmUp, failed); err != nil {
		return r, err
	}
	for _, h := range hearers {
		h.counts.Store(true)
	}
	used, from := cpu(g.cmd.Process.Pid), time.Now()
	if err := pause(o.duration, failed); err != nil {
		return r, err
	}
	spent, took := cpu(g.cmd.Process.Pid)-used, time.Since(from)
	var latencies []time.Duration
	messages := 0
	for _, h := range hearers {
		n, list := h.take()
		messages, latencies = messages+n, append(latencies, list...)
	}
	r.Memory = resident(g.cmd.Process.Pid)
	cancel()
	if err := pause(300*time.Millisecond, failed); err != nil {
		return r, err
	}
	for _, s := range senders {
		r.Sent += s.sent.Load()
	}
	frames, decoded, dropped, err := g.totals()
	if err != nil {
		return r, err
	}
	if decoded != frames {
		return r, fmt.Errorf("%d of %d frames were decoded", decoded, frames)
	}
	r.Lost = max(r.Sent-frames, dropped)
	r.Cores = spent.Seconds() / took.Seconds()
	r.Values = float64(messages) / took.Seconds() / float64(o.clients)
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		r.Median, r.P99, r.Worst = latencies[n/2], latencies[n*99/100], latencies[n-1]
	}
	return r, nil
}

// pause waits, unless somebody fails.
func pause(d time.Duration, failed <-chan error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case err := <-failed:
			if err != nil {
				return err
			}
		case <-timer.C:
			return nil
		}
	}
}

// cpu is the CPU time that a process has used (utime and stime of proc(5), in
// USER_HZ, which is 100 on every Linux).
func cpu(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is the memory of a process that is in RAM, in MB.
func resident(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages*os.Getpagesize()) / 1e6
}

// table prints the medians.
func table(w io.Writer, o options, results []result) {
	fmt.Fprintf(w, "%d CPUs, %s. Medians of %d runs of %v: %d buses at %d frames/s over UDP, %d paths at %d Hz, %d clients.\n\n",
		runtime.NumCPU(), runtime.Version(), len(results), o.duration, o.buses, o.rate, o.paths, slowRate, o.clients)
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(what, target, format string, value func(result) float64) {
		values := make([]float64, len(results))
		for i, r := range results {
			values[i] = value(r)
		}
		slices.Sort(values)
		fmt.Fprintf(t, "| %s\t| "+format+"\t| %s\t|\n", what, values[len(values)/2], target)
	}
	fmt.Fprintf(t, "| figure\t| measured\t| target\t|\n| ---\t| ---\t| ---\t|\n")
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	row("CPU of the gateway, of one core", "≤ 0.6, beyond 0.3", "%.2f", func(r result) float64 { return r.Cores })
	row("frames lost", "0", "%.0f", func(r result) float64 { return float64(r.Lost) })
	row("values a second and client", "", "%.0f", func(r result) float64 { return r.Values })
	row("frame sent → MQTT subscriber, p99", "≤ 5 ms, beyond 1 ms", "%.2f ms", func(r result) float64 { return ms(r.P99) })
	row("the same, median", "", "%.2f ms", func(r result) float64 { return ms(r.Median) })
	row("resident memory", "", "%.1f MB", func(r result) float64 { return r.Memory })
	_ = t.Flush()
}
