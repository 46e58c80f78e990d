package edgebroker

import (
	"errors"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
)

func TestNamesOfListenersAreTheirOwn(t *testing.T) {
	var cfg testConfig
	_, err := config.Decode("test.yaml", []byte(`broker: {listeners: [{name: a, address: "127.0.0.1:1"}, {name: a, address: "127.0.0.1:2"}]}`), &cfg)
	var errs config.Errors
	if !errors.As(err, &errs) || !strings.Contains(err.Error(), "there twice") {
		t.Fatalf("got %v", err)
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	cfg := decode(t, `broker: {listeners: [{name: a, address: "127.0.0.1:0", tls: {cert: c.pem, key: /k.pem}}, {name: u, protocol: unix, socket: run/m.sock}]}`).Broker
	cfg.Resolve("/etc/fascia")
	if l := cfg.Listeners[0].TLS; l.Cert != "/etc/fascia/c.pem" || l.Key != "/k.pem" || l.ClientCA != "" || cfg.Listeners[1].Socket != "/etc/fascia/run/m.sock" {
		t.Fatalf("got %+v, %+v", l, cfg.Listeners[1])
	}
}
