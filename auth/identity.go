package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrUnknown is wrapped by Identify's error for a client that no line and no
// fallback role names.
var ErrUnknown = errors.New("auth: no identity")

// Anonymous is the name of every client that proves nothing.
const Anonymous = "anonymous"

// Identity is who a client is, fixed when it connects.
type Identity struct {
	Name     string // "san:cluster.vehicle", "uid:1000", Anonymous
	Role     string
	Zone     string // seat zone, or ""
	Client   string // MQTT client id
	Listener string // name of the listener it came by
}

// Credentials are what a connection proves about its other end.
type Credentials struct {
	// Chain is the verified certificate chain, the client's own first; empty
	// without a client certificate.
	Chain []*x509.Certificate
	// Peer is the process at the other end of a Unix socket, nil elsewhere.
	Peer *Peer
}

// Peer is a process as the kernel tells it of a Unix socket (SO_PEERCRED).
type Peer struct{ PID, UID, GID int }

// Identify finds who stands behind cred: the first configured line that fits
// gives role and zone, else the fallback role holds if it isn't empty. The
// caller fills Client and Listener. The error wraps ErrUnknown.
func (p *Policy) Identify(cred Credentials, fallbackRole string) (Identity, error) {
	id := Identity{Name: cred.name(), Role: fallbackRole}
	for i := range p.lines {
		if l := &p.lines[i]; l.fits(cred) {
			id.Role, id.Zone = l.Role, l.Zone
			return id, nil
		}
	}
	if fallbackRole == "" {
		return id, fmt.Errorf("%w for %s: want a line of auth.identities that fits, or a role on the listener", ErrUnknown, id.Name)
	}
	return id, nil
}

// fill puts the identity's own names into a grant. It fails where a name is
// missing or would change the filter's shape.
func (id *Identity) fill(filter string) (string, bool) {
	for _, v := range [...]struct{ name, value string }{
		{"${client}", id.Client},
		{"${zone}", id.Zone},
	} {
		if !strings.Contains(filter, v.name) {
			continue
		}
		if v.value == "" || strings.ContainsAny(v.value, "/+#") {
			return "", false
		}
		filter = strings.ReplaceAll(filter, v.name, v.value)
	}
	return filter, true
}

// name is the shortest telling name for logs and the audit.
func (c Credentials) name() string {
	switch {
	case len(c.Chain) > 0:
		leaf := c.Chain[0]
		if sans := subjectNames(leaf); len(sans) > 0 {
			return "san:" + sans[0]
		}
		if leaf.Subject.CommonName != "" {
			return "cn:" + leaf.Subject.CommonName
		}
		return "fingerprint:" + fingerprintOf(leaf)
	case c.Peer != nil:
		return "uid:" + strconv.Itoa(c.Peer.UID)
	default:
		return Anonymous
	}
}

// line is an IdentityConfig with its fingerprints made plain.
type line IdentityConfig

func newLine(ic IdentityConfig) line {
	ic.Fingerprint, ic.CA = hexDigits(ic.Fingerprint), hexDigits(ic.CA)
	return line(ic)
}

func (l *line) fits(cred Credentials) bool {
	if (*IdentityConfig)(l).certificate() {
		return len(cred.Chain) > 0 && l.fitsChain(cred.Chain)
	}
	return cred.Peer != nil &&
		(l.UID == nil || *l.UID == cred.Peer.UID) &&
		(l.GID == nil || *l.GID == cred.Peer.GID)
}

func (l *line) fitsChain(chain []*x509.Certificate) bool {
	if l.Fingerprint != "" && l.Fingerprint != fingerprintOf(chain[0]) {
		return false
	}
	if l.SAN != "" && !slices.Contains(subjectNames(chain[0]), l.SAN) {
		return false
	}
	if l.CA == "" {
		return true
	}
	for _, ca := range chain[1:] {
		if l.CA == fingerprintOf(ca) {
			return true
		}
	}
	return false
}

// subjectNames are the subject alternative names of a certificate as text
// (RFC 5280 §4.2.1.6).
func subjectNames(cert *x509.Certificate) []string {
	names := append([]string(nil), cert.DNSNames...)
	names = append(names, cert.EmailAddresses...)
	for _, uri := range cert.URIs {
		names = append(names, uri.String())
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func fingerprintOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
