package link

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"

	"github.com/fascia-edge/fascia/config"
)

// Config says how to reach a far broker; its keys stand among those of the link.
type Config struct {
	// Address of the far broker: mqtt://, mqtts://, ws:// or wss://, a host and a port (1883, 8883, 80 and 443 without one); the path of a WebSocket is /mqtt without one.
	URL string `yaml:"url" required:"true"`
	// Addresses tried in this order when the first can't be reached; the link returns to the first one when it can be reached again.
	Endpoints []string `yaml:"endpoints"`
	// How often the first address is tried while another one is in use; 0 for never.
	FailBack config.Duration `yaml:"fail_back" default:"10m" min:"0s" max:"24h"`
	// Version of MQTT: auto speaks 5, and 3.1.1 to a far side that refuses 5.
	Protocol string `yaml:"protocol" default:"auto" enum:"auto,5,3.1.1"`
	// MQTT client id; it names the session that the far side keeps, so it must be the link's alone.
	ClientID string `yaml:"client_id" default:"${thing}" template:"vin,thing"`
	// User name that the far side knows.
	Username string `yaml:"username" template:"vin,thing"`
	// Password of that user; best as ${env:NAME}.
	Password string `yaml:"password"`
	// How mqtts and wss check the far side, and prove who the vehicle is.
	TLS TLS `yaml:"tls"`
	// Proxy to go through: http://, https:// or socks5:// with USER:PASSWORD@ where it wants them; it resolves the far side's name.
	Proxy string `yaml:"proxy"`
	// Network interface that connections leave by, such as wwan0; it may come late.
	Interface string `yaml:"interface"`
	// Which addresses of a name are used: auto tries both kinds side by side (RFC 8305), so that a dead IPv6 costs nothing.
	Family string `yaml:"family" default:"auto" enum:"auto,ipv4,ipv6"`
	// Longest silence of the vehicle: then a ping is sent; a far side that wants another interval is obeyed.
	KeepAlive config.Duration `yaml:"keep_alive" default:"5m" min:"1s" max:"18h"`
	// How long an answer may stay out with nothing else heard, and sent data unconfirmed by TCP, before the connection counts as dead; slow links get more for large messages.
	PingTimeout config.Duration `yaml:"ping_timeout" default:"30s" min:"100ms" max:"10m"`
	// How long each step of connecting may take: reaching the address, the proxy, TLS, the WebSocket, MQTT.
	ConnectTimeout config.Duration `yaml:"connect_timeout" default:"20s" min:"100ms" max:"10m"`
	// How long the far side keeps the session, and what came for it, while the vehicle is away; version 5 only.
	SessionExpiry config.Duration `yaml:"session_expiry" default:"24h" min:"0s" max:"8760h"`
	// How many messages of the far side may wait for their local commit; version 5 only.
	ReceiveMaximum int `yaml:"receive_maximum" default:"64" min:"1" max:"65535"`
	// Largest packet that the far side may send; a larger one is kept back by version 5, and ends a 3.1.1 connection.
	MaxPacket config.Size `yaml:"max_packet" default:"1MiB" min:"1KiB" max:"256MiB"`
	// How long to wait between tries.
	BackOff BackOff `yaml:"backoff"`
}

// TLS is what a link needs of files; they are read at each connection, so changed
// ones need no restart.
type TLS struct {
	// Certificate authorities in PEM that the far side must chain to; those of the system without it. An https proxy may chain to either.
	CA string `yaml:"ca"`
	// Certificate chain of the vehicle in PEM, its own first.
	Cert string `yaml:"cert"`
	// Private key of the certificate in PEM.
	Key string `yaml:"key"`
	// Name that the far side's certificate must have, where it isn't the host of the address.
	ServerName string `yaml:"server_name"`
	// Application protocols to offer (ALPN), such as x-amzn-mqtt-ca.
	ALPN []string `yaml:"alpn"`
}

// BackOff is the wait between tries: it doubles from min to max, is shortened at
// random by up to a half, and begins anew after a stable connection.
type BackOff struct {
	// First wait.
	Min config.Duration `yaml:"min" default:"1s" min:"10ms" max:"1h"`
	// Longest wait; also the wait after credentials were refused.
	Max config.Duration `yaml:"max" default:"2m" min:"10ms" max:"24h"`
	// How long a connection must stand to count as stable.
	Stable config.Duration `yaml:"stable" default:"30s" min:"0s" max:"24h"`
}

// Resolve makes the paths of files relative to dir, the folder of the
// configuration file.
func (c *Config) Resolve(dir string) {
	for _, path := range []*string{&c.TLS.CA, &c.TLS.Cert, &c.TLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	secure := false
	check := func(r *config.Reporter, text string) {
		e, err := parseEndpoint(text)
		if err != nil {
			r.Errorf("%v", err)
			return
		}
		secure = secure || e.secure
		if !e.secure && c.Password != "" && !loopback(e.host) {
			r.Warnf("the password goes to %s in the clear: want mqtts or wss", e.host)
		}
	}
	check(r.At("url"), c.URL)
	for i, text := range c.Endpoints {
		check(r.At("endpoints", i), text)
	}
	proxy, err := parseProxy(c.Proxy)
	if err != nil {
		r.At("proxy").Errorf("%v", err)
	}
	secure = secure || proxy != nil && proxy.Scheme == "https"
	if !secure && (c.TLS.CA != "" || c.TLS.Cert != "" || c.TLS.Key != "" || c.TLS.ServerName != "" || len(c.TLS.ALPN) > 0) {
		r.At("tls").Errorf("no address speaks TLS: want mqtts or wss with tls")
	}
	if c.TLS.Key != "" && c.TLS.Cert == "" {
		r.At("tls", "key").Errorf("a key without a certificate: want cert and key")
	}
	if c.Password != "" && c.Username == "" {
		r.At("password").Errorf("a password without a user name: want username and password") // [MQTT-3.1.2-22] of 3.1.1
	}
	if c.BackOff.Min > c.BackOff.Max {
		r.At("backoff").Errorf("min %s is longer than max %s", c.BackOff.Min, c.BackOff.Max)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// parseProxy gives nil for none. Its errors keep the text to themselves, for it may
// have a password.
func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("no URL of a proxy: want http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
	}
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme]
	if port == "" {
		return nil, fmt.Errorf("scheme %q of the proxy: want http, https or socks5", u.Scheme)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}
