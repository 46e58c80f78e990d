package nats

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/fascia-edge/fascia/config"
)

// Config is an exporter to a subject of NATS.
type Config struct {
	// Servers, with commas between several of one cluster: tls or wss, or nats on a loopback address.
	URL string `yaml:"url" required:"true"`
	// Subject that messages are published to.
	Subject string `yaml:"subject" default:"fascia.${vin}.${stream}" template:"vin,thing,stream"`
	// Who has a message when it is done: jetstream, a stream there that listens to the subject, or core, the server, which forgets what nobody listens to.
	Acknowledge string `yaml:"acknowledge" default:"jetstream" enum:"jetstream,core"`
	// Publish messages in batches that JetStream stores whole or not at all, so that their order holds whatever it refuses. It wants nats-server 2.12 and allow_atomic on the stream there.
	Atomic bool `yaml:"atomic" default:"false"`
	// Who sends, in Nats-Msg-Id: it begins with this, and goes on with the stream, the epoch and the sequence.
	Source string `yaml:"source" default:"${vin}" template:"vin,thing"`
	// File with a user's JWT and key, as nsc makes it.
	Credentials string `yaml:"credentials"`
	// User, together with password.
	User string `yaml:"user"`
	// Password of the user, best as ${env:NAME}.
	Password string `yaml:"password"`
	// Token, best as ${env:NAME}.
	Token string `yaml:"token"`
	// How tls checks the servers, and proves who the vehicle is.
	TLS TLS `yaml:"tls"`
	// Whether nats may leave the machine without TLS, which everybody on the way can read.
	Plaintext bool `yaml:"plaintext" default:"false"`
}

// TLS is what tls needs of files.
type TLS struct {
	// Certificate authorities in PEM that the servers must chain to; those of the system without it.
	CA string `yaml:"ca"`
	// Certificate chain of the vehicle in PEM, its own first.
	Cert string `yaml:"cert"`
	// Private key of the certificate in PEM.
	Key string `yaml:"key"`
}

// Values of Config.Acknowledge.
const (
	JetStream = "jetstream"
	Core      = "core"
)

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	for server := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil || u.Hostname() == "" || u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss":
			r.At("url").Errorf("want an address such as tls://nats.example.com:4222")
		case u.User != nil:
			r.At("url").Errorf("want no user and password in it: use user and password")
		case (u.Scheme == "nats" || u.Scheme == "ws") && !c.Plaintext && !loopback(u.Hostname()):
			r.At("url").Errorf("%s: want tls or wss, or plaintext: true", u.Host)
		}
	}
	if strings.ContainsAny(c.Subject, " \t\r\n*>") || strings.Contains("."+c.Subject+".", "..") {
		r.At("subject").Errorf("%q: want words with dots between, without wildcards", c.Subject)
	}
	if c.Atomic && c.Acknowledge == Core {
		r.At("atomic").Errorf("is for acknowledge: %s", JetStream)
	}
	if (c.User == "") != (c.Password == "") {
		r.Errorf("want user and password together")
	}
	given := 0
	for _, way := range []string{c.Credentials, c.User, c.Token} {
		if way != "" {
			given++
		}
	}
	if given > 1 {
		r.Errorf("want one of credentials, user and token")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		r.At("tls").Errorf("want cert and key together")
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Resolve makes the paths of files relative to dir, the folder of the configuration
// file.
func (c *Config) Resolve(dir string) {
	for _, path := range []*string{&c.Credentials, &c.TLS.CA, &c.TLS.Cert, &c.TLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}
