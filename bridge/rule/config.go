package rule

import (
	"math"
	"strings"

	"github.com/fascia-edge/fascia/bridge/batch"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/topic"
)

// The directions of a rule.
const (
	directionUp   = "up"
	directionDown = "down"
)

// What becomes of RETAIN.
const (
	retainKeep   = "keep"
	retainAlways = "always"
	retainNever  = "never"
)

// What becomes of a message that is too large for the far side.
const (
	OversizeDead   = "dead"
	OversizeDrop   = "drop"
	OversizeStream = "stream:" // and the stream's name
)

// Config is one rule.
type Config struct {
	// Name of the rule in status, metrics and dead letters; without it the rule is told by its topics. Give one to a rule whose topics may change while messages wait for it.
	Name string `yaml:"name"`
	// up carries messages from the vehicle to the far side, down the other way.
	Direction string `yaml:"direction" required:"true" enum:"up,down"`
	// Topics in the vehicle: for up a filter that says what is taken, for down the topic to publish on, where ${1} to ${9} stand for what the wildcards of remote matched.
	Local string `yaml:"local" required:"true" template:"vin,thing,1,2,3,4,5,6,7,8,9"`
	// Topics at the far side: for down a filter that says what is taken, for up the topic to publish on, where ${1} to ${9} stand for what the wildcards of local matched, ${path} for the VSS path of a topic below vss/, ${path.} for that path with dots and ${time} for when the message was accepted.
	Remote string `yaml:"remote" required:"true" template:"vin,thing,1,2,3,4,5,6,7,8,9,path,path.,time"`
	// Highest QoS, 0 or 1: a message of QoS 0 stays one. What is of QoS 1 is in the store before its publisher hears of it and goes to the far side at least once.
	QoS int `yaml:"qos" default:"1" min:"0" max:"2"`
	// RETAIN as the publisher had it (keep), always or never; without it keep for up and never for down.
	Retain string `yaml:"retain" enum:"keep,always,never"`
	// Priority class that the messages wait in, one of the link's; without it the last one.
	Class string `yaml:"class"`
	// Age at which a message is too old to be sent; 0s is never. The message's own expiry and the class's age count too.
	TTL config.Duration `yaml:"ttl" default:"0s"`
	// User properties to add (MQTT 5), by name; they replace those of that name. An up rule adds the VIN as vin; an empty text here leaves it out.
	UserProperties map[string]string `yaml:"user_properties" template:"vin,thing,1,2,3,4,5,6,7,8,9,path,path.,time"`
	// Add the property fascia-way, which tells a message that has come round in a circle; false saves its 23 bytes where no circle can be.
	Way bool `yaml:"way" default:"true"`

	// Condition over the vehicle's state that must hold for a message to be taken, such as Vehicle.Speed > 0 and not Link.cloud.metered; a value that is missing makes it false.
	When string `yaml:"when"`
	// Take one of so many messages of a topic.
	Sample int `yaml:"sample" default:"1" min:"1"`
	// Shortest time between two messages of a topic; of those that come in between, the last goes when it ends.
	MinInterval config.Duration `yaml:"min_interval" default:"0s"`
	// Take a message only if its value differs from the topic's last one taken: the member "value" of a JSON object, the first item of a CBOR list of two, else the whole payload.
	OnChange bool `yaml:"on_change" default:"false"`
	// Take a number only if it differs from the topic's last one taken by more than this.
	Deadband float64 `yaml:"deadband" default:"0" min:"0"`

	// Put messages together into one, whose payload keeps the topic, the time and the content type of each.
	Batch *batch.Config `yaml:"batch"`
	// A message that is too large for the far side, or for a batch: dead keeps it as a dead letter, drop drops it, stream:<name> puts it into that stream; each is counted.
	Oversize string `yaml:"oversize"`
	// Add the user property message-id, which no other message ever has: the far side can tell what came twice.
	MessageID bool `yaml:"message_id" default:"false"`
	// Prefix of topics at the far side on which answers to the vehicle's requests are awaited: a response topic is rewritten to one below it. Without it response topics stay in the vehicle.
	Responses string `yaml:"responses" template:"vin,thing"`

	// Drop a message whose user property message-id came before, among the last 10,000 since the start of the gateway.
	Dedupe bool `yaml:"dedupe" default:"false"`
	// Take a message only while it is fresh, by a time that it carries.
	Valid *ValidConfig `yaml:"valid"`
}

