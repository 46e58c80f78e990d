package export

import (
	"time"

	"github.com/fascia-edge/fascia/config"
)

// Sizes of a batch where neither the configuration nor the kind of target says
// anything.
const (
	DefaultBatchSize  = 10_000
	DefaultBatchBytes = 1 << 20
)

// LowestPriority is the priority of an exporter that has none.
const LowestPriority = 11

// Config is what all exporters have, whatever their target; its keys stand among
// those of the exporter.
type Config struct {
	// Name of the exporter in commands and metrics, and of its checkpoint: one that gets another name begins with the oldest message.
	Name string `yaml:"name" required:"true"`
	// Messages of a batch at most; without it 10000, or what suits the target.
	BatchSize int `yaml:"batch_size" min:"1" max:"100000"`
	// Bytes of payloads of a batch at most, unless its only message is larger; without it 1MiB, or what suits the target. A batch is in memory while it is sent.
	BatchBytes config.Size `yaml:"batch_bytes" min:"1KiB" max:"64MiB"`
	// How long a message may wait for a batch to fill up.
	BatchInterval config.Duration `yaml:"batch_interval" default:"1s" min:"0s" max:"24h"`
	// Who sends first of all exporters of the vehicle that use its links: 1 before all others, 10 after them, and those without a priority last. Those of one priority take turns.
	Priority int `yaml:"priority" min:"1" max:"10"`
	// Bytes a second that are sent at most, as they leave the vehicle; without it any.
	Rate config.Size `yaml:"rate" min:"100"`
	// Times of the day at which batches are sent; without it always.
	Schedule *Schedule `yaml:"schedule"`
	// Condition over the vehicle's state that must hold for a batch to be sent, such as !Link.cloud.metered; a value that is missing makes it false.
	When string `yaml:"when"`
	// Whether nothing is sent, until the configuration says otherwise; the stream keeps its messages.
	Disabled bool `yaml:"disabled" default:"false"`
	// How long to wait between tries.
	BackOff BackOff `yaml:"backoff"`
}

// BackOff is the wait between tries: it doubles from min to max, is shortened at
// random by up to a half, and begins anew when the far side acknowledges something.
type BackOff struct {
	// First wait.
	Min config.Duration `yaml:"min" default:"1s" min:"10ms" max:"1h"`
	// Longest wait.
	Max config.Duration `yaml:"max" default:"1m" min:"10ms" max:"24h"`
	// Wait after the far side has refused for good: nothing changes there by itself.
	Refused config.Duration `yaml:"refused" default:"5m" min:"10ms" max:"24h"`
}

// Validate checks what tags can't say.
func (c *Config) Validate(r *config.Reporter) {
	if !isName(c.Name) {
		r.At("name").Errorf("%q: want up to 64 letters, digits, hyphens and underscores", c.Name)
	}
	if c.BackOff.Min > c.BackOff.Max {
		r.At("backoff", "min").Errorf("%v is more than max, %v", c.BackOff.Min, c.BackOff.Max)
	}
}

// maxName is how long an exporter's name may be.
const maxName = 64

// isName reports whether a name can be a label and an argument.
func isName(name string) bool {
	for _, c := range []byte(name) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// complete fills in what a configuration made by a program leaves out.
func (c *Config) complete() {
	setDefault(&c.BatchSize, DefaultBatchSize)
	setDefault(&c.BatchBytes, DefaultBatchBytes)
	setDefault(&c.BackOff.Min, config.Duration(time.Second))
	setDefault(&c.BackOff.Max, max(c.BackOff.Min, config.Duration(time.Minute)))
	setDefault(&c.BackOff.Refused, config.Duration(5*time.Minute))
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// priority is the place among others, 1 the first.
func (c *Config) priority() int {
	if c.Priority == 0 {
		return LowestPriority
	}
	return c.Priority
}
