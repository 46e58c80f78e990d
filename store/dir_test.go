package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestDirIsLockedAgainstASecondGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	first, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenDir(path)
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("second open: got %v, want ErrLocked", err)
	}
	if pid := strconv.Itoa(os.Getpid()); !strings.Contains(err.Error(), pid) {
		t.Errorf("%q does not name the holder's pid %s", err, pid)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenDir(path)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	_ = again.Close()
}

// A gateway killed with SIGKILL leaves the LOCK file behind; it must not keep
// the next one out.
func TestDirOpensAfterItsHolderWasKilled(t *testing.T) {
	path := t.TempDir()
	holder := exec.Command(os.Args[0], "-test.run=^TestHoldDir$")
	holder.Env = append(os.Environ(), "FASCIA_TEST_HOLD_DIR="+path)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("while another process holds it: got %v, want ErrLocked", err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	_ = d.Close()
}

// TestHoldDir is the other process of the test above.
func TestHoldDir(t *testing.T) {
	path := os.Getenv("FASCIA_TEST_HOLD_DIR")
	if path == "" {
		return
	}
	if _, err := OpenDir(path); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("held")
	select {}
}

func TestDirRefusesFormats(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
		is   error
	}{
		"newer":   {strconv.Itoa(FormatVersion + 1), "format version 2", ErrNewer},
		"garbage": {"x", "want a format version", nil},
		"empty":   {"", "want a format version", nil},
		"zero":    {"0", "want a format version", nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if err := os.WriteFile(filepath.Join(path, formatFile), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := OpenDir(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			// Nothing is left locked for who mends it.
			if err := os.Remove(filepath.Join(path, formatFile)); err != nil {
				t.Fatal(err)
			}
			d, err := OpenDir(path)
			if err != nil {
				t.Fatalf("mended: %v", err)
			}
			_ = d.Close()
		})
	}
}

func TestNewDirIsPrivateAndCarriesItsFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	for _, time := range []string{"first", "second"} {
		d, err := OpenDir(path)
		if err != nil {
			t.Fatalf("%s time: %v", time, err)
		}
		if d.Path() != path {
			t.Errorf("got %s, want %s", d.Path(), path)
		}
		_ = d.Close()
		if text, err := os.ReadFile(filepath.Join(path, formatFile)); string(text) != "1\n" {
			t.Errorf("%s time: format %q, %v, want 1", time, text, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want a folder for its owner only", info, err)
	}
	left, err := filepath.Glob(filepath.Join(path, "*.new"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Of a longer pid that held it before nothing may be left behind the new one.
func TestLockNamesItsHolderAlone(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, lockFile), []byte("123456789012\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := OpenDir(path); err == nil || !strings.Contains(err.Error(), "(pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("got %v, want the pid %d alone", err, os.Getpid())
	}
}

func TestDirWithoutPermissionIsAClearError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A file in the way stands for a directory that can't be made: to root, who
	// runs CI, no permission is ever missing.
	_, err := OpenDir(filepath.Join(file, "data"))
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}
