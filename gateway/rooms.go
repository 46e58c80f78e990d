package gateway

import (
	"context"

	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/edgebroker"
)

// brokerForBuses is the broker as canbus needs it.
type brokerForBuses struct{ *edgebroker.Broker }

func (b brokerForBuses) LastValue(topic string) canbus.LastValue {
	return lastValue{b.Broker.LastValue(topic)}
}

func (b brokerForBuses) Publish(topic string, payload []byte, contentType string, retain bool) {
	// The topic and size are checked configuration; what else can fail (retained
	// messages full) the broker counts and logs.
	_ = b.Broker.Publish(edgebroker.Message{Topic: topic, Payload: payload, ContentType: contentType, QoS: 1, Retain: retain})
}

func (b brokerForBuses) PublishWait(ctx context.Context, topic string, payload []byte, contentType string) error {
	return b.Broker.PublishWait(ctx, edgebroker.Message{Topic: topic, Payload: payload, ContentType: contentType, QoS: 1})
}

type lastValue struct{ *edgebroker.LastValue }

func (v lastValue) Set(payload []byte, contentType string) {
	_ = v.LastValue.Set(payload, contentType) // fails for an empty payload only
}
