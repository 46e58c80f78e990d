package edgebroker

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	pahopackets "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/auth/pki/pkitest"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// everyListener has one listener of each kind.
func everyListener(a *pkitest.Authority) string {
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
`, a.Dir, os.Getuid())
}

func TestEveryListenerCarriesMQTT(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	b := start(t, everyListener(a))
	for _, c := range []struct {
		listener, identity, role string
		dial                     func(address string) (net.Conn, error)
	}{
		{"local", "anonymous", auth.Local, func(at string) (net.Conn, error) { return net.Dial("tcp", at) }},
		{"tls", "anonymous", auth.Local, func(at string) (net.Conn, error) { return tls.Dial("tcp", at, a.Stranger()) }},
		{"mtls", "san:cluster.vehicle", "ecu", func(at string) (net.Conn, error) { return tls.Dial("tcp", at, a.Client("cluster")) }},
		{"ws", "anonymous", auth.Local, func(at string) (net.Conn, error) { return dialWebSocket("ws://"+at, nil) }},
		{"wss", "anonymous", auth.Local, func(at string) (net.Conn, error) { return dialWebSocket("wss://"+at, a.Stranger()) }},
		{"unix", "anonymous", auth.Local, func(at string) (net.Conn, error) { return net.Dial("unix", at) }},
		{"peer", fmt.Sprint("uid:", os.Getuid()), "ecu", func(at string) (net.Conn, error) { return net.Dial("unix", at) }},
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

// webSocket is a WebSocket as a byte stream.
type webSocket struct {
	net.Conn
	ws *websocket.Conn
	in io.Reader
}

func dialWebSocket(url string, cfg *tls.Config) (net.Conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: cfg, Subprotocols: []string{"mqtt"}}
	ws, response, err := dialer.Dial(url+"/mqtt", nil)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close() // empty: the connection lives on in ws
	return &webSocket{ws.NetConn(), ws, websocket.JoinMessages(ws, "")}, nil
}

func (s *webSocket) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *webSocket) Write(p []byte) (int, error) {
	return len(p), s.ws.WriteMessage(websocket.BinaryMessage, p)
}

func TestCertificateWithoutIdentityIsRefused(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	b := start(t, everyListener(a))
	socket, err := tls.Dial("tcp", address(t, b, "mtls"), a.Client("stranger")) // of our authority, but no identity names it
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, socket, 5)
	if ack := c.connect("c"); ack.reasons[0] != wire.NotAuthorized {
		t.Fatalf("CONNACK 0x%02X", ack.reasons[0])
	}
	c.closed()
}

func TestClientIDBelongsToTheIdentityThatUsesIt(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	b := start(t, everyListener(a))
	socket, err := tls.Dial("tcp", address(t, b, "mtls"), a.Client("cluster"))
	if err != nil {
		t.Fatal(err)
	}
	cluster := newClient(t, socket, 5)
	cluster.connect("cluster", keep)
	thief := dial(t, b, 5)
	if ack := thief.connect("cluster", keep); ack.reasons[0] != wire.ClientIDInvalid {
		t.Fatalf("CONNACK 0x%02X", ack.reasons[0])
	}
	cluster.ping()
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
	a := pkitest.New(t, t.TempDir())
	a.Client("cluster")
	b := start(t, everyListener(a))
	tcp := func(listener string, more ...string) []string {
		host, port, _ := net.SplitHostPort(address(t, b, listener))
		return append([]string{"-h", host, "-p", port}, more...)
	}
	for name, where := range map[string][]string{
		"local": tcp("local"),
		"tls":   tcp("tls", "--cafile", a.File("ca.pem")),
		"mtls":  tcp("mtls", "--cafile", a.File("ca.pem"), "--cert", a.File("cluster.pem"), "--key", a.File("cluster.key")),
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
