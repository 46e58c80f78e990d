package record

import (
	"regexp"
	"time"

	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/config"
)

// Config is one recording.
type Config struct {
	// Name of the recording: its folder, and its label in metrics.
	Name string `yaml:"name" required:"true"`
	// Buses to record, by name; all of them without it.
	Buses []string `yaml:"buses"`
	// Messages to record, by the name that a DBC of the bus gives them or by identifier in quotes: "0x" and 3 hexadecimal digits, or 8 for an extended one, as candump writes them; without it every frame is recorded, error frames too.
	Messages []string `yaml:"messages"`
	// Record only around the times in which this expression over VSS paths is true, such as Vehicle.Speed > 50; without it always.
	When string `yaml:"when"`
	// With when: how long before the expression becomes true the recording begins.
	Before config.Duration `yaml:"before" default:"10s" max:"10m"`
	// With when: how long after the expression was last true the recording ends.
	After config.Duration `yaml:"after" default:"30s" max:"24h"`
	// Memory for the time before; when it is full the oldest frames go, which is counted.
	Memory config.Size `yaml:"memory" default:"8MiB" min:"256KiB" max:"1GiB"`
	// What stamps are cut to; milliseconds take two thirds of the space.
	Resolution string `yaml:"resolution" default:"1us" enum:"1us,1ms"`
	// Longest time between the first frame of a block and its way to disk: what being killed can cost.
	Block config.Duration `yaml:"block" default:"10s" min:"1s" max:"10s"`
	// Bytes that the blocks may take on disk.
	MaxBytes config.Size `yaml:"max_bytes" default:"1GiB" min:"1MiB"`
	// What happens when they take that much, or when the disk has no more room: drop_oldest removes the oldest blocks, reject keeps them and drops new ones.
	WhenFull string `yaml:"when_full" default:"drop_oldest" enum:"drop_oldest,reject"`
}

// Values of Config.WhenFull.
const (
	DropOldest = "drop_oldest"
	Reject     = "reject"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Validate checks the name, which becomes a folder's.
func (c *Config) Validate(r *config.Reporter) {
	if !nameForm.MatchString(c.Name) {
		r.At("name").Errorf("%q can't be a folder and a label: want up to 64 letters, digits, - and _, the first no sign", c.Name)
	}
}

// resolution of the stamps.
func (c *Config) resolution() time.Duration {
	if c.Resolution == "1ms" {
		return block.Millisecond
	}
	return block.Microsecond
}
