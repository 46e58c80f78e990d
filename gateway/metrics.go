package gateway

import (
	"fmt"
	"net"
	"net/http"
	"slices"

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
	m := metrics{ch: ch}
	m.flag("fascia_ready", "1 when everything has started.", c.g.Ready())
	m.gauge("fascia_info", "Always 1; the version is in the label.", 1, "version", c.g.options.Version)
	m.broker(c.g.broker.Stats())
	m.sessions(c.g.broker.Clients())
	m.receivers(c.g.broker.Durables())
	if st := c.g.store.Load(); st != nil {
		m.store(st.Stats())
	}
	m.buses(c.g.buses.Status())
	m.recordings(c.g.buses.Recordings())
	m.links(c.g.linkStatus())
	if st := c.g.streamStatus(); st != nil {
		m.streams(st)
	}
	m.act(c.g.buses.Gate().Rules(), c.g.buses.Gate().Lost())
	m.health(c.g.buses.Health())
}

// metrics takes what the rooms count; label names and values come in pairs.
type metrics struct {
	ch     chan<- prometheus.Metric
	labels []string // of each
}

// of is the metrics of one thing, which those labels name.
func (m metrics) of(labels ...string) metrics {
	return metrics{m.ch, slices.Concat(m.labels, labels)}
}

func (m metrics) counter(name, help string, value uint64, labels ...string) {
	m.ch <- constMetric(prometheus.CounterValue, name, help, float64(value), slices.Concat(m.labels, labels))
}

func (m metrics) gauge(name, help string, value float64, labels ...string) {
	m.ch <- constMetric(prometheus.GaugeValue, name, help, value, slices.Concat(m.labels, labels))
}

// flag is a gauge that is 1 or 0.
func (m metrics) flag(name, help string, set bool) {
	value := 0.0
	if set {
		value = 1
	}
	m.gauge(name, help, value)
}

func (m metrics) buses(list []canbus.BusStatus) {
	for _, bus := range list {
		m := m.of("bus", bus.Name)
		m.flag("fascia_can_bus_active", "1 while frames can come.", bus.Active())
		for _, state := range canbus.BusStates {
			m.of("state", state).flag("fascia_can_bus_state", "1 for the state that the bus has.", bus.State == state)
		}
		for _, kind := range canbus.ErrorKinds {
			m.counter("fascia_can_errors_total", "What the CAN controller's error frames told, by kind.", bus.Errors[kind], "kind", kind)
		}
		const frames, framesHelp = "fascia_can_frames_total", "Frames received, by what became of them."
		m.counter(frames, framesHelp, bus.Decoded, "outcome", "decoded")
		m.counter(frames, framesHelp, bus.Unused, "outcome", "unused")
		m.counter(frames, framesHelp, bus.Unknown, "outcome", "unknown_id")
		m.counter(frames, framesHelp, bus.Short, "outcome", "short")
		m.counter(frames, framesHelp, bus.Other, "outcome", "remote_or_error")
		m.counter("fascia_can_invalid_values_total", "Values outside their type, range or enumeration.", bus.Invalid)
		m.counter("fascia_can_skipped_values_total", "Values that a mapping of KUKSA's leaves out.", bus.Skipped)
		const lost, lostHelp = "fascia_can_source_faults_total", "What a source could not use, by kind."
		m.counter(lost, lostHelp, bus.TornLines, "kind", "torn_line")
		m.counter(lost, lostHelp, bus.ClockJumps, "kind", "clock_jump")
		m.counter(lost, lostHelp, bus.BadDatagrams, "kind", "bad_datagram")
		m.counter(lost, lostHelp, bus.Dropped, "kind", "dropped")
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
