package link

import (
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"mqtt://broker":               "broker:1883 plain",
		"mqtts://broker":              "broker:8883 TLS",
		"ws://broker":                 "broker:80 plain /mqtt",
		"wss://broker/":               "broker:443 TLS /mqtt",
		"wss://broker:8443/a/b?c=d":   "broker:8443 TLS /a/b?c=d",
		"wss://broker?c=d":            "broker:443 TLS /mqtt?c=d",
		"mqtt://[2001:db8::1]:1884/":  "[2001:db8::1]:1884 plain",
		"broker:1883":                 "scheme",
		"tcp://broker":                "want mqtt, mqtts, ws or wss",
		"mqtt://":                     "no host",
		"mqtt://user:secret@broker":   "want username and password beside it",
		"mqtt://broker/topic":         "with ws and wss only",
		"ws://broker/#x":              "fragment",
		"mqtt://user:secret@bro ker/": "no URL",
		"mqtt://broker:port":          "no URL",
	} {
		e, err := parseEndpoint(text)
		got := e.address() + " plain"
		if e.secure {
			got = e.address() + " TLS"
		}
		if e.path != "" {
			got += " " + e.path
		}
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want) || strings.Contains(got, "secret")) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestConfigurationSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"url: mqtt://a\nendpoints: [mqtt://b, http://c]":     "fascia.yaml:2:23: endpoints[1]: scheme",
		"url: mqtt://a\ntls: {ca: ca.pem}":                   "fascia.yaml:2:6: tls: no address speaks TLS",
		"url: mqtts://a\ntls: {key: k}":                      "want cert and key",
		"url: mqtts://a\npassword: p":                        "want username and password",
		"url: mqtts://a\nproxy: ftp://u:secret@b":            "want http, https or socks5",
		"url: mqtts://a\nproxy: \":secret\"":                 "no URL of a proxy",
		"url: mqtts://a\nbackoff: {min: 1h, max: 1s}":        "min 1h0m0s is longer than max 1s",
		"url: mqtts://a\nprotocol: 5":                        "in quotes it is a string",
		"url: mqtts://a\nclient_id: \"${topic}\"":            "client_id",
		"url: mqtt://a\nproxy: https://b\ntls: {ca: ca.pem}": "",
		"url: mqtts://a\ntls: {cert: c, key: k}":             "",
	} {
		var c Config
		_, err := config.Decode("fascia.yaml", []byte(text), &c)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s:\n%s\nwant %s", text, got, want)
		}
	}
	var c Config
	document, err := config.Decode("fascia.yaml", []byte("url: mqtt://broker\nusername: a\npassword: b"), &c)
	if err != nil || len(document.Warnings()) != 1 || !strings.Contains(document.Warnings()[0].Message, "in the clear") {
		t.Errorf("%v %v", document.Warnings(), err)
	}
	c.TLS.CA, c.TLS.Cert = "ca.pem", "/etc/cert.pem"
	c.Resolve("/conf")
	if c.TLS.CA != "/conf/ca.pem" || c.TLS.Cert != "/etc/cert.pem" || c.TLS.Key != "" {
		t.Errorf("%+v", c.TLS)
	}
}

func TestClientIDMustBeFilled(t *testing.T) {
	none := func(string) (string, bool) { return "", true }
	for text, want := range map[string]string{
		"url: mqtt://a":                                       "link cloud: client_id: ${thing} has no value",
		"url: mqtt://a\nclient_id: \"\"":                      "client_id is empty",
		"{url: mqtt://a, client_id: x, username: \"${vin}\"}": "username: ${vin} has no value",
	} {
		_, err := New(parse(t, text), Options{Name: "cloud", Vars: none, Handler: deaf{}, Log: logger(t)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
