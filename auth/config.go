package auth

import (
	"regexp"
	"strings"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/topic"
)

// Config is the auth section of the gateway's file.
type Config struct {
	// Roles and what they may do; a role named here replaces the built-in one of that name as a whole.
	Roles map[string]RoleConfig `yaml:"roles"`
	// Who is who: the first line that fits a client gives its role.
	Identities []IdentityConfig `yaml:"identities"`
}

// RoleConfig is what a role may do. What is not granted is refused, and a
// denial beats every grant.
type RoleConfig struct {
	// Topic filters to which the role may publish; `#` covers topics that begin with `$` too, ${client} and ${zone} stand for the client's own.
	Publish []string `yaml:"publish" template:"client,zone"`
	// Topic filters within which the role may subscribe.
	Subscribe []string `yaml:"subscribe" template:"client,zone"`
	// Topic filters to which the role may not publish, whatever is granted.
	DenyPublish []string `yaml:"deny_publish" template:"client,zone"`
	// Topic filters whose messages never reach the role, whatever is granted.
	DenySubscribe []string `yaml:"deny_subscribe" template:"client,zone"`
	// VSS paths whose values the role may set by publishing to vss/ and the path with slashes; `*` stands for one level, a last `**` for all below.
	Provide []string `yaml:"provide" template:"client,zone"`
	// VSS paths that the role may ask to be set by publishing to act/ and the path with slashes; whether the request is carried out is for the rules of can.transmit to say.
	Act []string `yaml:"act" template:"client,zone"`
}

// IdentityConfig is one line that tells who a client is. Every selector that
// the line has must fit.
type IdentityConfig struct {
	// A subject alternative name of the client's certificate: a DNS name, e-mail address, URI or IP address, compared as a whole.
	SAN string `yaml:"san"`
	// SHA-256 of the client's certificate (DER), 64 hexadecimal digits; colons are allowed.
	Fingerprint string `yaml:"fingerprint"`
	// SHA-256 of a certificate authority in the client's verified chain, 64 hexadecimal digits; colons are allowed.
	CA string `yaml:"ca"`
	// User id of the process at the other end of a Unix socket.
	UID *int `yaml:"uid" min:"0"`
	// Group id of the process at the other end of a Unix socket.
	GID *int `yaml:"gid" min:"0"`
	// The role the client gets.
	Role string `yaml:"role" required:"true"`
	// The seat zone the client stands for, such as rear_left.
	Zone string `yaml:"zone"`
}

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	for i, id := range c.Identities {
		if _, known := c.Roles[id.Role]; !known && !builtin(id.Role) {
			r.At("identities", i, "role").Errorf("no role %q: want one of auth.roles or a built-in role", id.Role)
		}
	}
}

// Validate implements config.Validator.
func (c *RoleConfig) Validate(r *config.Reporter) {
	for _, list := range []struct {
		key     string
		filters []string
	}{
		{"publish", c.Publish},
		{"subscribe", c.Subscribe},
		{"deny_publish", c.DenyPublish},
		{"deny_subscribe", c.DenySubscribe},
	} {
		for i, filter := range list.filters {
			if !topic.ValidFilter(filter) {
				r.At(list.key, i).Errorf("%q is no topic filter: want `+` and `#` to fill a level, `#` the last one", filter)
			}
		}
	}
	for key, patterns := range map[string][]string{"provide": c.Provide, "act": c.Act} {
		for i, pattern := range patterns {
			if !vssPattern.MatchString(pattern) {
				r.At(key, i).Errorf("%q is no VSS pattern: want a path such as Vehicle.Speed, Vehicle.Cabin.Door.*.*.IsOpen or Vehicle.CurrentLocation.**", pattern)
			}
		}
	}
}

var (
	vssPattern  = regexp.MustCompile(`^(?:(?:[A-Za-z0-9_]|\$\{\w+\})+|\*)(?:\.(?:(?:[A-Za-z0-9_]|\$\{\w+\})+|\*))*(?:\.\*\*)?$|^\*\*$`)
	fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Validate implements config.Validator.
func (c *IdentityConfig) Validate(r *config.Reporter) {
	if c.SAN == "" && c.Fingerprint == "" && c.CA == "" && c.UID == nil && c.GID == nil {
		r.Errorf("fits no client: want at least one of san, fingerprint, ca, uid, gid")
	}
	if c.certificate() && (c.UID != nil || c.GID != nil) {
		r.Errorf("fits no client: a certificate (san, fingerprint, ca) and a Unix peer (uid, gid) never come together")
	}
	for key, value := range map[string]string{"fingerprint": c.Fingerprint, "ca": c.CA} {
		if value != "" && !fingerprint.MatchString(hexDigits(value)) {
			r.At(key).Errorf("want a SHA-256 fingerprint of 64 hexadecimal digits, got %q", value)
		}
	}
	if strings.ContainsAny(c.Zone, "/+#") {
		r.At("zone").Errorf("want a zone without `/`, `+` and `#`, got %q", c.Zone)
	}
}

func (c *IdentityConfig) certificate() bool {
	return c.SAN != "" || c.Fingerprint != "" || c.CA != ""
}

// hexDigits is a fingerprint as openssl and browsers print it, made plain.
func hexDigits(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, ":", ""))
}
