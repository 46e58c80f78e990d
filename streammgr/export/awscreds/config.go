// Package awscreds gives exporters to AWS their credentials: from the usual chain of
// AWS's own tools (environment, shared files, single sign-on, containers, EC2),
// from keys in the configuration, or from the credentials provider of AWS IoT, which
// trades the vehicle's certificate for credentials of an hour.
package awscreds

import (
	"path/filepath"
	"regexp"

	"github.com/fascia-edge/fascia/config"
)

// Config says where credentials come from: without any key, from the usual chain.
type Config struct {
	// Profile of the shared files ~/.aws/config and ~/.aws/credentials.
	Profile string `yaml:"profile"`
	// Access key of an IAM user, together with secret_key; best for tests only.
	AccessKey string `yaml:"access_key"`
	// Secret of the access key; best as ${env:NAME}.
	SecretKey string `yaml:"secret_key"`
	// Credentials provider of AWS IoT.
	IoT *IoT `yaml:"iot"`
}

// IoT is a role that AWS IoT lends to whoever has the certificate of a thing.
type IoT struct {
	// Host of the account's credentials provider, such as c2abcdefghijkl.credentials.iot.eu-central-1.amazonaws.com, as `aws iot describe-endpoint --endpoint-type iot:CredentialProvider` tells it.
	Endpoint string `yaml:"endpoint" required:"true"`
	// Name of the role alias.
	RoleAlias string `yaml:"role_alias" required:"true"`
	// Thing that the certificate belongs to; policies may name it.
	Thing string `yaml:"thing" default:"${thing}" template:"vin,thing"`
	// Certificate of the vehicle in PEM, its own first.
	Cert string `yaml:"cert" required:"true"`
	// Private key of the certificate in PEM.
	Key string `yaml:"key" required:"true"`
	// Certificate authorities in PEM that the endpoint must chain to; those of the system without it.
	CA string `yaml:"ca"`
}

// roleAliasForm is what AWS IoT takes as the name of a role alias (CreateRoleAlias).
var roleAliasForm = regexp.MustCompile(`^[\w=,@-]{1,128}$`)

// hostForm is a host, perhaps with a port.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	if (c.AccessKey == "") != (c.SecretKey == "") {
		r.Errorf("want access_key and secret_key together")
	}
	sources := 0
	for _, given := range []bool{c.Profile != "", c.AccessKey != "", c.IoT != nil} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		r.Errorf("credentials from %d sources: want one of profile, access_key with secret_key, and iot", sources)
	}
}

// Validate implements config.Validator.
func (c *IoT) Validate(r *config.Reporter) {
	if !hostForm.MatchString(c.Endpoint) {
		r.At("endpoint").Errorf("%q: want a host without scheme and path, such as c2abcdefghijkl.credentials.iot.eu-central-1.amazonaws.com", c.Endpoint)
	}
	if !roleAliasForm.MatchString(c.RoleAlias) {
		r.At("role_alias").Errorf("%q: want up to 128 letters, digits, and = , @ - _", c.RoleAlias)
	}
}

// Resolve makes the paths of files relative to dir, the folder of the configuration
// file.
func (c *Config) Resolve(dir string) {
	if c.IoT == nil {
		return
	}
	for _, path := range []*string{&c.IoT.Cert, &c.IoT.Key, &c.IoT.CA} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}
