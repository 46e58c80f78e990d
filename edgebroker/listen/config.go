package listen

import (
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/fascia-edge/fascia/config"
)

// Config is one place where clients connect.
type Config struct {
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
	TLS *TLS `yaml:"tls"`
	// How clients prove who they are, tried in this order: mtls, peercred, anonymous. Without it: mtls where there is a client_ca, anonymous on loopback and Unix sockets.
	Auth []string `yaml:"auth" enum:"anonymous,mtls,peercred"`
	// Role of clients that no line of auth.identities names; without it they are refused, except that anonymous clients have the role local.
	Role string `yaml:"role"`
	// Whether MQTT without TLS is allowed off loopback.
	Plaintext bool `yaml:"plaintext"`
	// Origins of web pages that may connect by WebSocket, such as https://cabin.example; a page of the listener's own host may always.
	Origins []string `yaml:"origins"`
	// How many connections there may be at once on this listener, 0 for as many as limits.connections lets in; one more is refused with reason 0x97.
	MaxConnections int `yaml:"max_connections" min:"0"`
	// How many connections a second may come on this listener, 0 for any number; those of two seconds may come at once, early ones are held back for up to a second, and more are refused with reason 0x9F, or closed before a TLS handshake.
	ConnectRate int `yaml:"connect_rate" min:"0" max:"1000000"`
}

// TLS is the certificate of a listener. Changed files are taken up by
// themselves.
type TLS struct {
	// Certificate chain in PEM, the listener's own first.
	Cert string `yaml:"cert" required:"true"`
	// Private key in PEM.
	Key string `yaml:"key" required:"true"`
	// Certificate authorities in PEM that client certificates must chain to.
	ClientCA string `yaml:"client_ca"`
}

// The ways of authentication.
const (
	Anonymous = "anonymous"
	MTLS      = "mtls"
	PeerCred  = "peercred"
)

// The protocols of a listener.
const (
	protocolMQTT      = "mqtt"
	protocolWebSocket = "websocket"
	protocolUnix      = "unix"
)

// Resolve makes the paths of files and sockets relative to dir, the folder of
// the configuration file.
func (l *Config) Resolve(dir string) {
	resolve := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	resolve(&l.Socket)
	if l.TLS != nil {
		resolve(&l.TLS.Cert)
		resolve(&l.TLS.Key)
		resolve(&l.TLS.ClientCA)
	}
}

// Validate implements config.Validator.
func (l *Config) Validate(r *config.Reporter) {
	if l.Protocol == protocolUnix {
		l.validateUnix(r)
	} else {
		l.validateNetwork(r)
	}
	methods := l.Methods()
	if len(methods) == 0 {
		r.Errorf("listener %q says nothing of auth: want auth: [mtls] with tls.client_ca, or auth: [anonymous] on loopback or a Unix socket", l.Name)
	}
	if slices.Contains(methods, MTLS) && (l.TLS == nil || l.TLS.ClientCA == "") {
		r.At("auth").Errorf("mtls needs tls.client_ca")
	}
	if slices.Contains(methods, PeerCred) && l.Protocol != protocolUnix {
		r.At("auth").Errorf("peercred needs protocol: unix")
	}
	if slices.Contains(methods, Anonymous) && !l.local() {
		r.At("auth").Errorf("anonymous is for loopback and Unix sockets only")
	}
	if len(l.Origins) > 0 && l.Protocol != protocolWebSocket {
		r.At("origins").Errorf("want protocol: websocket with origins")
	}
}

func (l *Config) validateUnix(r *config.Reporter) {
	if l.Socket == "" {
		r.Errorf("listener %q has no socket: want the path of the Unix socket", l.Name)
	}
	if _, err := l.mode(); err != nil {
		r.At("mode").Errorf("%v", err)
	}
	if l.Address != "" || l.Interface != "" || l.Port != 0 || l.TLS != nil {
		r.Errorf("listener %q is a Unix socket: want socket and mode in place of address, interface, port and tls", l.Name)
	}
}

func (l *Config) validateNetwork(r *config.Reporter) {
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

// mode is the permissions of the Unix socket.
func (l *Config) mode() (fs.FileMode, error) {
	mode, err := strconv.ParseUint(l.Mode, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, fmt.Errorf("want permissions in octal such as \"0660\", got %q", l.Mode)
	}
	return fs.FileMode(mode), nil
}

// local reports whether only this machine can connect.
func (l *Config) local() bool {
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

// Methods are the ways of authentication, with what goes without saying.
func (l *Config) Methods() []string {
	switch {
	case len(l.Auth) > 0:
		return l.Auth
	case l.TLS != nil && l.TLS.ClientCA != "":
		return []string{MTLS}
	case l.local():
		return []string{Anonymous}
	}
	return nil
}
