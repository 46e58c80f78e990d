package edgebroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	pahopackets "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"

	"github.com/fascia-edge/fascia/auth"
)

// everyListener has one listener of each kind.
func everyListener(p *pki) string {
	return fmt.Sprintf(`
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0"}
    - {name: tls, address: "127.0.0.1:0", tls: {cert: %[1]s/server.pem, key: %[1]s/server.key}}
    - {name: mtls, address: "127.0.0.1:0", tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, client_ca: %[1]s/ca.pem}}
    - {name: ws, address: "127.0.0.1:0", protocol: websocket, origins: ["https://cabin.example"]}
    - {name: wss, address: "127.0.0.1:0", protocol: websocket, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key}}
    - {name: unix, protocol: unix, socket: %[1]s/mqtt.sock, mode: "0600"}
    - {name: peer, protocol: unix, socket: %[1]s/peer.sock, auth: [peercred]}
auth:
  roles:
    ecu: {publish: ["#"], subscribe: ["#"]}
  identities:
    - {san: cluster.vehicle, role: ecu, zone: front}
    - {uid: %[2]d, role: ecu}
`, p.dir, os.Getuid())
}

func TestEveryListenerCarriesMQTT(t *testing.T) {
	p := newPKI(t)
	p.issue("server", nil)
	p.issue("cluster", nil)
	b := start(t, everyListener(p))
	for _, c := range []struct {
		listener, identity, role string
		dial                     func(address string) (net.Conn, error)
	}{
		{"local", "anonymous", auth.Local, func(a string) (net.Conn, error) { return net.Dial("tcp", a) }},
		{"tls", "anonymous", auth.Local, func(a string) (net.Conn, error) { return tls.Dial("tcp", a, p.client("")) }},
		{"mtls", "san:cluster.vehicle", "ecu", func(a string) (net.Conn, error) { return tls.Dial("tcp", a, p.client("cluster")) }},
		{"ws", "anonymous", auth.Local, func(a string) (net.Conn, error) { return dialWebSocket("ws://"+a, nil, "") }},
		{"wss", "anonymous", auth.Local, func(a string) (net.Conn, error) { return dialWebSocket("wss://"+a, p.client(""), "") }},
		{"unix", "anonymous", auth.Local, func(a string) (net.Conn, error) { return net.Dial("unix", a) }},
		{"peer", fmt.Sprint("uid:", os.Getuid()), "ecu", func(a string) (net.Conn, error) { return net.Dial("unix", a) }},
	} {
		t.Run(c.listener, func(t *testing.T) {
			socket, err := c.dial(address(t, b, c.listener))
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, b, socket, c.listener)
			info := b.Clients()[0]
			if info.Identity != c.identity || info.Role != c.role || info.Listener != c.listener {
				t.Fatalf("got %+v", info)
			}
			socket.Close()
			eventually(t, "end", func() bool { return b.Stats().Sessions == 0 })
		})
	}
}

// roundTrip subscribes and publishes with paho, QoS 2 and a payload over many
// WebSocket frames.
func roundTrip(t *testing.T, b *Broker, socket net.Conn, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got := make(chan string, 1)
	c := paho.NewClient(paho.ClientConfig{
		Conn: pahopackets.NewThreadSafeConn(socket),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			got <- string(r.Packet.Payload)
			return true, nil
		}},
	})
	t.Cleanup(func() { <-c.Done() })
	if _, err := c.Connect(ctx, &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 30}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "ivi/" + id, QoS: 2}}}); err != nil {
		t.Fatal(err)
	}
	payload := strings.Repeat("0123456789", 15000)
	if _, err := c.Publish(ctx, &paho.Publish{Topic: "ivi/" + id, QoS: 2, Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-got:
		if text != payload {
			t.Fatalf("%d bytes came back of %d", len(text), len(payload))
		}
	case <-ctx.Done():
		t.Fatal("the message did not come back")
	}
}

func dialWebSocket(url string, cfg *tls.Config, origin string) (net.Conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: cfg, Subprotocols: []string{"mqtt"}}
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	ws, response, err := dialer.Dial(url+"/mqtt", header)
	if err != nil {
		if response != nil {
			_ = response.Body.Close()
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, err
	}
	_ = response.Body.Close() // empty: the connection lives on in ws
	return &webSocket{Conn: ws.NetConn(), ws: ws}, nil
}

