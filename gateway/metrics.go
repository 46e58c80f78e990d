package gateway

import (
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
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
	counter := func(name, help string, value uint64, labels ...string) {
		ch <- constMetric(prometheus.CounterValue, name, help, float64(value), labels)
	}
	gauge := func(name, help string, value float64, labels ...string) {
		ch <- constMetric(prometheus.GaugeValue, name, help, value, labels)
	}
	ready := 0.0
	if c.g.Ready() {
		ready = 1
	}
	gauge("fascia_ready", "1 when everything has started.", ready)
	gauge("fascia_info", "Always 1; the version is in the label.", 1, "version", c.g.options.Version)

	b := c.g.broker.Stats()
	gauge("fascia_broker_connections", "Open connections, CONNECT or not.", float64(b.Connections))
	gauge("fascia_broker_clients", "Connected clients.", float64(b.Clients))
	gauge("fascia_broker_sessions", "Sessions, connected or kept.", float64(b.Sessions))
	gauge("fascia_broker_subscriptions", "Subscriptions.", float64(b.Subscriptions))
	gauge("fascia_broker_retained_messages", "Retained messages.", float64(b.Retained))
	gauge("fascia_broker_retained_bytes", "Bytes of retained messages.", float64(b.RetainedBytes))
	gauge("fascia_broker_last_values", "Last known values.", float64(b.Values))
	counter("fascia_broker_connections_accepted_total", "Connections accepted.", b.ConnectionsAccepted)
	counter("fascia_broker_connections_refused_total", "Connections refused: over a limit, by handshake or CONNECT.", b.ConnectionsRefused)
	counter("fascia_broker_messages_received_total", "PUBLISH packets of clients.", b.MessagesReceived)
	counter("fascia_broker_messages_sent_total", "PUBLISH packets to clients.", b.MessagesSent)
	counter("fascia_broker_bytes_received_total", "Bytes from clients.", b.BytesReceived)
	counter("fascia_broker_bytes_sent_total", "Bytes to clients.", b.BytesSent)
	counter("fascia_broker_publishes_refused_total", "Messages that a client was not authorised to publish.", b.PublishesRefused)
	counter("fascia_broker_subscriptions_refused_total", "Subscriptions that a client was not authorised to.", b.SubscriptionsRefused)
	counter("fascia_broker_values_refused_total", "Messages to last known values that are none.", b.ValuesRefused)
	counter("fascia_broker_retained_refused_total", "Messages not retained because the store is full.", b.RetainedRefused)
	const dropped, droppedHelp = "fascia_broker_messages_dropped_total", "Messages dropped, by reason."
	counter(dropped, droppedHelp, b.DroppedQoS0, "reason", "connection_full")
	counter(dropped, droppedHelp, b.DroppedSession, "reason", "session_full")
	counter(dropped, droppedHelp, b.DroppedExpired, "reason", "expired")
	counter(dropped, droppedHelp, b.DroppedTooLarge, "reason", "too_large")

	for _, bus := range c.g.buses.Status() {
		up := 0.0
		if bus.Active() {
			up = 1
		}
		gauge("fascia_can_bus_active", "1 while frames can come.", up, "bus", bus.Name)
		const frames, framesHelp = "fascia_can_frames_total", "Frames received, by what became of them."
		counter(frames, framesHelp, bus.Decoded, "bus", bus.Name, "outcome", "decoded")
		counter(frames, framesHelp, bus.Unused, "bus", bus.Name, "outcome", "unused")
		counter(frames, framesHelp, bus.Unknown, "bus", bus.Name, "outcome", "unknown_id")
		counter(frames, framesHelp, bus.Short, "bus", bus.Name, "outcome", "short")
		counter(frames, framesHelp, bus.Other, "bus", bus.Name, "outcome", "remote_or_error")
		counter("fascia_can_invalid_values_total", "Values outside their type, range or enumeration.", bus.Invalid, "bus", bus.Name)
		const lost, lostHelp = "fascia_can_source_faults_total", "What a source could not use, by kind."
		counter(lost, lostHelp, bus.TornLines, "bus", bus.Name, "kind", "torn_line")
		counter(lost, lostHelp, bus.ClockJumps, "bus", bus.Name, "kind", "clock_jump")
		counter(lost, lostHelp, bus.BadDatagrams, "bus", bus.Name, "kind", "bad_datagram")
		counter(lost, lostHelp, bus.Dropped, "bus", bus.Name, "kind", "dropped")
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
