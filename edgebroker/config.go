package edgebroker

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/fascia-edge/fascia/config"
)

// Config is the broker section of the gateway's file.
type Config struct {
	// Where clients connect.
	Listeners []ListenerConfig `yaml:"listeners"`
	// How much a client may send, keep and wait for.
	Limits Limits `yaml:"limits"`
	// How often the $SYS topics are renewed; 0s for no $SYS topics.
	SysInterval config.Duration `yaml:"sys_interval" default:"10s"`
}

// Limits bound what clients can make the broker hold.
type Limits struct {
	// Largest packet a client may send; a larger one ends the connection with reason 0x95.
	PacketSize config.Size `yaml:"packet_size" default:"256KiB" min:"1KiB" max:"256MiB"`
	// How many connections there may be at once over all listeners, whether they have sent a CONNECT or not.
	Connections int `yaml:"connections" default:"1000" min:"1"`
	// Bytes that may wait to be written to one connection; beyond it QoS 0 messages to that client are dropped and QoS 1 and 2 wait in its session.
	QueueBytes config.Size `yaml:"queue_bytes" default:"1MiB" min:"4KiB"`
	// Bytes of QoS 1 and 2 messages that may wait in one session; beyond it the oldest are dropped.
	SessionBytes config.Size `yaml:"session_bytes" default:"16MiB" min:"4KiB"`
	// How many QoS 1 and 2 messages may wait in one session; beyond it the oldest are dropped.
	SessionMessages int `yaml:"session_messages" default:"20000" min:"1"`
	// How many sessions there may be, connected or not.
	Sessions int `yaml:"sessions" default:"2000" min:"1"`
	// Longest time that the session of an absent client is kept; MQTT 3.1.1 sessions have this expiry.
	SessionExpiry config.Duration `yaml:"session_expiry" default:"24h"`
	// How many subscriptions one session may have; more are refused with reason 0x97.
	Subscriptions int `yaml:"subscriptions" default:"1000" min:"1"`
	// How many levels a topic or filter may have.
	TopicLevels int `yaml:"topic_levels" default:"32" min:"1"`
	// How many retained messages there may be; more are refused with reason 0x97.
	RetainedMessages int `yaml:"retained_messages" default:"10000" min:"1"`
	// Bytes that retained messages may take together.
	RetainedBytes config.Size `yaml:"retained_bytes" default:"16MiB" min:"4KiB"`
	// QoS 1 and 2 messages under way to or from one client and not acknowledged.
	Inflight int `yaml:"inflight" default:"1024" min:"1" max:"65535"`
	// Time from accepting a connection, with its TLS or WebSocket handshake, to a complete CONNECT.
	ConnectTimeout config.Duration `yaml:"connect_timeout" default:"10s" min:"100ms"`
	// Time within which a connection must take 64 KiB of what waits for it, or all if that is less; else it is closed and its session stays.
	WriteTimeout config.Duration `yaml:"write_timeout" default:"20s" min:"100ms"`
}

// ListenerConfig is one place where clients connect.
type ListenerConfig struct {
	// Name in logs, metrics and status.
	Name string `yaml:"name" required:"true"`
	// Host and port to bind, such as 127.0.0.1:1883 or [::1]:1883; port 0 takes a free one.
	Address string `yaml:"address"`
	// Network interface whose addresses are bound; they are looked for every second, so it may come late or change them.
	Interface string `yaml:"interface"`
	// TCP port on that interface.
	Port int `yaml:"port" min:"1" max:"65535"`
	// What is spoken: MQTT over TCP, MQTT over WebSocket (path /mqtt), or MQTT over a Unix socket.
	Protocol string `yaml:"protocol" default:"mqtt" enum:"mqtt,websocket,unix"`
	// Path of the Unix socket.
	Socket string `yaml:"socket"`
	// Permissions of the Unix socket in octal.
	Mode string `yaml:"mode" default:"0660"`
	// Certificate and key; with them the listener speaks TLS.
	TLS *TLSConfig `yaml:"tls"`
	// How clients prove who they are, tried in this order: mtls, peercred, anonymous. Without it: mtls where there is a client_ca, anonymous on loopback and Unix sockets.
	Auth []string `yaml:"auth" enum:"anonymous,mtls,peercred"`
	// Role of clients that no line of auth.identities names; without it they are refused, except that anonymous clients have the role local.
	Role string `yaml:"role"`
	// Whether MQTT without TLS is allowed off loopback.
	Plaintext bool `yaml:"plaintext"`
	// Origins of web pages that may connect by WebSocket, such as https://cabin.example; a page of the listener's own host may always.
	Origins []string `yaml:"origins"`
}

