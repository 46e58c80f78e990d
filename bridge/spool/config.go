package spool

import (
	"github.com/fascia-edge/fascia/config"
)

// What a class does when it is full.
const (
	Reject     = "reject"
	DropOldest = "drop_oldest"
	DropLowest = "drop_lowest"
)

// LeastSize is the least room of a class in bytes.
const LeastSize = 64 << 10

// ClassConfig is one class of a link's spool.
type ClassConfig struct {
	// Name of the class in rules, metrics and commands.
	Name string `yaml:"name" required:"true"`
	// Bytes that may wait in the store.
	Size config.Size `yaml:"size" min:"64KiB"`
	// Age at which a message that still waits is dropped; 0 is never.
	Age config.Duration `yaml:"age" default:"0s"`
	// What happens when the class is full: reject refuses what is published; drop_oldest drops its oldest; drop_lowest lets it take the room of the classes below, where the oldest of the lowest class that has something go first.
	WhenFull string `yaml:"when_full" default:"drop_oldest" enum:"reject,drop_oldest,drop_lowest"`
	// Condition over the vehicle's state that must hold for the class to be sent, such as !Link.cloud.metered; a value that is missing makes it false.
	SendWhen string `yaml:"send_when"`
	// What may be sent of the class in a second.
	Rate Rate `yaml:"rate"`
}
