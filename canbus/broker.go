// Package canbus brings the vehicle's buses to topics: a frame comes from a
// source, a plan compiled from DBC and mapping files decodes it, the vehicle's
// state keeps the values, and the broker publishes them.
package canbus

import "context"

// Broker is what the buses need of the broker. All methods are safe for
// concurrent use; payloads must not be modified afterwards, except LastValue's.
type Broker interface {
	// LastValue returns the handle of a last-known-value topic.
	LastValue(topic string) LastValue
	// Publish publishes at QoS 1 and never blocks.
	Publish(topic string, payload []byte, contentType string, retain bool)
	// PublishWait publishes at QoS 1 as soon as every connected receiver has room
	// for it, or fails when ctx ends first. A log that is replayed as fast as it
	// goes waits for its readers; a live bus never does.
	PublishWait(ctx context.Context, topic string, payload []byte, contentType string) error
}

// LastValue is a topic whose last value a new subscriber gets at once.
type LastValue interface {
	// Set publishes the value to who listens and keeps a copy for who comes. It
	// never blocks.
	Set(payload []byte, contentType string)
	// Forget makes the topic one that has no value.
	Forget()
}