// TLSConfig is the certificate of a listener. Changed files are taken up by
// themselves.
type TLSConfig struct {
	// Certificate chain in PEM, the listener's own first.
	Cert string `yaml:"cert" required:"true"`
	// Private key in PEM.
	Key string `yaml:"key" required:"true"`
	// Certificate authorities in PEM that client certificates must chain to.
	ClientCA string `yaml:"client_ca"`
}

// The ways of authentication.
const (
	authAnonymous = "anonymous"
	authMTLS      = "mtls"
	authPeer      = "peercred"
)

// The protocols of a listener.
const (
	protocolMQTT      = "mqtt"
	protocolWebSocket = "websocket"
	protocolUnix      = "unix"
)

// Resolve makes the paths of files and sockets relative to dir, the folder of
// the configuration file.
func (c *Config) Resolve(dir string) {
	resolve := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		resolve(&l.Socket)
		if l.TLS != nil {
			resolve(&l.TLS.Cert)
			resolve(&l.TLS.Key)
			resolve(&l.TLS.ClientCA)
		}
	}
}

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	first := make(map[string]int)
	for i, l := range c.Listeners {
		if j, taken := first[l.Name]; taken {
			r.At("listeners", i, "name").Errorf("listener %q is there twice, first as listeners[%d]: want a name for each", l.Name, j)
		} else {
			first[l.Name] = i
		}
	}
}

// Validate implements config.Validator.
func (l *ListenerConfig) Validate(r *config.Reporter) {
	if l.Protocol == protocolUnix {
		l.validateUnix(r)
	} else {
		l.validateNetwork(r)
	}
	methods := l.methods()
	if len(methods) == 0 {
		r.Errorf("listener %q says nothing of auth: want auth: [mtls] with tls.client_ca, or auth: [anonymous] on loopback or a Unix socket", l.Name)
	}
	if slices.Contains(methods, authMTLS) && (l.TLS == nil || l.TLS.ClientCA == "") {
		r.At("auth").Errorf("mtls needs tls.client_ca")
	}
	if slices.Contains(methods, authPeer) && l.Protocol != protocolUnix {
		r.At("auth").Errorf("peercred needs protocol: unix")
	}
	if slices.Contains(methods, authAnonymous) && !l.local() {
		r.At("auth").Errorf("anonymous is for loopback and Unix sockets only")
	}
	if len(l.Origins) > 0 && l.Protocol != protocolWebSocket {
		r.At("origins").Errorf("want protocol: websocket with origins")
	}
}

func (l *ListenerConfig) validateUnix(r *config.Reporter) {
	if l.Socket == "" {
		r.Errorf("listener %q has no socket: want the path of the Unix socket", l.Name)
	}
	if mode, err := strconv.ParseUint(l.Mode, 8, 32); err != nil || mode > 0o777 {
		r.At("mode").Errorf("want permissions in octal such as \"0660\", got %q", l.Mode)
	}
	if l.Address != "" || l.Interface != "" || l.Port != 0 || l.TLS != nil {
		r.Errorf("listener %q is a Unix socket: want socket and mode in place of address, interface, port and tls", l.Name)
	}
}

func (l *ListenerConfig) validateNetwork(r *config.Reporter) {
	if l.Socket != "" {
		r.At("socket").Errorf("want protocol: unix with socket")
	}
	switch {
	case l.Address != "" && (l.Interface != "" || l.Port != 0):
		r.Errorf("listener %q has an address and an interface: want address, or interface and port", l.Name)
	case l.Address == "" && (l.Interface == "" || l.Port == 0):
		r.Errorf("listener %q is bound to nothing: want address, or interface and port", l.Name)
	case l.Address != "":
		host, port, err := net.SplitHostPort(l.Address)
		if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
			r.At("address").Errorf("want host:port, got %q", l.Address)
			return
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			r.At("address").Warnf("%s is every address of the machine, the cellular side too: want one address or an interface", l.Address)
		}
	}
	if l.TLS == nil && !l.Plaintext && !l.local() {
		r.Errorf("listener %q would speak plain text off loopback: want tls, or plaintext: true", l.Name)
	}
}

// local reports whether only this machine can connect.
func (l *ListenerConfig) local() bool {
	if l.Protocol == protocolUnix {
		return true
	}
	if l.Interface != "" {
		return l.Interface == "lo"
	}
	host, _, err := net.SplitHostPort(l.Address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// methods are the ways of authentication, with what goes without saying.
func (l *ListenerConfig) methods() []string {
	switch {
	case len(l.Auth) > 0:
		return l.Auth
	case l.TLS != nil && l.TLS.ClientCA != "":
		return []string{authMTLS}
	case l.local():
		return []string{authAnonymous}
	}
	return nil
}
