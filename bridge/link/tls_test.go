package link

import (
	"crypto"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// listenTLS is a far side of the test's own that speaks TLS.
func listenTLS(t testing.TB, c *tls.Config) *farSide {
	t.Helper()
	far := listenFar(t)
	return &farSide{tls.NewListener(far.Listener, c), "mqtts://" + far.Addr().String()}
}

func serverConfig(t testing.TB, a *pkitest.Authority) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.File("server.pem"), a.File("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: a.CA.Pool(), ClientAuth: tls.RequestClientCert}
}

// shake accepts a connection, TLS and MQTT, and tells of the TLS.
func (f *farSide) shake(t testing.TB) (*peer, tls.ConnectionState) {
	t.Helper()
	p := f.accept(t)
	p.welcome(wire.Acceptance{})
	return p, p.Conn.(*tls.Conn).ConnectionState()
}

func TestProtocolIsOfferedOnPort443(t *testing.T) {
	amazon := []string{"x-amzn-mqtt-ca"}
	for _, c := range []struct {
		own  []string
		port string
		path string
		want []string
	}{
		{nil, "8883", "", nil},
		{nil, "443", "", amazon},
		{nil, "443", "/mqtt", nil}, // a WebSocket is HTTP
		{[]string{"mqtt"}, "443", "", []string{"mqtt"}},
		{[]string{"mqtt"}, "8883", "", []string{"mqtt"}},
	} {
		a := pkitest.New(t, t.TempDir())
		server := serverConfig(t, a)
		var offered []string
		server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			offered = hello.SupportedProtos
			return nil, nil
		}
		here, there := net.Pipe()
		shaken := make(chan struct{})
		go func() {
			defer close(shaken)
			_ = tls.Server(there, server).Handshake() // what it was offered is all
			there.Close()
		}()
		config := parse(t, "url: mqtts://127.0.0.1:"+c.port+"\ntls: {ca: "+a.File("ca.pem")+"}")
		config.TLS.ALPN = c.own
		d, err := newDialer(&config, &Options{ALPN443: amazon})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = d.encrypt(t.Context(), here, endpoint{host: "127.0.0.1", port: c.port, secure: true, path: c.path}, nil)
		here.Close()
		<-shaken
		if fmt.Sprint(offered) != fmt.Sprint(c.want) {
			t.Errorf("port %s%s with alpn %v offers %v, want %v", c.port, c.path, c.own, offered, c.want)
		}
	}
}

// TestFilesAreReadAtEachConnection: a new certificate is taken up with the next
// connection, and shown; until then sessions of TLS are resumed, which saves bytes.
func TestFilesAreReadAtEachConnection(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	a.Client("car")
	far := listenTLS(t, serverConfig(t, a))
	l := start(t, fmt.Sprintf("url: %s\nbackoff: {min: 10ms, max: 10ms}\ntls: {ca: %[2]s/ca.pem, cert: %[2]s/car.pem, key: %[2]s/car.key}", far.url, a.Dir))
	serials := map[string]bool{}
	for _, resumed := range []bool{false, true, false} {
		p, state := far.shake(t)
		next[connected](t, l.hand)
		if state.DidResume != resumed {
			t.Errorf("resumed %v, want %v", state.DidResume, resumed)
		}
		serials[state.PeerCertificates[0].SerialNumber.String()] = true
		if resumed {
			a.Client("car") // a new one
		}
		_ = p.Close()
		next[lost](t, l.hand)
	}
	if len(serials) != 2 {
		t.Errorf("%d certificates were shown, want 2", len(serials))
	}
}

func TestKeyMayBeNoFile(t *testing.T) {
	m := startMosquitto(t, "")
	pair := m.Client("car").Certificates[0]
	if err := os.Remove(m.File("car.key")); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("url: mqtts://%s\ntls: {ca: %[2]s/ca.pem, cert: %[2]s/car.pem}", m.mtls, m.Dir)
	l := start(t, text, func(o *Options) { o.Signer = pair.PrivateKey.(crypto.Signer) })
	next[connected](t, l.hand)
	l.stop()

	other := m.Client("other").Certificates[0].PrivateKey.(crypto.Signer)
	r, err := Test(t.Context(), parse(t, text), Options{Vars: vars, Signer: other})
	if err != nil || r.OK() || !strings.Contains(r.Endpoints[0].Err.Error(), "not that of the key") {
		t.Errorf("%v, %v", r, err)
	}
}

func TestErrorsOfTLSSayWhatToDo(t *testing.T) {
	m := startMosquitto(t, "")
	other := pkitest.New(t, t.TempDir())
	other.Client("car")
	ca := "tls: {ca: " + m.File("ca.pem")
	for name, c := range map[string]struct{ text, want string }{
		"unknown authority":       {"url: mqtts://" + m.mqtts + "\ntls: {ca: " + other.File("ca.pem") + "}", "want its authority in tls.ca"},
		"other name":              {"url: mqtts://" + m.mqtts + "\n" + ca + ", server_name: cloud.example}", "cloud.example"},
		"no certificate":          {"url: mqtts://" + m.mtls + "\n" + ca + "}", "the far side refuses"},
		"certificate of others":   {fmt.Sprintf("url: mqtts://%s\n%s, cert: %[3]s/car.pem, key: %[3]s/car.key}", m.mtls, ca, other.Dir), "the far side refuses"},
		"no such file":            {"url: mqtts://" + m.mqtts + "\ntls: {ca: /nowhere/ca.pem}", "/nowhere/ca.pem"},
		"no certificates in it":   {"url: mqtts://" + m.mqtts + "\ntls: {ca: " + m.File("server.key") + "}", "want certificates in PEM"},
		"another key":             {fmt.Sprintf("url: mqtts://%s\n%s, cert: %[3]s/car.pem, key: %[4]s/server.key}", m.mtls, ca, other.Dir, m.Dir), "private key does not match"},
		"plain where TLS is":      {"url: mqtt://" + m.mqtts, "in place of"},
		"TLS where plain is":      {"url: mqtts://" + m.mqtt + "\n" + ca + "}", "tls: "},
		"wrong path of WebSocket": {"url: ws://" + m.mqtt + "/x", "websocket: "},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Test(t.Context(), parse(t, c.text), Options{Vars: vars})
			if err != nil {
				t.Fatal(err)
			}
			if failed := r.Endpoints[0].Err; failed == nil || !strings.Contains(failed.Error(), c.want) {
				t.Errorf("%v does not say %q", failed, c.want)
			}
		})
	}
}
