package config_test

import "github.com/fascia-edge/fascia/config"

// gateway is a configuration with every kind of field.
type gateway struct {
	Name      string             `yaml:"name" required:"true"`
	Sync      string             `yaml:"sync" default:"interval" enum:"always,interval,never"`
	Interval  config.Duration    `yaml:"interval" default:"100ms" min:"1ms" max:"1h"`
	Packet    config.Size        `yaml:"packet" default:"256KiB" min:"1KiB"`
	Listeners []listener         `yaml:"listeners"`
	Roles     map[string]role    `yaml:"roles"`
	Values    map[int64]string   `yaml:"values"`
	Labels    map[string]string  `yaml:"labels" template:"vin"`
	Topic     string             `yaml:"topic" template:"vin,1"`
	Password  string             `yaml:"password"`
	Bare      any                `yaml:"bare"`
	Factor    float64            `yaml:"factor" default:"1" min:"-10" max:"10"`
	Small     int8               `yaml:"small"`
	Large     uint64             `yaml:"large"`
	On        bool               `yaml:"on" default:"true"`
	Ratios    map[string]float32 `yaml:"ratios"`
	Nested    nested             `yaml:"nested"`
	UID       *int               `yaml:"uid" min:"0"`
	Internal  string             `yaml:"-"`
}

type listener struct {
	Address string   `yaml:"address" required:"true"`
	Port    int      `yaml:"port" default:"1883" min:"1" max:"65535"`
	Auth    []string `yaml:"auth" default:"[anonymous]" enum:"anonymous,mtls,token"`
	TLS     *tlsKeys `yaml:"tls"`
	Common  `yaml:",inline"`
}

type tlsKeys struct {
	Cert string `yaml:"cert" required:"true"`
	Key  string `yaml:"key" required:"true"`
}

// Common is inlined, and exported because reflection reads no other.
type Common struct {
	Comment string `yaml:"comment"`
}

type role struct {
	Publish []string `yaml:"publish"`
}

type nested struct {
	Depth int `yaml:"depth" default:"3"`
}

func (l *listener) Validate(r *config.Reporter) {
	if l.Port == 1880 {
		r.At("port").Errorf("port 1880: want one that Node-RED doesn't use")
	}
	if l.Address == "0.0.0.0" {
		r.At("address").Warnf("listens on every interface")
	}
}

func (c *Common) Validate(r *config.Reporter) {
	if c.Comment == "none" {
		r.At("comment").Errorf("want a comment that says something")
	}
}

func (g *gateway) Validate(r *config.Reporter) {
	if g.Password == "weak" || g.Name == g.Password {
		r.At("password").Errorf("password %q: want a better one", g.Password)
	}
}
