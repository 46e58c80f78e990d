package gateway

import (
	"io"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/config"
)

// newLogger makes the logger that the configuration asks for. level can be set
// again by a reload.
func newLogger(c LogConfig, w io.Writer, level *slog.LevelVar) *slog.Logger {
	setLevel(level, c.Level)
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" || c.Format == "auto" && IsTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func (g *Gateway) logWarnings(warnings []config.Problem) {
	for _, w := range warnings {
		g.log.Warn(w.Error())
	}
}

func setLevel(level *slog.LevelVar, name string) {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) == nil { // the configuration allows slog's own names only
		level.Set(l)
	}
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
