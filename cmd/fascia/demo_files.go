package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	democonfig "github.com/fascia-edge/fascia/configs/demo"
)

const (
	demoSocketName = "fascia.sock"
	demoPort       = 1883 // of the demo whose socket is looked for without being told
)

// demoDir is where a demo on the port keeps its files, 0 for the usual port.
func demoDir(port uint16) string {
	name := "fascia-demo"
	if port != 0 && port != demoPort {
		name = fmt.Sprintf("fascia-demo-%d", port)
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, name)
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", name)
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("%s-uid%d", name, os.Getuid()))
}

func demoSocket() string { return filepath.Join(demoDir(0), demoSocketName) }

// prepareDemo writes the demo's own files to dir and returns the configuration's
// name. What is there already is the user's, who may have changed it, and is
// kept unless it is to be reset.
func prepareDemo(dir string, reset bool) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{democonfig.Config, democonfig.DBC, democonfig.Mapping} {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); !reset && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		text, err := democonfig.Files.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, democonfig.Config), nil
}
