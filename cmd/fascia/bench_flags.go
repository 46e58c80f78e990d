package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/bench/load"
)

// benchFlags are the flags of every scenario.
type benchFlags struct {
	conn    mqttFlags
	version string
	prefix  string
	pid     int
	findPID bool
	json    bool
}

var mqttVersions = map[string]byte{"3.1.1": 4, "5": 5}

func (f *benchFlags) register(c *cobra.Command) {
	f.conn.register(c)
	fs := c.Flags()
	fs.Lookup("id").Usage = "what client ids begin with (default: bench- and something made up)"
	fs.StringVar(&f.version, "mqtt", "3.1.1", "version of MQTT: 3.1.1 or 5")
	fs.StringVar(&f.prefix, "prefix", "", "topic below which all is published (default: bench/ and something made up)")
	fs.IntVar(&f.pid, "pid", 0, "process id of a broker on this machine, for its CPU time and memory")
	fs.BoolVar(&f.findPID, "find-pid", false, "find that process by the port or socket in --url")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	_ = c.RegisterFlagCompletionFunc("mqtt", cobra.FixedCompletions([]string{"3.1.1", "5"}, cobra.ShellCompDirectiveNoFileComp))
}

func (f *benchFlags) options() (load.Options, error) {
	var o load.Options
	version, ok := mqttVersions[f.version]
	if !ok {
		return o, usagef("--mqtt %q: want 3.1.1 or 5", f.version)
	}
	if strings.ContainsAny(f.prefix, "+#") {
		return o, usagef("--prefix %q: want a topic, without + or #", f.prefix)
	}
	broker, err := url.Parse(f.conn.url)
	if err != nil {
		return o, usagef("--url: %v", err)
	}
	dial, err := f.conn.dialer(broker)
	if err != nil {
		return o, err
	}
	password, err := f.conn.password()
	if err != nil {
		return o, err
	}
	if f.pid < 0 {
		return o, usagef("--pid %d: want a process id", f.pid)
	}
	if f.pid > 0 && f.findPID {
		return o, usagef("--pid and --find-pid: want one of them")
	}
	pid := f.pid
	if f.findPID {
		if pid, err = findBroker(broker); err != nil {
			return o, fmt.Errorf("--find-pid: %w", err)
		}
	}
	made := strings.ToLower(rand.Text()[:8])
	return load.Options{
		Dial:      dial,
		Version:   version,
		User:      f.conn.user,
		Password:  password,
		ClientID:  orElse(f.conn.id, "bench-"+made),
		KeepAlive: f.conn.keepAlive,
		Prefix:    orElse(strings.TrimSuffix(f.prefix, "/"), "bench/"+made),
		Process:   pid,
	}, nil
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// dialer opens connections that carry MQTT and nothing else.
func (f *mqttFlags) dialer(broker *url.URL) (func(context.Context) (net.Conn, error), error) {
	tlsConfig, err := f.tls()
	if err != nil {
		return nil, err
	}
	var plain net.Dialer
	switch broker.Scheme {
	case "mqtt", "tcp":
		return func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "tcp", withPort(broker)) }, nil
	case "mqtts", "tls", "ssl":
		return func(ctx context.Context) (net.Conn, error) { return dialTLS(ctx, withPort(broker), tlsConfig) }, nil
	case "unix":
		return func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "unix", broker.Path) }, nil
	case "ws", "wss":
		where := *broker
		where.Path = orElse(where.Path, "/mqtt")
		dialer := webSocketDialer(&where, tlsConfig)
		return func(ctx context.Context) (net.Conn, error) {
			conn, _, err := dialer.DialContext(ctx, where.String(), nil) //nolint:bodyclose // gorilla: it need not be closed
			if err != nil {
				return nil, err
			}
			return &webSocket{Conn: conn}, nil
		}, nil
	}
	return nil, usagef("--url %q: want mqtt://, mqtts://, ws://, wss:// or unix://", f.url)
}

// webSocket is the byte stream of a WebSocket: where messages begin and end says
// nothing to MQTT [MQTT-6.0.0-2].
type webSocket struct {
	*websocket.Conn
	message io.Reader  // nil between messages
	writing sync.Mutex // gorilla's writer is for one goroutine at a time
}

func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			_, message, err := w.NextReader()
			if err != nil {
				return 0, err
			}
			w.message = message
		}
		n, err := w.message.Read(p)
		if err == io.EOF { // of the message
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (w *webSocket) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *webSocket) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.NetConn().SetWriteDeadline(t) // gorilla's own is for the writing goroutine alone
}

// SetWriteDeadline reaches a write that is under way, too.
func (w *webSocket) SetWriteDeadline(t time.Time) error { return w.NetConn().SetWriteDeadline(t) }

// findBroker is the process behind a URL that leads to this machine.
func findBroker(broker *url.URL) (int, error) {
	if broker.Scheme == "unix" {
		return load.FindProcess("unix", broker.Path)
	}
	if !thisMachine(broker.Hostname()) {
		return 0, fmt.Errorf("%s is not this machine", broker.Hostname())
	}
	port := broker.Port()
	switch {
	case port != "":
	case broker.Scheme == "ws":
		port = "80"
	case broker.Scheme == "wss":
		port = "443"
	default:
		_, port, _ = net.SplitHostPort(withPort(broker)) // it has put one there
	}
	return load.FindProcess("tcp", port)
}

func thisMachine(host string) bool {
	addresses, err := net.LookupIP(host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		if address.IsLoopback() {
			return true
		}
		for _, o := range own {
			if network, ok := o.(*net.IPNet); ok && network.IP.Equal(address) {
				return true
			}
		}
	}
	return false
}