func TestWebPagesOfElsewhereAreRefused(t *testing.T) {
	p := newPKI(t)
	p.issue("server", nil)
	b := start(t, everyListener(p))
	host := address(t, b, "ws")
	for origin, ok := range map[string]bool{
		"http://" + host:            true,
		"https://cabin.example":     true,
		"https://evil.example":      false,
		"null":                      false,
		"http://127.0.0.1.evil.com": false,
	} {
		socket, err := dialWebSocket("ws://"+host, nil, origin)
		if (err == nil) != ok {
			t.Errorf("Origin %s: %v", origin, err)
		}
		if err == nil {
			socket.Close()
		}
	}
	for _, url := range []string{"http://" + host + "/mqtt", "http://" + host + "/other"} {
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", url, response.Status)
		}
	}
}

func TestNameThatWasMadeToLeadHereIsNoOrigin(t *testing.T) {
	p := newPKI(t)
	p.issue("server", nil)
	b := start(t, everyListener(p))
	for _, c := range []struct {
		listener, scheme, host string
		ok                     bool
	}{
		{"ws", "ws", "evil.example", false}, // its owner lets it resolve to 127.0.0.1
		{"ws", "ws", "localhost", true},
		{"wss", "wss", "gateway.example", true}, // its certificate is a proof
	} {
		dialer := websocket.Dialer{
			Subprotocols:    []string{"mqtt"},
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			NetDial: func(network, _ string) (net.Conn, error) {
				return net.Dial(network, address(t, b, c.listener))
			},
		}
		ws, response, err := dialer.Dial(c.scheme+"://"+c.host+"/mqtt", http.Header{"Origin": {"http://" + c.host}})
		if (err == nil) != c.ok {
			t.Errorf("%s on %s: %v", c.host, c.listener, err)
		}
		if response != nil {
			response.Body.Close()
		}
		if err == nil {
			ws.Close()
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	p := newPKI(t)
	p.issue("server", nil)
	p.issue("stranger", nil) // of our authority, but no identity names it
	b := start(t, everyListener(p))
	socket, err := tls.Dial("tcp", address(t, b, "mtls"), p.client("stranger"))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, socket, 5)
	if ack := c.connect("c"); ack.reasons[0] != reasonNotAuthorized {
		t.Fatalf("CONNACK 0x%02X", ack.reasons[0])
	}
	c.closed()
	foreign := newPKI(t)
	foreign.issue("cluster", nil)
	cfg := foreign.client("cluster")
	cfg.RootCAs = p.pool
	for range 20 {
		for _, cfg := range []*tls.Config{cfg, p.client("")} {
			wantAlert(t, address(t, b, "mtls"), cfg)
		}
	}
}

func wantAlert(t *testing.T, address string, cfg *tls.Config) {
	t.Helper()
	socket, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return
	}
	defer socket.Close()
	// TLS 1.3 tells a client of its certificate with the first answer, and a
	// client does not wait for that with its CONNECT.
	_ = socket.SetDeadline(time.Now().Add(patience))
	_, err = socket.Write(make([]byte, 1<<20))
	if err == nil {
		_, err = socket.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "remote error: tls") {
		t.Fatalf("without a certificate that verifies: %v, want an alert of TLS", err)
	}
}

func TestClientIDBelongsToTheIdentityThatUsesIt(t *testing.T) {
	p := newPKI(t)
	p.issue("server", nil)
	p.issue("cluster", nil)
	b := start(t, everyListener(p))
	socket, err := tls.Dial("tcp", address(t, b, "mtls"), p.client("cluster"))
	if err != nil {
		t.Fatal(err)
	}
	cluster := newClient(t, socket, 5)
	cluster.connect("cluster", keep)
	thief := dial(t, b, 5)
	if ack := thief.connect("cluster", keep); ack.reasons[0] != reasonClientID {
		t.Fatalf("CONNACK 0x%02X", ack.reasons[0])
	}
	cluster.ping()
}

