package gateway

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/streammgr"
)

//go:generate go run ./schemagen

// Config is the whole configuration file. The comments of its fields, here and
// in the rooms, are what users read in the JSON Schema and the reference.
type Config struct {
	// Which vehicle this is.
	Vehicle VehicleConfig `yaml:"vehicle"`
	// Folder of everything that outlives a restart; one gateway at a time.
	DataDir string `yaml:"data_dir" default:"/var/lib/fascia"`
	// The socket that the command line talks to.
	Control ControlConfig `yaml:"control"`
	// What is logged, and how.
	Log LogConfig `yaml:"log"`
	// How long a stop may take to drain connections before they are cut.
	StopTimeout config.Duration `yaml:"stop_timeout" default:"10s" min:"100ms" max:"10m"`
	// What the data folder may take of the disk.
	Store StoreConfig `yaml:"store"`
	// When the wall clock is believed.
	Time TimeConfig `yaml:"time"`
	// The local MQTT broker.
	Broker edgebroker.Config `yaml:"broker"`
	// The buses, and what their signals are called outside.
	CAN canbus.Config `yaml:"can"`
	// Links to brokers elsewhere, and what goes over them.
	Bridge bridge.Config `yaml:"bridge"`
	// Durable streams of what is too much for MQTT, and where they go; without the section there are none.
	Streams *streammgr.Config `yaml:"streams"`
	// The log of decisions.
	Audit AuditConfig `yaml:"audit"`
	// Who may do what.
	Auth auth.Config `yaml:"auth"`
	// Metrics and health over HTTP.
	Metrics MetricsConfig `yaml:"metrics"`
}

// Validate checks what no room sees alone: roles that listeners name, addresses
// that are taken twice, and a gateway that nobody can reach.
func (c *Config) Validate(r *config.Reporter) {
	if c.DataDir == "" {
		r.At("data_dir").Errorf("want a folder, such as /var/lib/fascia")
	}
	policy := auth.New(c.Auth)
	c.CAN.Transmit.CheckRoles(r.At("can", "transmit"), policy.HasRole, func(role, topic string) bool {
		return policy.CanPublish(&auth.Identity{Role: role}, topic).Allow
	})
	taken := map[string]string{}
	if c.Metrics.Listen != "" {
		taken[c.Metrics.Listen] = "metrics.listen"
	}
	if c.Streams != nil && c.Streams.Listen != "" {
		if other, twice := taken[c.Streams.Listen]; twice {
			r.At("streams", "listen").Errorf("%s is the address of %s already", c.Streams.Listen, other)
		}
		taken[c.Streams.Listen] = "streams.listen"
	}
	for i, l := range c.Broker.Listeners {
		if l.Role != "" && !policy.HasRole(l.Role) {
			r.At("broker", "listeners", i, "role").Errorf("no role %q: want one of auth.roles or a built-in role", l.Role)
		}
		if _, port, err := net.SplitHostPort(l.Address); err != nil || port == "0" {
			continue // none, or any free one
		}
		if other, twice := taken[l.Address]; twice {
			r.At("broker", "listeners", i, "address").Errorf("%s is the address of %s already", l.Address, other)
		}
		taken[l.Address] = fmt.Sprintf("listener %q", l.Name)
	}
	if len(c.Broker.Listeners) == 0 {
		r.At("broker").Warnf("no listeners: no client can connect")
	}
}

// Validate checks the address.
func (c *MetricsConfig) Validate(r *config.Reporter) {
	if c.Listen == "" {
		return
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
		r.At("listen").Errorf("want host:port such as 127.0.0.1:9464, got %q", c.Listen)
	}
}

// VehicleConfig names the vehicle.
type VehicleConfig struct {
	// Vehicle identification number (ISO 3779).
	VIN string `yaml:"vin"`
	// Name of the vehicle's thing in the cloud.
	Thing string `yaml:"thing"`
}

// ControlConfig is where the command line finds the gateway.
type ControlConfig struct {
	// Path of the Unix socket; without it fascia.sock in data_dir. Root and the gateway's own user may use it.
	Socket string `yaml:"socket"`
}

// StoreConfig bounds the log in which messages and state are kept.
type StoreConfig struct {
	// Bytes that the log may take on disk; when it is full of what is still needed, messages that would have to be stored are refused with reason 0x97.
	Size config.Size `yaml:"size" default:"1GiB" min:"32MiB"`
	// Bytes that are left free on the file system; below it messages are refused likewise.
	FreeSpace config.Size `yaml:"free_space" default:"64MiB"`
}

// TimeConfig says when wall time is believed; ages and expiries that cross a
// restart of the machine need it.
type TimeConfig struct {
	// When the clock counts as right: kernel, when the kernel says that it is synchronised (NTP, PTP, GNSS); always; or never. A message whose age can't be told is kept.
	Synchronised string `yaml:"synchronised" default:"kernel" enum:"kernel,always,never"`
}

// LogConfig is how the gateway logs to standard error.
type LogConfig struct {
	// Least important level that is written.
	Level string `yaml:"level" default:"info" enum:"debug,info,warn,error"`
	// Form of a line; auto is text on a terminal, else JSON.
	Format string `yaml:"format" default:"auto" enum:"auto,text,json"`
}

// MetricsConfig is where metrics and health are served.
type MetricsConfig struct {
	// Address of the HTTP server for /metrics, /healthz and /readyz; none without it.
	Listen string `yaml:"listen"`
}

// Load reads and checks a configuration file, and resolves the paths in it to
// the folder it is in. The error is a config.Errors with all that is wrong with
// the file itself; what the files named in it hold is read by New.
func Load(file string) (*Config, *config.Document, error) {
	c := &Config{}
	doc, err := config.Load(file, c)
	if err != nil {
		return nil, doc, err
	}
	c.resolve(doc.Dir())
	return c, doc, nil
}

func (c *Config) resolve(dir string) {
	if !filepath.IsAbs(c.DataDir) {
		c.DataDir = filepath.Join(dir, c.DataDir)
	}
	if c.Control.Socket == "" {
		c.Control.Socket = filepath.Join(c.DataDir, "fascia.sock")
	} else if !filepath.IsAbs(c.Control.Socket) {
		c.Control.Socket = filepath.Join(dir, c.Control.Socket)
	}
	c.Broker.Resolve(dir)
	c.CAN.Resolve(dir)
	c.Bridge.Resolve(dir)
	if c.Streams != nil {
		c.Streams.Resolve(dir)
	}
}
