package gateway

import "github.com/fascia-edge/fascia/bridge"

func (m metrics) links(list []bridge.LinkStatus) {
	for _, s := range list {
		m := m.of("link", s.Name)
		m.flag("fascia_link_up", "1 while the link is connected.", s.State == "up")
		m.gauge("fascia_link_rtt_seconds", "How long the far side takes to answer, smoothed; 0 while that is not known.", s.RTT/1e3)
		m.gauge("fascia_link_unacknowledged_messages", "Messages sent that the far side has not answered.", float64(s.Unacknowledged))
		const bytes, bytesHelp = "fascia_link_bytes_total", "Bytes on the wire, TLS included."
		m.counter(bytes, bytesHelp, s.BytesOut, "direction", "up")
		m.counter(bytes, bytesHelp, s.BytesIn, "direction", "down")
		for reason, n := range s.Ignored {
			m.counter("fascia_link_ignored_total", "Messages of the far side that came to no rule, by reason.", n, "reason", reason)
		}
		m.counter("fascia_link_forgotten_requests_total", "Requests whose answers can't cross any more: there was no room to remember them.", s.Forgotten)
		for _, c := range s.Classes {
			m.class(c)
		}
		for _, r := range s.Rules {
			m.linkRule(r)
		}
		m.gauge("fascia_link_dead_letters", "Messages that the far side refused for good.", float64(s.Dead.Messages))
		m.gauge("fascia_link_dead_letter_bytes", "Bytes of those.", float64(s.Dead.Bytes))
		m.counter("fascia_link_dead_letters_dropped_total", "Dead letters that made room for newer ones.", s.Dead.Dropped)
		if b := s.Budget; b != nil {
			m.gauge("fascia_link_budget_bytes", "Bytes on the wire that the month may cost.", float64(b.Month))
			m.gauge("fascia_link_budget_used_bytes", "Bytes on the wire that it has cost.", float64(b.Used))
		}
	}
}

func (m metrics) class(c bridge.ClassStatus) {
	m = m.of("class", c.Name)
	m.gauge("fascia_spool_messages", "Messages that wait for the far side, those not acknowledged too.", float64(c.Messages))
	m.gauge("fascia_spool_bytes", "Bytes of those.", float64(c.Bytes))
	m.gauge("fascia_spool_oldest_seconds", "Age of the oldest of them.", c.Oldest)
	m.counter("fascia_spool_sent_total", "Messages that the far side has acknowledged, or that were sent at QoS 0.", c.Sent)
	m.counter("fascia_spool_resent_total", "Messages that were sent more than once.", c.Again)
	for reason, n := range c.Dropped {
		m.counter("fascia_spool_dropped_total", "Messages that the far side did not get, by reason.", n, "reason", reason)
	}
}

func (m metrics) linkRule(r bridge.RuleStatus) {
	m = m.of("rule", r.Rule, "direction", r.Direction)
	const messages, messagesHelp = "fascia_rule_messages_total", "Messages that a rule has met, by what became of them."
	m.counter(messages, messagesHelp, r.Messages, "outcome", "carried")
	for reason, n := range r.Dropped {
		m.counter(messages, messagesHelp, n, "outcome", reason)
	}
	m.counter("fascia_rule_unthinned_total", "Messages that went up as they were: the rule remembers no more topics.", r.Unthinned)
	m.counter("fascia_rule_bytes_total", "Bytes of the packets that a rule has carried.", r.Bytes)
}
