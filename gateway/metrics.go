package gateway

import (
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fascia-edge/fascia/canbus"
)

// listenMetrics binds the server of /metrics, /healthz and /readyz.
func listenMetrics(address string, g *Gateway) (*httpServer, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{g})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n")) // who asked is gone: nobody to tell
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !g.Ready() {
			http.Error(w, "starting or stopping", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
	return newHTTPServer(ln, mux, g.log), nil
}

// collector reads the rooms' own counters at each scrape: nothing is counted
// twice, and the hot paths know nothing of Prometheus.
type collector struct{ g *Gateway }

func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	m := metrics{ch}
	ready := 0.0
	if c.g.Ready() {
		ready = 1
	}
	m.gauge("fascia_ready", "1 when everything has started.", ready)
	m.gauge("fascia_info", "Always 1; the version is in the label.", 1, "version", c.g.options.Version)
	m.broker(c.g.broker.Stats())
	m.sessions(c.g.broker.Clients())
	m.receivers(c.g.broker.Durables())
	if st := c.g.store.Load(); st != nil {
		m.store(st.Stats())
	}
	m.buses(c.g.buses.Status())
}

// metrics takes what the rooms count; label names and values come in pairs.
type metrics struct{ ch chan<- prometheus.Metric }

func (m metrics) counter(name, help string, value uint64, labels ...string) {
	m.ch <- constMetric(prometheus.CounterValue, name, help, float64(value), labels)
}

func (m metrics) gauge(name, help string, value float64, labels ...string) {
	m.ch <- constMetric(prometheus.GaugeValue, name, help, value, labels)
}

func (m metrics) buses(list []canbus.BusStatus) {
	for _, bus := range list {
		up := 0.0
		if bus.Active() {
			up = 1
		}
		m.gauge("fascia_can_bus_active", "1 while frames can come.", up, "bus", bus.Name)
		const frames, framesHelp = "fascia_can_frames_total", "Frames received, by what became of them."
		m.counter(frames, framesHelp, bus.Decoded, "bus", bus.Name, "outcome", "decoded")
		m.counter(frames, framesHelp, bus.Unused, "bus", bus.Name, "outcome", "unused")
		m.counter(frames, framesHelp, bus.Unknown, "bus", bus.Name, "outcome", "unknown_id")
		m.counter(frames, framesHelp, bus.Short, "bus", bus.Name, "outcome", "short")
		m.counter(frames, framesHelp, bus.Other, "bus", bus.Name, "outcome", "remote_or_error")
		m.counter("fascia_can_invalid_values_total", "Values outside their type, range or enumeration.", bus.Invalid, "bus", bus.Name)
		const lost, lostHelp = "fascia_can_source_faults_total", "What a source could not use, by kind."
		m.counter(lost, lostHelp, bus.TornLines, "bus", bus.Name, "kind", "torn_line")
		m.counter(lost, lostHelp, bus.ClockJumps, "bus", bus.Name, "kind", "clock_jump")
		m.counter(lost, lostHelp, bus.BadDatagrams, "bus", bus.Name, "kind", "bad_datagram")
		m.counter(lost, lostHelp, bus.Dropped, "bus", bus.Name, "kind", "dropped")
	}
}

// constMetric makes a metric out of name, value, label, value….
func constMetric(kind prometheus.ValueType, name, help string, value float64, pairs []string) prometheus.Metric {
	var names, values []string
	for i := 0; i+1 < len(pairs); i += 2 {
		names, values = append(names, pairs[i]), append(values, pairs[i+1])
	}
	return prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}