func TestChangedCertificatesAreTakenUp(t *testing.T) {
	p := newPKI(t)
	first, _ := p.issue("server", nil)
	b := start(t, everyListener(p))
	served := func() *big.Int {
		socket, err := tls.Dial("tcp", address(t, b, "tls"), p.client(""))
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		return socket.ConnectionState().PeerCertificates[0].SerialNumber
	}
	if served().Cmp(first.SerialNumber) != 0 {
		t.Fatal("another certificate is served")
	}
	key, err := os.ReadFile(p.file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.file("server.key"), []byte("broken"))
	certs := b.listeners[1].certs
	certs.mu.Lock()
	certs.looked = 0 // look now, not in a second
	certs.mu.Unlock()
	if served().Cmp(first.SerialNumber) != 0 {
		t.Fatal("the old certificate did not stay")
	}
	writeFile(t, p.file("server.key"), key)
	second, _ := p.issue("server", nil)
	eventually(t, "the new certificate", func() bool { return served().Cmp(second.SerialNumber) == 0 })
}

func TestUnixSocketOfADeadProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	text := "broker:\n  listeners: [{name: unix, protocol: unix, socket: " + path + ", mode: \"0640\"}]\n"
	start(t, text)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	second, err := New(decode(t, text).Broker, Options{Policy: auth.New(auth.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("got %v, want address in use", err)
	}
	closeBroker(t, second)
	if _, err := os.Stat(path); err != nil {
		t.Fatal("the live socket is gone")
	}
}

func TestTakenPortNamesListenerAndAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	b, err := New(decode(t, `broker: {listeners: [{name: free, address: "127.0.0.1:0"}, {name: ecu, address: "`+at+`"}]}`).Broker, Options{Policy: auth.New(auth.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	err = b.Listen()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), `"ecu"`) || !strings.Contains(err.Error(), at) {
		t.Fatalf("got %v", err)
	}
	closeBroker(t, b)
}

func TestInterfaceIsBound(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port
	probe.Close()
	start(t, fmt.Sprintf("broker: {listeners: [{name: local, interface: lo, port: %d}]}\n", port))
	socket, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	newClient(t, socket, 5).connect("c")
}

func TestInterfaceThatIsNotThereYetStopsNothing(t *testing.T) {
	p := newPKI(t)
	p.issue("server", nil)
	b := start(t, fmt.Sprintf(`
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0"}
    - {name: late, interface: fascia-none0, port: 8883, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, client_ca: %[1]s/ca.pem}}
`, p.dir))
	if list := b.Listeners(); len(list) != 1 || list[0].Name != "local" {
		t.Fatalf("bound %+v", list)
	}
	connect(t, b, 5, "c").ping()
}

func TestMosquittoClientsOnEveryListener(t *testing.T) {
	for _, tool := range []string{"mosquitto_sub", "mosquitto_pub"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: apt-get install mosquitto-clients", tool)
			}
			t.Skipf("%s is missing: apt-get install mosquitto-clients", tool)
		}
	}
	p := newPKI(t)
	p.issue("server", nil)
	p.issue("cluster", nil)
	b := start(t, everyListener(p))
	tcp := func(listener string, more ...string) []string {
		host, port, _ := net.SplitHostPort(address(t, b, listener))
		return append([]string{"-h", host, "-p", port}, more...)
	}
	for name, where := range map[string][]string{
		"local": tcp("local"),
		"tls":   tcp("tls", "--cafile", p.file("ca.pem")),
		"mtls":  tcp("mtls", "--cafile", p.file("ca.pem"), "--cert", p.file("cluster.pem"), "--key", p.file("cluster.key")),
		"unix":  {"--unix", address(t, b, "unix")},
	} {
		for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
			t.Run(name+" "+version, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				topic := "ivi/" + name + "/" + version
				args := append([]string{"-V", version, "-t", topic, "-q", "1"}, where...)
				pub := exec.CommandContext(ctx, "mosquitto_pub", append(args, "-r", "-m", "hello")...)
				if out, err := pub.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				sub := exec.CommandContext(ctx, "mosquitto_sub", append(args, "-C", "1", "-F", "%t %r %p")...)
				out, err := sub.CombinedOutput()
				if err != nil || string(out) != topic+" 1 hello\n" {
					t.Fatalf("%v: %q", err, out)
				}
			})
		}
	}
}
