package http

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"

	"golang.org/x/net/http/httpguts"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
)

// Config is an exporter to an HTTP endpoint.
type Config struct {
	// Address that batches are posted to, https, or http on a loopback address; ${vin}, ${thing} and ${stream} are escaped as parts of a path.
	URL         string `yaml:"url" required:"true" template:"vin,thing,stream"`
	pack.Config `yaml:",inline"`
	// Further headers of each request, such as Authorization; best with ${env:NAME} for secrets.
	Headers map[string]string `yaml:"headers" template:"vin,thing,stream"`
	// Content-Type of a request.
	ContentType string `yaml:"content_type" default:"application/octet-stream"`
	// Who sends, in Idempotency-Key, which begins with it.
	Source string `yaml:"source" default:"${vin}" template:"vin,thing"`
	// How long a request may take, its answer included.
	Timeout config.Duration `yaml:"timeout" default:"30s" min:"100ms" max:"1h"`
	// How https checks the endpoint, and proves who the vehicle is.
	TLS TLS `yaml:"tls"`
	// Whether http may leave the machine, which everybody on the way can read.
	Plaintext bool `yaml:"plaintext" default:"false"`
}

// TLS is what https needs of files; they are read when connections begin, so changed
// ones need no restart.
type TLS struct {
	// Certificate authorities in PEM that the endpoint must chain to; those of the system without it.
	CA string `yaml:"ca"`
	// Certificate chain of the vehicle in PEM, its own first.
	Cert string `yaml:"cert"`
	// Private key of the certificate in PEM.
	Key string `yaml:"key"`
}

// Validate checks the address and the headers.
func (c *Config) Validate(r *config.Reporter) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		r.At("url").Errorf("want an address such as https://telemetry.example.com/ingest")
	case u.User != nil:
		r.At("url").Errorf("want no user and password in it: use the header Authorization")
	case u.Scheme == "http" && !c.Plaintext && !loopback(u.Hostname()):
		r.At("url").Errorf("%s: want https, or plaintext: true", u.Host)
	}
	for name, value := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			r.At("headers", name).Errorf("can't be a header: want letters, digits and hyphens, and a value on one line")
		} else if ours[http.CanonicalHeaderKey(name)] {
			r.At("headers", name).Errorf("this header is the exporter's own")
		}
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
	for _, path := range []*string{&c.TLS.CA, &c.TLS.Cert, &c.TLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// address is the host and port of a URL.
func address(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}
