package outage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fascia-edge/fascia/bench/brokers"
)

// Broker is one that is started again and again, on the same port and with the same
// folder. It is not safe for concurrent use.
type Broker struct {
	Port int
	Dir  string // of its data, configuration and words

	program brokers.Broker
	config  string
	process *brokers.Process // nil while it does not run
}

// NewBroker has not been started. The folder is made; config is given the port and the
// folder.
func NewBroker(program brokers.Broker, dir string, config func(port int, dir string) string) (*Broker, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return &Broker{Port: port, Dir: dir, program: program, config: config(port, dir)}, nil
}

// Address is where it listens, host:port.
func (b *Broker) Address() string { return fmt.Sprintf("127.0.0.1:%d", b.Port) }

// Start waits until it listens.
func (b *Broker) Start(ctx context.Context) (err error) {
	b.process, err = b.program.Start(ctx, b.Dir, b.config, b.Port)
	return err
}

// PID is that of the process, 0 while it does not run.
func (b *Broker) PID() int {
	if b.process == nil {
		return 0
	}
	return b.process.PID()
}

// Stop asks it to end and waits; it has to end well. Without a process it does nothing.
func (b *Broker) Stop() error { return b.end((*brokers.Process).Stop) }

// Kill ends it without warning. Without a process it does nothing.
func (b *Broker) Kill() error { return b.end((*brokers.Process).Kill) }

func (b *Broker) end(how func(*brokers.Process) error) error {
	if b.process == nil {
		return nil
	}
	process := b.process
	b.process = nil
	return how(process)
}

// Said is what it wrote since its last start.
func (b *Broker) Said() string {
	text, err := os.ReadFile(filepath.Join(b.Dir, "said"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// mosquittoCommon is what every mosquitto here needs.
func mosquittoCommon(port int, dir string) string {
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\n", port) +
		"log_type error\nlog_type warning\nset_tcp_nodelay true\n"
	if os.Geteuid() == 0 {
		text += "user root\n" // else it changes to one that may not write into our folder
	}
	// Autosave is off: what it holds is written when it ends, which these runs wait for.
	return text + fmt.Sprintf("persistence true\npersistence_location %s/\nautosave_interval 0\n", dir) +
		"max_queued_messages 0\nmax_queued_bytes 0\n"
}

// Far is the configuration of a mosquitto as the far side, which forgets nothing for
// want of room. What has reached a subscriber's socket before the PUBACK leaves
// outlives it: so it may have any number under way.
func Far(port int, dir string) string {
	return mosquittoCommon(port, dir) + "max_inflight_messages 0\n"
}

// Forget removes what a stopped mosquitto has kept of its sessions.
func Forget(b *Broker) error { return os.Remove(filepath.Join(b.Dir, "mosquitto.db")) }

// MosquittoBridge is the configuration of a mosquitto with a bridge of its own to the
// address, for what is published below up/: as durable as its bridges get, and with
// no limit of its queue.
func MosquittoBridge(to string) func(port int, dir string) string {
	return func(port int, dir string) string {
		return mosquittoCommon(port, dir) + fmt.Sprintf(`max_inflight_messages 1000
connection far
address %s
remote_clientid vehicle
bridge_protocol_version mqttv50
cleansession false
start_type automatic
restart_timeout 1 2
notifications false
try_private false
topic # out 1 up/ far/
`, to)
	}
}
