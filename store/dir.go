// Package store is the durable state behind broker, bridge, shadow and auth:
// one directory, one engine. It knows bytes, not MQTT.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FormatVersion is the version of the data directory that this program writes.
// An older one is upgraded when it is opened, a newer one refused.
const FormatVersion = 1

const (
	formatFile = "FORMAT"
	lockFile   = "LOCK"
)

var (
	// ErrLocked says that another gateway uses the data directory.
	ErrLocked = errors.New("in use by another gateway")
	// ErrNewer says that a newer version of Fascia wrote the data directory.
	ErrNewer = errors.New("written by a newer version of fascia")
)

// Dir is an open data directory. Until Close nobody else can open it.
type Dir struct {
	path string
	lock *os.File
}

// OpenDir makes the directory if need be, locks it and checks its format
// version. The lock is the kernel's (flock): it goes with the process, however
// that ends. Errors wrap ErrLocked or ErrNewer, or are the file system's.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	d := &Dir{path: path, lock: lock}
	if err := d.claim(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	return d, nil
}

func (d *Dir) claim() error {
	err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w (pid %s)", ErrLocked, d.holder())
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	// The pid is for whoever is refused; the lock itself is the kernel's.
	if err := d.lock.Truncate(0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if _, err := d.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return d.checkFormat()
}

func (d *Dir) holder() string {
	buf := make([]byte, 32)
	n, _ := d.lock.ReadAt(buf, 0)
	if pid := strings.TrimSpace(string(buf[:n])); pid != "" {
		return pid
	}
	return "unknown"
}

func (d *Dir) checkFormat() error {
	file := filepath.Join(d.path, formatFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFileSync(file, []byte(strconv.Itoa(FormatVersion)+"\n"))
	}
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || version < 1 {
		return fmt.Errorf("%s holds %q: want a format version from 1 to %d", formatFile, text, FormatVersion)
	}
	if version > FormatVersion {
		return fmt.Errorf("%w: format version %d, this one knows up to %d", ErrNewer, version, FormatVersion)
	}
	return nil
}

// Path is the directory.
func (d *Dir) Path() string { return d.path }

// Close gives the directory free.
func (d *Dir) Close() error { return d.lock.Close() }

// writeFileSync writes a small file so that after a power cut it is there whole
// or not at all.
func writeFileSync(name string, data []byte) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}
