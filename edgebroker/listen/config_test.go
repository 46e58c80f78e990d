package listen

import (
	"errors"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
)

func TestWrongListenersAreRefused(t *testing.T) {
	for listener, want := range map[string]string{
		`{name: a, address: "192.0.2.1:1883", auth: [mtls]}`:                       "plain text off loopback",
		`{name: a, address: "192.0.2.1:1883", plaintext: true}`:                    "says nothing of auth",
		`{name: a, address: "192.0.2.1:1883", plaintext: true, auth: [anonymous]}`: "anonymous is for loopback",
		`{name: a, address: "127.0.0.1:1883", auth: [mtls]}`:                       "mtls needs tls.client_ca",
		`{name: a, address: "127.0.0.1:1883", auth: [peercred]}`:                   "peercred needs protocol: unix",
		`{name: a, address: "127.0.0.1:1883", auth: [password]}`:                   "password",
		`{name: a, address: "127.0.0.1"}`:                                          "want host:port",
		`{name: a, address: "127.0.0.1:1883", interface: lo, port: 1}`:             "an address and an interface",
		`{name: a}`:                  "bound to nothing",
		`{name: a, interface: eth1}`: "bound to nothing",
		`{name: a, protocol: unix}`:  "has no socket",
		`{name: a, protocol: unix, socket: s, mode: "999"}`:            "octal",
		`{name: a, protocol: unix, socket: s, address: "127.0.0.1:1"}`: "is a Unix socket",
		`{name: a, address: "127.0.0.1:1883", origins: ["https://x"]}`: "want protocol: websocket",
		`{name: a, address: "127.0.0.1:1883", max_connections: -1}`:    "max_connections",
		`{name: a, address: "127.0.0.1:1883", connect_rate: 1.5}`:      "connect_rate",
	} {
		var cfg testConfig
		_, err := config.Decode("test.yaml", []byte("listeners: ["+listener+"]"), &cfg)
		var errs config.Errors
		if !errors.As(err, &errs) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", listener, err, want)
		}
	}
}

func TestWildcardAddressIsWarnedOf(t *testing.T) {
	var cfg testConfig
	doc, err := config.Decode("test.yaml", []byte(`listeners: [{name: a, address: "0.0.0.0:8883", tls: {cert: c, key: k, client_ca: ca}}]`), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	if w := doc.Warnings(); len(w) != 1 || !strings.Contains(w[0].Message, "cellular") {
		t.Fatalf("warnings %v", w)
	}
}
