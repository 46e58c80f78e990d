package pki

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// WriteCertificate writes the certificate alone as PEM, readable by all: what
// the other side is given as its root.
func (p *Pair) WriteCertificate(file string) error {
	return writePEM(file, 0o644, "CERTIFICATE", p.Certificate.Raw)
}

// WritePEM writes the pair as two PEM files: the certificate readable by all, the
// key (PKCS #8) by its owner only, whatever a file of that name allowed before. A
// file that exists is replaced in one step, so that a reader that watches it never
// sees half of one. The key comes first; a reader that sees it without its
// certificate keeps its old pair. A key that can't leave its token is an error,
// and then nothing is written.
func (p *Pair) WritePEM(certFile, keyFile string) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return fmt.Errorf("pki: %s: %w", keyFile, err)
	}
	if err := writePEM(keyFile, 0o600, "PRIVATE KEY", key); err != nil {
		return err
	}
	return p.WriteCertificate(certFile)
}

// writePEM writes beside the file and renames. os.CreateTemp opens with 0600, so
// a key is at no moment readable by others.
func writePEM(file string, mode os.FileMode, kind string, der []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".pem-*")
	if err != nil {
		return fmt.Errorf("pki: %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error tells more
			_ = os.Remove(f.Name())
			err = fmt.Errorf("pki: %s: %w", file, err)
		}
	}()
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
