package load

import (
	"fmt"
	"time"
)

// Result is what a load of messages came to. Counts are of the whole run, rates
// and CPU times of the part that was measured.
type Result struct {
	// Traffic is the load.
	Traffic Traffic `json:"traffic"`
	// Seconds is how long was measured.
	Seconds float64 `json:"seconds"`
	// Interrupted tells that the run was ended before its time.
	Interrupted bool `json:"interrupted,omitempty"`

	// Sent counts messages that were handed to the network.
	Sent uint64 `json:"sent"`
	// Acknowledged counts those that the broker accepted at QoS 1 or 2.
	Acknowledged uint64 `json:"acknowledged,omitempty"`
	// Refused counts those that it refused by a reason code.
	Refused uint64 `json:"refused,omitempty"`
	// Delivered counts first deliveries, over all subscribers.
	Delivered uint64 `json:"delivered"`
	// SentRate, AcknowledgedRate and DeliveredRate are messages a second.
	SentRate         float64 `json:"sent_per_s"`
	AcknowledgedRate float64 `json:"acknowledged_per_s,omitempty"`
	DeliveredRate    float64 `json:"delivered_per_s"`

	// Latency is the time from publisher to subscriber, nil without a delivery.
	// For absent subscribers it is how long messages waited.
	Latency *Latency `json:"latency,omitempty"`
	// AcknowledgedAfter is the time from PUBLISH to the end of the handshake.
	AcknowledgedAfter *Latency `json:"acknowledged_after,omitempty"`

	// Lost counts deliveries that did not come of messages that were sent and, at
	// QoS 1 and 2, accepted; nil when the run ended before they could.
	Lost *uint64 `json:"lost,omitempty"`
	// Repeated counts second deliveries. The repetition of a packet that was not
	// acknowledged at QoS 2 is none.
	Repeated uint64 `json:"repeated,omitempty"`
	// Late counts first deliveries behind a newer message of the same publisher
	// to the same subscriber. In a group that shares a subscription there is no
	// such order.
	Late uint64 `json:"late,omitempty"`
	// Foreign counts messages that this run did not send.
	Foreign uint64 `json:"foreign,omitempty"`
	// Broken says, one sentence each, which promises of MQTT were not kept.
	Broken []string `json:"broken,omitempty"`

	// Broker is the CPU time of the broker, nil if it isn't known.
	Broker *CPU `json:"broker,omitempty"`
	// Load is the CPU time of this process, nil if it isn't known.
	Load *CPU `json:"load,omitempty"`
	// Memory is that of the broker, nil if it isn't known.
	Memory *Memory `json:"memory,omitempty"`
	// Drained tells how absent subscribers got their messages, nil without any.
	Drained *Drained `json:"drained,omitempty"`
}

// CPU is CPU time used.
type CPU struct {
	// PerMessage is microseconds for each message delivered while it was measured,
	// or for each message sent if those were more.
	PerMessage float64 `json:"us_per_message"`
	// Cores is how many processors were busy on average.
	Cores float64 `json:"cores"`
}

// Memory is resident memory in bytes.
type Memory struct {
	// Idle is before the first connection.
	Idle uint64 `json:"idle_bytes"`
	// Held is when everything for absent subscribers had been accepted.
	Held uint64 `json:"held_bytes,omitempty"`
	// Peak is the most that was seen; it is looked at ten times a second.
	Peak uint64 `json:"peak_bytes"`
	// End is when everything was delivered.
	End uint64 `json:"end_bytes"`
}

// Drained is how absent subscribers got what had waited for them.
type Drained struct {
	// Seconds from connecting again to the last message.
	Seconds float64 `json:"seconds"`
	// Rate is messages a second.
	Rate float64 `json:"per_s"`
	// Broker is the CPU time of the broker, nil if it isn't known.
	Broker *CPU `json:"broker,omitempty"`
}

func (r *run) result() *Result {
	total := r.count()
	out := &Result{
		Traffic: r.t, Seconds: r.until.seconds(r.start), Interrupted: r.interrupted,
		Sent: total.sent, Acknowledged: total.acknowledged, Delivered: total.delivered,
	}
	out.SentRate, out.AcknowledgedRate, out.DeliveredRate = r.until.rates(r.start)
	var latency, acknowledged Histogram
	for _, p := range r.publishers {
		out.Refused += p.refused.Load()
		if p.window != nil {
			acknowledged.merge(&p.window.latency)
		}
	}
	var lastCame int64
	for _, s := range r.subscribers {
		latency.merge(&s.latency)
		out.Repeated += s.again
		if r.t.Shape != Shared { // where one gets what another left
			out.Late += s.late
		}
		out.Foreign += s.foreign
		lastCame = max(lastCame, s.lastCame.Load())
	}
	out.Latency, out.AcknowledgedAfter = latency.latency(), acknowledged.latency()
	if r.checked {
		lost := r.lost()
		out.Lost = &lost
	}
	out.Broken = out.broken()

	messages := max(r.until.counts.delivered-r.start.counts.delivered, r.until.counts.sent-r.start.counts.sent)
	out.Load = cpu(r.start.own, r.until.own, messages, out.Seconds)
	out.Broker = cpu(r.start.broker, r.until.broker, messages, out.Seconds)
	if r.meter.memory.Idle > 0 {
		out.Memory = &r.meter.memory
	}
	if r.returned.at > 0 && lastCame > 0 {
		out.Drained = r.backlog(total.delivered, lastCame)
	}
	return out
}

func (r *run) backlog(messages uint64, lastCame int64) *Drained {
	d := &Drained{Seconds: (&sample{at: lastCame}).seconds(r.returned)}
	d.Rate = float64(messages) / d.Seconds
	d.Broker = cpu(r.returned.broker, r.drained.broker, messages, d.Seconds)
	return d
}

// lost counts what is missing in the books, but for messages that the broker did
// not accept.
func (r *run) lost() (n uint64) {
	for i, s := range r.subscribers {
		if r.t.Shape == Shared && i > 0 {
			break // all have the same books
		}
		for j, p := range r.publishers {
			if !r.t.hears(i, j) {
				continue
			}
			ledger := &s.books.ledgers[j]
			n += ledger.lost(p.sent.Load())
			if p.window == nil {
				continue
			}
			for sequence := range p.window.unpromised {
				if sequence < p.sent.Load() && !ledger.has(sequence) {
					n--
				}
			}
		}
	}
	return n
}

// broken says which promises of MQTT were not kept (MQTT 5.0 §4.3, §4.6).
func (r *Result) broken() (list []string) {
	qos := r.Traffic.QoS
	if qos > 0 && r.Lost != nil && *r.Lost > 0 {
		list = append(list, fmt.Sprintf("%d deliveries of messages that the broker accepted at QoS %d did not come", *r.Lost, qos))
	}
	if qos != 1 && r.Repeated > 0 {
		list = append(list, fmt.Sprintf("%d messages of QoS %d came more than once", r.Repeated, qos))
	}
	if r.Late > 0 {
		list = append(list, fmt.Sprintf("%d messages came behind newer ones of their publisher", r.Late))
	}
	return list
}

// cpu is nil when a clock isn't known or there is nothing to divide by.
func cpu(before, after time.Duration, messages uint64, seconds float64) *CPU {
	if before == unknown || after == unknown || messages == 0 || seconds <= 0 {
		return nil
	}
	used := after - before
	return &CPU{PerMessage: micros(int64(used)) / float64(messages), Cores: used.Seconds() / seconds}
}
