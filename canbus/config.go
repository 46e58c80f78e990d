package canbus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	watch "github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/canbus/vss"
	"github.com/fascia-edge/fascia/config"
)

// Config is the section "can".
type Config struct {
	// The buses that the vehicle has.
	Buses []BusConfig `yaml:"buses"`
	// Mapping files: which signal is which VSS path; in YAML, or a vss_dbc.json of KUKSA's CAN provider as it is.
	Mapping []string `yaml:"mapping"`
	// Which messages and signals are watched, and what they must do.
	Health watch.Config `yaml:"health"`
	// What clients may have sent to the buses; nothing without it.
	Transmit transmit.Config `yaml:"transmit"`
	// What is recorded of the buses, frame by frame.
	Record []record.Config `yaml:"record"`
	// VSS catalogue as COVESA publishes it in JSON, such as vss-5.1.json: mapped paths are checked against it, and values outside the range that it allows are invalid.
	Catalogue string `yaml:"catalogue"`

	dir string // folder that relative paths in sources are relative to
}

// BusConfig is one bus.
type BusConfig struct {
	// Name of the bus in topics, metrics and mapping files.
	Name string `yaml:"name" required:"true"`
	// Where its frames come from: socketcan://can0, udp://GROUP:PORT?interface=NAME, replay://FILE?speed=1&loop=true.
	Source string `yaml:"source" required:"true"`
	// DBC files that describe its messages; where two describe the same id, the first one counts.
	DBC []string `yaml:"dbc"`
	// Messages to publish whole on can/<bus>/<message>, by name; "*" is all of them.
	Publish []string `yaml:"publish"`
}

// Validate reports names that can't stand in a topic, names given twice, and
// sources of an unknown kind.
func (c *Config) Validate(r *config.Reporter) {
	seen := map[string]bool{}
	for i, bus := range c.Buses {
		at := r.At("buses", i, "name")
		if bus.Name == "" || strings.ContainsAny(bus.Name, "/+#") {
			at.Errorf("%q can't be part of a topic: want a name without /, + and #", bus.Name)
		} else if seen[bus.Name] {
			at.Errorf("bus %q is there twice", bus.Name)
		}
		seen[bus.Name] = true
		if _, err := source.Parse(bus.Source); err != nil {
			r.At("buses", i, "source").Errorf("%v", err)
		}
	}
	c.validateRecordings(r)
}

// Resolve makes the paths absolute: they are relative to dir, the folder of the
// configuration file.
func (c *Config) Resolve(dir string) {
	c.dir = dir
	if c.Catalogue != "" {
		c.Catalogue = inDir(dir, c.Catalogue)
	}
	for i := range c.Mapping {
		c.Mapping[i] = inDir(dir, c.Mapping[i])
	}
	for i := range c.Buses {
		for k := range c.Buses[i].DBC {
			c.Buses[i].DBC[k] = inDir(dir, c.Buses[i].DBC[k])
		}
	}
}

// checkLog finds a log that is not there before anything starts.
func (b *BusConfig) checkLog(dir string) error {
	spec, err := source.Parse(b.Source)
	if err != nil || spec.Scheme != source.SchemeReplay {
		return nil // Validate has told of the error
	}
	info, err := os.Stat(inDir(dir, spec.File))
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: want a recorded log, got a folder, pipe or device", spec.File)
	}
	return err
}

// catalogue reads the VSS catalogue, nil if there is none.
func (c *Config) catalogue() (*vss.Tree, error) {
	if c.Catalogue == "" {
		return nil, nil
	}
	return vss.Load(c.Catalogue)
}

func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
