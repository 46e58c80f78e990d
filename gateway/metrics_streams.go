package gateway

import "github.com/fascia-edge/fascia/streammgr"

func (m metrics) streams(st *streammgr.Status) {
	m.flag("fascia_streams_ready", "1 when the streams can be used.", st.Ready())
	if c := st.Clients; c != nil {
		m.gauge("fascia_stream_clients", "Clients of the Stream Manager protocol that are connected.", float64(c.Connected))
		m.counter("fascia_stream_client_requests_total", "Requests of these clients.", c.Requests)
		m.counter("fascia_stream_client_errors_total", "Requests of these clients that were answered with an error.", c.Failed)
		const refused, refusedHelp = "fascia_stream_clients_refused_total", "Connections of these clients that were refused, by reason."
		m.counter(refused, refusedHelp, c.Refused, "reason", "too_many")
		m.counter(refused, refusedHelp, c.Unauthorised, "reason", "token")
	}
	for i := range st.Streams {
		m.stream(&st.Streams[i])
	}
}

func (m metrics) stream(s *streammgr.StreamStatus) {
	m = m.of("stream", s.Name)
	for _, state := range streammgr.StreamStates {
		m.of("state", state).flag("fascia_stream_state", "1 for the state that the stream has.", s.State == state)
	}
	m.gauge("fascia_stream_messages", "Messages in the stream.", float64(s.Messages))
	m.gauge("fascia_stream_bytes", "Bytes of the stream, with what is stored beside the payloads.", float64(s.Bytes))
	m.gauge("fascia_stream_size_bytes", "Bytes that the stream may have.", float64(s.Size))
	m.gauge("fascia_stream_oldest_seconds", "Age of the oldest message.", s.Oldest)
	m.gauge("fascia_stream_unsynced_messages", "Messages that a loss of power takes.", float64(s.Next-min(s.Synced, s.Next)))
	m.counter("fascia_stream_appended_total", "Messages appended.", s.Appended)
	m.counter("fascia_stream_appended_bytes_total", "Bytes of the messages appended.", s.AppendedBytes)
	m.counter("fascia_stream_refused_total", "Messages refused because the stream was full.", s.Refused)
	m.counter("fascia_stream_removed_total", "Messages removed by size, age or purge.", s.Removed)
	m.counter("fascia_stream_dropped_total", "Messages removed that an exporter did not have.", s.Dropped)
	m.counter("fascia_stream_lost_total", "Messages that the disk lost.", s.Lost)
	m.counter("fascia_stream_syncs_total", "fsyncs of the stream.", s.Syncs)
	for _, f := range s.Feeds {
		m.streamFeed(f)
	}
	for i := range s.Exporters {
		m.exporter(&s.Exporters[i])
	}
}

func (m metrics) streamFeed(f streammgr.FeedStatus) {
	m = m.of("feed", f.Name())
	m.gauge("fascia_stream_feed_waiting", "Published messages that wait to be taken into the stream.", float64(f.Waiting))
	for reason, n := range f.Dropped {
		m.counter("fascia_stream_feed_dropped_total", "What a feed did not bring into the stream, by reason.", n, "reason", reason)
	}
}

func (m metrics) exporter(x *streammgr.ExporterStatus) {
	m = m.of("exporter", x.Name, "kind", x.Kind)
	m.of("state", string(x.State)).gauge("fascia_exporter_state", "Always 1; the state is in the label.", 1)
	m.gauge("fascia_exporter_lag_messages", "Messages that the exporter has not delivered.", float64(x.LagMessages))
	m.gauge("fascia_exporter_lag_bytes", "Bytes of those, about.", float64(x.LagBytes))
	m.gauge("fascia_exporter_lag_seconds", "Age of the oldest of them.", x.LagSeconds)
	m.counter("fascia_exporter_messages_total", "Messages that the far side has taken.", x.Messages)
	m.counter("fascia_exporter_bytes_in_total", "Bytes of these messages.", x.BytesIn)
	m.counter("fascia_exporter_bytes_out_total", "Bytes that went out for them.", x.BytesOut)
	m.counter("fascia_exporter_batches_total", "Batches tried.", x.Batches)
	m.counter("fascia_exporter_errors_total", "Batches that failed.", x.Errors)
	m.counter("fascia_exporter_throttled_total", "Batches that failed because the far side takes less.", x.Throttled)
	m.counter("fascia_exporter_unfit_total", "Messages that can never be delivered there.", x.Unfit)
	m.counter("fascia_exporter_missed_total", "Messages that the stream removed or lost before they were delivered.", x.Missed)
}
