package gateway

import (
	"errors"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"
)

// What a running gateway can't change is refused by name, and nothing is taken.
func TestReloadRefusesWhatIsFixed(t *testing.T) {
	sections := map[string][2]string{ // name in the error: what to change, into what
		"vehicle":      {"", "vehicle: {vin: WF0XXXGCDX1234567}\n"},
		"data_dir":     {"data_dir: data", "data_dir: elsewhere"},
		"control":      {"f.sock", "elsewhere.sock"},
		"log.format":   {"", "log: {format: text, level: debug}\n"},
		"stop_timeout": {"", "stop_timeout: 3s\n"},
		"store":        {"", "store: {size: 64MiB}\n"},
		"time":         {"", "time: {synchronised: never}\n"},
		"broker":       {"broker:\n", "broker:\n  limits: {connections: 5}\n"},
		"audit":        {"", "audit: {size: 32MiB}\n"},
		"metrics":      {"", "metrics: {listen: \"127.0.0.1:0\"}\n"},
	}
	covered := map[string]bool{"log": true, "can": true, "auth": true, "bridge": true, "streams": true} // reloaded, in part or as a whole
	for name := range sections {
		covered[name] = true
	}
	for i, config := 0, reflect.TypeFor[Config](); i < config.NumField(); i++ {
		if name := config.Field(i).Tag.Get("yaml"); !covered[name] {
			t.Errorf("section %q is neither reloaded nor refused", name)
		}
	}
	type section struct{ name, old, new string }
	all := []section{
		{"can.buses (names and sources)", "name: can0", "name: can1"},
		{"can.buses (names and sources)", "speed=max", "speed=1"},
		{"can.record", "  mapping:", "  record: [{name: drive}]\n  mapping:"},
	}
	for name, c := range sections {
		all = append(all, section{name, c[0], c[1]})
	}
	// The control socket is given: it would move with the data directory.
	const base = goodConfig + "control: {socket: f.sock}\n"
	file := write(t, map[string]string{"fascia.yaml": base})
	g := running(t, file)
	awaitReady(t, g)
	before := g.Config()
	for _, c := range all {
		text := base + c.new
		if c.old != "" {
			text = change(base, c.old, c.new)
		}
		rewrite(t, file, text)
		err := g.Reload()
		if !errors.Is(err, errFixed) || !strings.HasPrefix(err.Error(), c.name+" ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want that alone refused", c.name, err)
		}
		if s := g.Status().Config.LastReload; err != nil && s.Error != err.Error() || g.Config() != before || g.level.Level() != slog.LevelInfo {
			t.Errorf("%s: status %+v, level %s", c.name, s, g.level.Level())
		}
	}
	rewrite(t, file, base)
	if err := g.Reload(); err != nil || g.Status().Config.LastReload.Error != "" || g.Status().Config.LastReload.At.IsZero() {
		t.Errorf("as it was: %v", err)
	}
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Roles, the log level and mappings are taken over together or not at all.
func TestReloadIsAllOrNothing(t *testing.T) {
	file := write(t, nil)
	g := running(t, file)
	publish := publisher(t, g)
	const silent = goodConfig + "auth: {roles: {local: {subscribe: [\"#\"]}}}\nlog: {level: debug}\n"
	rewrite(t, file, change(silent, "[mapping.yaml]", "[missing.yaml]"))
	if err := g.Reload(); err == nil {
		t.Fatal("a mapping that is not there was taken")
	}
	if reason := publish("a", "1"); reason >= 0x80 || g.level.Level() != slog.LevelInfo {
		t.Errorf("after a refused reload: reason 0x%02X, level %s", reason, g.level.Level())
	}
	rewrite(t, file, silent)
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	if reason := publish("a", "1"); reason != 0x87 || g.level.Level() != slog.LevelDebug {
		t.Errorf("after a reload: reason 0x%02X, level %s", reason, g.level.Level())
	}
	// The next reload is held against this one, not against the start.
	if g.Config().Log.Level != "debug" {
		t.Error("the configuration in use is still the first")
	}
}

// Flags of the command line hold at a reload too.
func TestReloadKeepsWhatTheCommandLineSays(t *testing.T) {
	file := write(t, nil)
	g, err := New(file, Options{Stderr: &strings.Builder{}, Adjust: func(c *Config) { c.Metrics.Listen = "127.0.0.1:9" }})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(); err != nil || g.Config().Metrics.Listen != "127.0.0.1:9" {
		t.Errorf("got %v, metrics on %s", err, g.Config().Metrics.Listen)
	}
}

// A hangup may come at any moment.
func TestReloadWhileStartingAndStopping(t *testing.T) {
	file := write(t, nil)
	done := make(chan struct{})
	t.Cleanup(func() { <-done }) // after the stop, which running has registered later
	g := running(t, file)
	go func() {
		defer close(done)
		for range 20 {
			if err := g.Reload(); err != nil {
				t.Error(err)
			}
		}
	}()
}
