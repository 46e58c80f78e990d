package gateway

import (
	"cmp"
	"slices"

	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/store"
)

// shownSessions is how many sessions have metrics of their own: four each, so
// that a thousand clients can't fill Prometheus.
const shownSessions = 250

func (m metrics) broker(b edgebroker.Stats) {
	m.gauge("fascia_broker_connections", "Open connections, CONNECT or not.", float64(b.Connections))
	m.gauge("fascia_broker_clients", "Connected clients.", float64(b.Clients))
	m.gauge("fascia_broker_sessions", "Sessions, connected or kept.", float64(b.Sessions))
	m.gauge("fascia_broker_subscriptions", "Subscriptions.", float64(b.Subscriptions))
	m.gauge("fascia_broker_retained_messages", "Retained messages.", float64(b.Retained))
	m.gauge("fascia_broker_retained_bytes", "Bytes of retained messages.", float64(b.RetainedBytes))
	m.gauge("fascia_broker_last_values", "Last known values.", float64(b.Values))
	m.counter("fascia_broker_connections_accepted_total", "Connections accepted.", b.ConnectionsAccepted)
	m.counter("fascia_broker_connections_refused_total", "Connections refused: over a limit, by handshake or CONNECT.", b.ConnectionsRefused)
	m.counter("fascia_broker_messages_received_total", "PUBLISH packets of clients.", b.MessagesReceived)
	m.counter("fascia_broker_messages_sent_total", "PUBLISH packets to clients.", b.MessagesSent)
	m.counter("fascia_broker_bytes_received_total", "Bytes from clients.", b.BytesReceived)
	m.counter("fascia_broker_bytes_sent_total", "Bytes to clients.", b.BytesSent)
	m.counter("fascia_broker_publishes_refused_total", "Messages that a client was not authorised to publish.", b.PublishesRefused)
	m.counter("fascia_broker_publishes_rejected_total", "Messages refused because they could not be stored, or a queue that rejects was full.", b.Rejected)
	m.counter("fascia_broker_subscriptions_refused_total", "Subscriptions that a client was not authorised to.", b.SubscriptionsRefused)
	m.counter("fascia_broker_values_refused_total", "Messages to last known values that are none.", b.ValuesRefused)
	m.counter("fascia_broker_retained_refused_total", "Messages not retained because there is no room for more.", b.RetainedRefused)
	m.counter("fascia_broker_unreadable_total", "Stored sessions, subscriptions and retained messages that could not be read at the start.", b.Unreadable)
	for reason, n := range b.DroppedByReason() {
		m.counter("fascia_broker_messages_dropped_total", "Messages dropped on the way to a receiver, by reason.", n, "reason", reason)
	}
	for _, l := range b.Listeners {
		m := m.of("listener", l.Listener)
		m.gauge("fascia_listener_connections", "Open connections of a listener, CONNECT or not.", float64(l.Open))
		m.counter("fascia_listener_accepted_total", "Connections that a listener accepted.", l.Accepted)
		for reason, n := range l.Refused {
			m.counter("fascia_listener_refused_total", "Connections that a listener refused, by the limit that they were over, or what they failed at.", n, "reason", reason)
		}
	}
}

// sessions shows those in which most waits.
func (m metrics) sessions(list []edgebroker.ClientInfo) {
	const shown = " The 250 sessions in which most waits have it."
	slices.SortStableFunc(list, func(a, b edgebroker.ClientInfo) int { return cmp.Compare(b.QueueBytes, a.QueueBytes) })
	for _, s := range list[:min(len(list), shownSessions)] {
		m := m.of("client", s.ID)
		m.gauge("fascia_session_queued_messages", "QoS 1 and 2 messages that wait in a session."+shown, float64(s.Queued))
		m.gauge("fascia_session_queue_bytes", "Bytes that wait in a session and for its socket."+shown, float64(s.QueueBytes))
		m.gauge("fascia_session_inflight_messages", "Messages sent to a client and not acknowledged."+shown, float64(s.Inflight))
		m.counter("fascia_session_dropped_total", "Messages that a client did not get."+shown, s.Dropped)
	}
}

func (m metrics) receivers(list []edgebroker.DurableStats) {
	for _, d := range list {
		m := m.of("receiver", d.Name)
		m.gauge("fascia_receiver_queued_messages", "Messages that wait for a durable receiver of the gateway.", float64(d.Messages))
		m.gauge("fascia_receiver_queue_bytes", "Bytes of those.", float64(d.Bytes))
		m.counter("fascia_receiver_done_total", "Messages that a durable receiver took.", d.Done)
		m.counter("fascia_receiver_retries_total", "Times that a durable receiver failed to take a message.", d.Retried)
		m.counter("fascia_receiver_dropped_total", "Messages that a durable receiver did not get.", d.Dropped)
	}
}

func (m metrics) store(s store.Stats) {
	m.flag("fascia_store_refuses", "1 while messages that must be stored are refused; `fascia status` says why.", s.Refuses != "")
	m.gauge("fascia_store_bytes", "Bytes that the store takes on disk.", float64(s.Bytes))
	m.gauge("fascia_store_free_bytes", "Bytes free on the file system when last looked at.", float64(s.Free))
	m.gauge("fascia_store_queued_bytes", "Bytes of messages that wait in queues; one counts in each queue.", float64(s.Queued))
	m.gauge("fascia_store_state_bytes", "Bytes of small state: sessions, subscriptions, retained messages.", float64(s.State))
	m.counter("fascia_store_written_bytes_total", "Bytes written: the wear of the flash.", uint64(s.Written))
	m.counter("fascia_store_commits_total", "Transactions committed.", uint64(s.Commits))
	m.counter("fascia_store_syncs_total", "Syncs of the log to the disk.", uint64(s.Syncs))
	m.gauge("fascia_store_slowest_sync_seconds", "The longest sync since the start.", s.SlowestSync.Seconds())
	m.counter("fascia_store_snapshots_total", "Snapshots taken.", uint64(s.Snapshots))
	m.counter("fascia_store_compactions_total", "Segments of the log rewritten.", uint64(s.Compactions))
	m.counter("fascia_store_corrupt_records_total", "Damaged records found.", uint64(s.Corrupt))
	m.counter("fascia_store_lost_messages_total", "Waiting messages that damage has cost.", uint64(s.Lost))
}
