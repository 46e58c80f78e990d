package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestWrittenPairIsReadBackByTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, caFile := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key"), filepath.Join(dir, "ca.crt")
	ca := newCA(t)
	pair := issue(t, ca, client("rear-seat"))
	if err := pair.WritePEM(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteCertificate(caFile); err != nil {
		t.Fatal(err)
	}

	read, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	caPEM, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	if !pool.AppendCertsFromPEM(caPEM) {
		t.Fatal("no certificate in the CA's file")
	}
	if _, err := read.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
}

func TestKeyFileIsReadableByItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "a.key")
	if err := os.WriteFile(keyFile, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	pair := issue(t, newCA(t), client("rear-seat"))
	if err := pair.WritePEM(filepath.Join(dir, "a.crt"), keyFile); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %o, want 600, also over a file that others could read", mode)
	}
}

func TestNothingIsLeftOfAWriteThatFails(t *testing.T) {
	pair := issue(t, newCA(t), client("rear-seat"))

	dir := t.TempDir()
	blocked := filepath.Join(dir, "a.key")
	if err := os.MkdirAll(filepath.Join(blocked, "occupied"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := pair.WritePEM(filepath.Join(dir, "a.crt"), blocked); err == nil {
		t.Error("a key was written over a folder")
	}
	unreadable := Pair{pair.Certificate, opaque{pair.Key}}
	if err := unreadable.WritePEM(filepath.Join(dir, "b.crt"), filepath.Join(dir, "b.key")); err == nil {
		t.Error("a key that can't be read was written")
	}

	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("files left: %v", entries)
	}
}