// ValidConfig is where a message of the far side carries its time, and what that may
// be: one of level, property and payload. A time is RFC 3339 or a number since 1970,
// of seconds, or of milliseconds where it has 12 digits or more.
type ValidConfig struct {
	// Level of the topic that holds the time, counted from 1.
	Level int `yaml:"level" default:"0" min:"0"`
	// User property that holds it.
	Property string `yaml:"property"`
	// Place in a JSON payload that holds it, as a JSON pointer such as /ts (RFC 6901).
	Payload string `yaml:"payload"`
	// Age from which on the message is refused.
	MaxAge config.Duration `yaml:"max_age" required:"true" min:"1ms"`
	// How far ahead of the vehicle's clock the time may be.
	MaxAhead config.Duration `yaml:"max_ahead" default:"5s"`
	// What becomes of messages while the vehicle's clock is not synchronised: refuse, or accept without looking at the time.
	Unsynchronised string `yaml:"unsynchronised" default:"refuse" enum:"refuse,accept"`
}

// Validate checks what can be told without the link that the rule is of; Compile
// checks the rest.
func (c *Config) Validate(r *config.Reporter) {
	if c.QoS == 2 {
		r.At("qos").Errorf("want 0 or 1: a link speaks no QoS 2; message_id (and dedupe on a down rule) tells what came twice")
	}
	if math.IsNaN(c.Deadband) || math.IsInf(c.Deadband, 0) {
		r.At("deadband").Errorf("want a number of 0 or more")
	}
	for name := range c.UserProperties {
		if name == "" || len(name) > topic.MaxLength {
			r.At("user_properties", name).Errorf("want a name of 1 to %d bytes", topic.MaxLength)
		} else if name == wayProperty || name == idProperty {
			r.At("user_properties", name).Errorf("%s is what the bridge itself writes: want another name", name)
		}
	}
	if c.Direction == directionUp {
		c.validateUp(r)
	} else {
		c.validateDown(r)
	}
}

func (c *Config) validateUp(r *config.Reporter) {
	const down = "a key of down rules: what goes up is not judged by it"
	if c.Dedupe {
		r.At("dedupe").Errorf("%s", down)
	}
	if c.Valid != nil {
		r.At("valid").Errorf("%s", down)
	}
	if c.Batch != nil {
		if c.MessageID {
			r.At("message_id").Errorf("a batch that is sent again may hold more than it did: want message_id on rules without batch")
		}
		if c.Responses != "" {
			r.At("responses").Errorf("a batch has no response topics: want responses on rules without batch")
		}
	}
	if name, isStream := strings.CutPrefix(c.Oversize, OversizeStream); isStream && name == "" || !isStream && c.Oversize != "" && c.Oversize != OversizeDead && c.Oversize != OversizeDrop {
		r.At("oversize").Errorf("want dead, drop or stream:<name>, got %q", c.Oversize)
	}
}

func (c *Config) validateDown(r *config.Reporter) {
	given := []struct {
		key string
		is  bool
	}{
		{"class", c.Class != ""}, {"ttl", c.TTL != 0}, {"sample", c.Sample != 1}, {"min_interval", c.MinInterval != 0},
		{"on_change", c.OnChange}, {"deadband", c.Deadband != 0}, {"oversize", c.Oversize != ""}, {"message_id", c.MessageID},
		{"responses", c.Responses != ""}, {"batch", c.Batch != nil},
	}
	for _, g := range given {
		if g.is {
			r.At(g.key).Errorf("a key of up rules: what comes down is published at once and whole")
		}
	}
}

// Validate checks that there is one place to look for the time.
func (c *ValidConfig) Validate(r *config.Reporter) {
	given := 0
	for _, is := range []bool{c.Level > 0, c.Property != "", c.Payload != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		r.Errorf("want one of level, property and payload: where the message carries its time")
	}
	if c.Payload != "" {
		if _, err := parsePointer(c.Payload); err != nil {
			r.At("payload").Errorf("%v", err)
		}
	}
}
