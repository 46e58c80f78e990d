package main

import (
	"fmt"
	"time"
)

// scenario is a disturbance and what is needed to measure it.
type scenario struct {
	name, text string
	disturb    string // name of the disturbance; "" for a broker that only holds much
	fill       bool   // the brokers hold retained messages
	retain     bool   // the calm pairs publish retained messages too
	tls        bool   // the disturbance comes by TLS
	limits     string // of our broker, beyond the defaults
}

// String is the name that -cases has for it.
func (c scenario) String() string { return c.name }

// allCases are the rows of the table, in its order.
func allCases(o options) []scenario {
	connections := fmt.Sprintf("connections: %d, sessions: %d", 2*o.clients+100, 2*o.clients+100)
	retained := fmt.Sprintf("retained_messages: %d, retained_bytes: 4GiB", o.retained+1000)
	return []scenario{
		{name: "deaf", text: "a subscriber to # that never reads, 2 MB/s for it at QoS 0", disturb: "deaf"},
		{name: "deaf-qos1", text: "the same at QoS 1", disturb: "deaf-qos1", limits: "session_messages: 2000000, session_bytes: 1GiB"},
		{name: "flood", text: "a publisher at full speed, QoS 0, one subscriber", disturb: "flood"},
		{name: "flood-nobody", text: "the same without a subscriber", disturb: "flood-nobody"},
		{name: "flood-qos1", text: "a publisher at full speed, QoS 1, one subscriber", disturb: "flood-qos1"},
		{name: "storm", text: fmt.Sprintf("%d clients connect at once, again and again", o.clients), disturb: "storm", limits: connections},
		{name: "storm-tls", text: "the same with TLS", disturb: "storm-tls", tls: true, limits: connections},
		{name: "levels", text: "64 levels: 512 filters with +, always new topics at full speed, SUBSCRIBE in a loop", disturb: "levels", limits: "topic_levels: 64"},
		{name: "million", text: fmt.Sprintf("%d retained topics", o.retained), fill: true, limits: retained},
		{name: "million-retained", text: "the same, the pairs' messages are retained too", fill: true, retain: true, limits: retained},
		{name: "search", text: "SUBSCRIBE in a loop, + in a filter over these topics", disturb: "search", fill: true, retain: true, limits: retained},
		{name: "fetch", text: "SUBSCRIBE to # in a loop: all these topics are sent", disturb: "fetch", fill: true, retain: true, limits: retained},
	}
}

const (
	calmPairs = 10
	calmRate  = 200 // messages a second of each pair
	calmSize  = 64
	warmUp    = 300 * time.Millisecond
	// lateAfter is how long a message of the calm pairs may take before it is lost.
	lateAfter = 10 * time.Second
)
