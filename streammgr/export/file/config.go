package file

import (
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
)

// Config is an exporter to files.
type Config struct {
	// Folder of the files, made if it is missing, for this exporter alone; without it export/STREAM/EXPORTER in the data directory.
	Dir string `yaml:"dir"`
	// Name of a file before its extension, which tells format and compression: ${epoch} and ${first} are those of its first message, ${time} is when that was appended, such as 20260131T235959Z.
	Name        string `yaml:"name" default:"${stream}-${time}-${epoch}-${first}" template:"vin,thing,stream,time,epoch,first"`
	pack.Config `yaml:",inline"`
	// Bytes after which a file is complete and the next one begins.
	Size config.Size `yaml:"size" default:"64MiB" min:"4KiB"`
	// Time after which a file is complete, from its first message on; 0 for any.
	Every config.Duration `yaml:"every" default:"1h" min:"0s" max:"8760h"`
	// Bytes that the files may take together: when they are more the oldest complete ones are removed.
	Keep config.Size `yaml:"keep" default:"1GiB" min:"4KiB"`
}

// Validate checks the name, and that what is kept is more than a file.
func (c *Config) Validate(r *config.Reporter) {
	if strings.ContainsAny(c.Name, "/\x00") || strings.HasPrefix(c.Name, ".") {
		r.At("name").Errorf("%q: want a name without / that does not begin with a dot", c.Name)
	}
	for _, part := range []string{"${epoch}", "${first}"} {
		if strings.Count(c.Name, part) != 1 {
			r.At("name").Errorf("%q: want %s in it once: it tells files apart", c.Name, part)
		}
	}
	if c.Keep < c.Size {
		r.At("keep").Errorf("%s is less than size, %s", c.Keep, c.Size)
	}
}

// Resolve makes the folder relative to dir, the folder of the configuration file.
func (c *Config) Resolve(dir string) {
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		c.Dir = filepath.Join(dir, c.Dir)
	}
}
