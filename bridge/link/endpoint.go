package link

import (
	"errors"
	"fmt"
	"net"
	"net/url"
)

// webSocketPath is where brokers listen for WebSocket clients, unless the URL says
// otherwise.
const webSocketPath = "/mqtt"

// endpoint is one address of a far broker.
type endpoint struct {
	url        string // as configured; it holds no secret
	host, port string
	secure     bool   // TLS
	path       string // of the WebSocket request, with its query; "" for plain MQTT
}

func (e endpoint) address() string { return net.JoinHostPort(e.host, e.port) }

// parseEndpoint reads an address as the configuration has it. Credentials are
// refused in it: URLs stand in logs and in the status.
func parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err // without the text, which may have a password
		}
		return endpoint{}, fmt.Errorf("no URL: %w: want mqtts://HOST:PORT", err)
	}
	e := endpoint{url: text, host: u.Hostname(), port: u.Port()}
	web, port := false, ""
	switch u.Scheme {
	case "mqtt":
		port = "1883"
	case "mqtts":
		port, e.secure = "8883", true
	case "ws":
		port, web = "80", true
	case "wss":
		port, web, e.secure = "443", true, true
	default:
		return endpoint{}, fmt.Errorf("scheme %q: want mqtt, mqtts, ws or wss", u.Scheme)
	}
	if e.port == "" {
		e.port = port
	}
	switch {
	case u.User != nil:
		return endpoint{}, errors.New("a user in the URL: want username and password beside it")
	case e.host == "":
		return endpoint{}, errors.New("no host in the URL: want " + u.Scheme + "://HOST:PORT")
	case u.Fragment != "":
		return endpoint{}, fmt.Errorf("fragment %q in the URL: want none", u.Fragment)
	case web:
		if e.path = u.RequestURI(); u.Path == "" || u.Path == "/" {
			u.Path = webSocketPath
			e.path = u.RequestURI()
		}
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return endpoint{}, fmt.Errorf("path %q in the URL: want one with ws and wss only", u.RequestURI())
	}
	return e, nil
}
