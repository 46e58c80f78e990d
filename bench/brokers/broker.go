// Package brokers finds, starts and stops the brokers that the programs beside
// it compare: ours, and those that users would otherwise install.
package brokers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Broker is a broker that was built or is installed.
type Broker struct {
	Name    string
	Version string   // "" if it does not tell
	command []string // what starts it, up to the name of its configuration file
}

// Fascia is ours, of the binary at path.
func Fascia(ctx context.Context, path string) (Broker, error) {
	binary, err := filepath.Abs(path)
	if err != nil {
		return Broker{}, err
	}
	var told struct{ Version string }
	out, err := exec.CommandContext(ctx, binary, "version", "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &told)
	}
	if err != nil {
		return Broker{}, fmt.Errorf("%s: %w (make build makes it)", path, err)
	}
	return Broker{"fascia", told.Version, []string{binary, "run", "-c"}}, nil
}

// Mosquitto is an error where it is not installed.
func Mosquitto(ctx context.Context) (Broker, error) {
	binary, err := find("mosquitto")
	if err != nil {
		return Broker{}, fmt.Errorf("mosquitto is missing: apt-get install mosquitto")
	}
	out, _ := exec.CommandContext(ctx, binary, "-h").Output() // it exits with 1 after its help
	return Broker{"mosquitto", lastWord(out), []string{binary, "-c"}}, nil
}

// FlashMQ is an error where it is not installed.
func FlashMQ(ctx context.Context) (Broker, error) {
	binary, err := find("flashmq")
	if err != nil {
		return Broker{}, fmt.Errorf("flashmq is missing: %w", err)
	}
	out, _ := exec.CommandContext(ctx, binary, "--version").Output() // a name is enough
	return Broker{"flashmq", lastWord(out), []string{binary, "--config-file"}}, nil
}

// Within is the same broker, started by a command that ends by becoming what
// follows it, as unshare does.
func (b Broker) Within(command ...string) Broker {
	b.command = append(slices.Clone(command), b.command...)
	return b
}

// Command is its program with other arguments than those that start it.
func (b Broker) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, b.command[0], args...)
}

// find looks where daemons are, too: a user's PATH often leaves that out.
func find(binary string) (string, error) {
	if path, err := exec.LookPath(binary); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", binary))
}

// lastWord is that of the first line.
func lastWord(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}
