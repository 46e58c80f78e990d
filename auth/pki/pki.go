// Package pki is a certificate authority for a fleet of one: a vehicle's own CA
// and the server and client certificates of its mutual TLS.
//
// Keys are ECDSA P-256, which every TLS 1.2 and 1.3 stack of the field and every
// TPM 2.0 has. They are held as crypto.Signer, so that a key in a TPM or a
// PKCS #11 token can sign in place of one in memory.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Backdate is how long before its making a certificate is already valid. A
// real-time clock kept in local time is off by up to 14 hours, and a certificate
// from tomorrow is refused. It doesn't cover a clock that was never set.
const Backdate = 24 * time.Hour

// Pair is a certificate and the private key that belongs to it.
type Pair struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// TLS is the pair as crypto/tls wants it. The CA isn't sent along: the other
// side has it as its root.
func (p *Pair) TLS() tls.Certificate {
	return tls.Certificate{
		Certificate: [][]byte{p.Certificate.Raw},
		PrivateKey:  p.Key,
		Leaf:        p.Certificate,
	}
}

// CA is a certificate authority that issues leaf certificates only. Its methods
// are safe for concurrent use as far as the key's Sign is; keys in memory are.
type CA struct{ Pair }

// NewCA makes a self-signed authority with a key in memory, valid from Backdate
// ago until lifetime from now. It fails on an empty name or a lifetime that isn't
// positive.
func NewCA(name string, lifetime time.Duration) (*CA, error) {
	if name == "" {
		return nil, errors.New("pki: the CA has no name")
	}
	template, err := newTemplate(name, lifetime)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true // no CA below this one
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	pair, err := sign(template, nil)
	if err != nil {
		return nil, err
	}
	return &CA{*pair}, nil
}

// Pool holds this authority alone, for tls.Config's RootCAs and ClientCAs.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	return pool
}

// Use is what a certificate may be used for.
type Use int

const (
	Server Use = iota + 1 // the accepting side of TLS
	Client                // the connecting side of TLS
)

// Leaf is what Issue is asked for.
type Leaf struct {
	// Name is the subject's common name: for people, no side verifies it.
	Name string
	// Use is Server or Client, never both: a stolen client key must not be able
	// to pose as the broker.
	Use Use
	// DNSNames and IPs are the subject alternative names. A server is verified
	// by them, so it needs one; a client may carry one for its identity.
	DNSNames []string
	IPs      []net.IP
	// Lifetime is counted from now. A certificate never outlives its CA: it ends
	// with it if that is earlier.
	Lifetime time.Duration
}

// Issue makes a new key in memory and a certificate for it. It fails on a leaf
// without name, use or positive lifetime, and on a server without an alternative
// name.
func (ca *CA) Issue(leaf Leaf) (*Pair, error) {
	if leaf.Name == "" {
		return nil, errors.New("pki: the leaf has no name")
	}
	template, err := newTemplate(leaf.Name, leaf.Lifetime)
	if err != nil {
		return nil, err
	}
	switch leaf.Use {
	case Server:
		if len(leaf.DNSNames) == 0 && len(leaf.IPs) == 0 {
			return nil, fmt.Errorf("pki: server %q: want a DNS name or an IP address that clients can verify", leaf.Name)
		}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case Client:
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	default:
		return nil, fmt.Errorf("pki: leaf %q: use %d: want Server or Client", leaf.Name, leaf.Use)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature // ECDSA never encrypts a key
	template.BasicConstraintsValid = true
	template.DNSNames = leaf.DNSNames
	template.IPAddresses = leaf.IPs
	if end := ca.Certificate.NotAfter; template.NotAfter.After(end) {
		template.NotAfter = end
	}
	return sign(template, ca)
}

// newTemplate holds what a CA and a leaf have in common.
func newTemplate(name string, lifetime time.Duration) (*x509.Certificate, error) {
	if lifetime <= 0 {
		return nil, fmt.Errorf("pki: %q: lifetime %v: want more than zero", name, lifetime)
	}
	// RFC 5280 §4.1.2.2 wants a positive serial of at most 20 bytes. 128 random
	// bits let two CAs of one name, or one restored from a backup, never meet.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("pki: %q: serial number: %w", name, err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-Backdate),
		NotAfter:     now.Add(lifetime),
	}, nil
}

// sign makes the key and the certificate, self-signed without an issuer.
func sign(template *x509.Certificate, issuer *CA) (*Pair, error) {
	name := template.Subject.CommonName
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("pki: %q: key: %w", name, err)
	}
	template.SubjectKeyId, err = keyID(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("pki: %q: key id: %w", name, err)
	}
	parent, signer := template, crypto.Signer(key)
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("pki: %q: sign: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %q: %w", name, err)
	}
	return &Pair{certificate, key}, nil
}

// keyID is the leftmost 160 bits of the SHA-256 of the public key's bits
// (RFC 7093 §2, method 1).
func keyID(key *ecdsa.PublicKey) ([]byte, error) {
	bits, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bits)
	return sum[:20], nil
}
