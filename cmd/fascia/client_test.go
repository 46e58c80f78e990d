package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/gateway"
)

// guardedConfig has a listener of every kind. UID is who may use the socket.
const guardedConfig = `
data_dir: data
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0", auth: [anonymous]}
    - {name: tls, address: "127.0.0.1:0", auth: [anonymous], tls: {cert: server.pem, key: server.key}}
    - {name: mutual, address: "127.0.0.1:0", tls: {cert: server.pem, key: server.key, client_ca: ca.pem}}
    - {name: web, protocol: websocket, address: "127.0.0.1:0"}
    - {name: web-mutual, protocol: websocket, address: "127.0.0.1:0", tls: {cert: server.pem, key: server.key, client_ca: ca.pem}}
    - {name: peers, protocol: unix, socket: peers.sock, auth: [peercred]}
auth:
  roles:
    navigation: {publish: ["ivi/navigation/#"], subscribe: ["ivi/navigation/#"]}
    service: {publish: ["service/#"], subscribe: ["service/#"]}
  identities:
    - {san: navigation.vehicle, role: navigation}
    - {uid: UID, role: service}
`

// guarded starts a gateway with guardedConfig and certificates: of the
// navigation, of a client that no identity names, and in the folder "other" of
// another authority, for the navigation too.
func guarded(t *testing.T, uid int) *process {
	t.Helper()
	dir := configured(t, map[string]string{"fascia.yaml": strings.ReplaceAll(guardedConfig, "UID", fmt.Sprint(uid))})
	ca, other := pkitest.New(t, dir), pkitest.New(t, filepath.Join(dir, "other"))
	ca.Client("navigation")
	ca.Client("stranger")
	other.Client("navigation")
	return start(t, dir)
}

// Every kind of listener lets in who is named, in the role that is named, and
// tells the others why not.
func TestListenersLetInWhoIsNamed(t *testing.T) {
	p := guarded(t, os.Getuid())
	file := func(name string) string { return filepath.Join(p.dir, name) }
	trust := []string{"--cafile", file("ca.pem")}
	as := func(name string) []string {
		return append(trust[:len(trust):len(trust)], "--cert", file(name+".pem"), "--key", file(name+".key"))
	}
	at := func(scheme, listener string) string { return scheme + "://" + p.address(listener) }
	for name, c := range map[string]struct {
		url     string
		flags   []string
		topic   string
		refusal string // "" where the message arrives
	}{
		"TLS":                                {at("mqtts", "tls"), trust, "ivi/tls", ""},
		"TLS, authority not known":           {at("mqtts", "tls"), nil, "ivi/tls", "certificate signed by unknown authority"},
		"TLS, of another authority":          {at("mqtts", "tls"), []string{"--cafile", file("other/ca.pem")}, "ivi/tls", "certificate signed by unknown authority"},
		"plain text at TLS":                  {at("mqtt", "tls"), nil, "ivi/tls", at("mqtt", "tls")},
		"mutual TLS":                         {at("mqtts", "mutual"), as("navigation"), "ivi/navigation/a", ""},
		"mutual TLS, outside its role":       {at("mqtts", "mutual"), as("navigation"), "service/a", "reason 0x87 (Not authorized): no publish grant"},
		"mutual TLS, nobody's certificate":   {at("mqtts", "mutual"), as("stranger"), "ivi/navigation/a", "the broker refused the connection: reason 0x87"},
		"mutual TLS, of another authority":   {at("mqtts", "mutual"), as("other/navigation"), "ivi/navigation/a", "certificate"},
		"mutual TLS, no certificate":         {at("mqtts", "mutual"), trust, "ivi/navigation/a", "certificate required"},
		"WebSocket":                          {at("ws", "web"), nil, "ivi/web", ""},
		"WebSocket, with its path":           {at("ws", "web") + "/mqtt", nil, "ivi/web", ""},
		"WebSocket, another path":            {at("ws", "web") + "/other", nil, "ivi/web", "bad handshake"},
		"WebSocket with mutual TLS":          {at("wss", "web-mutual"), as("navigation"), "ivi/navigation/b", ""},
		"WebSocket, nobody's certificate":    {at("wss", "web-mutual"), as("stranger"), "ivi/navigation/b", "the broker refused the connection: reason 0x87"},
		"WebSocket, no certificate":          {at("wss", "web-mutual"), trust, "ivi/navigation/b", "certificate required"},
		"Unix socket":                        {"unix://" + file("peers.sock"), nil, "service/c", ""},
		"Unix socket, outside its role":      {"unix://" + file("peers.sock"), nil, "ivi/navigation/c", "reason 0x87"},
		"Unix socket that is not there":      {"unix://" + file("none.sock"), nil, "service/c", "no such file"},
		"certificate without its key":        {at("mqtts", "mutual"), append(trust[:2:2], "--cert", file("navigation.pem"), "--key", file("stranger.key")), "ivi/navigation/a", "private key does not match"},
		"authority's file that is not there": {at("mqtts", "tls"), []string{"--cafile", file("none.pem")}, "ivi/tls", "none.pem: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--url", c.url}, c.flags...)
			r := run(t, append(append([]string{"pub"}, args...), "-r", "-q", "1", c.topic, "hello")...)
			if c.refusal != "" {
				if r.code != 1 || !strings.Contains(r.stderr, c.refusal) {
					t.Errorf("exit code %d: %s: want %q", r.code, r.stderr, c.refusal)
				}
				return
			}
			if r.code != 0 {
				t.Fatalf("exit code %d: %s", r.code, r.stderr)
			}
			r = run(t, append(append([]string{"sub"}, args...), "-C", "1", "-W", "20s", c.topic)...)
			if r.code != 0 || r.stdout != c.topic+" hello\n" {
				t.Errorf("sub: exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}

func TestUnixSocketRefusesUsersThatNoIdentityNames(t *testing.T) {
	p := guarded(t, os.Getuid()+1)
	r := run(t, "pub", "--url", "unix://"+filepath.Join(p.dir, "peers.sock"), "service/c", "hello")
	if want := "the broker refused the connection: reason 0x87"; r.code != 1 || !strings.Contains(r.stderr, want) {
		t.Errorf("exit code %d: %s: want %q", r.code, r.stderr, want)
	}
}

// -W ends a command too that does not get as far as the broker's answer.
func TestBrokerThatSaysNothingIsAFailure(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := run(t, "sub", "--url", "mqtt://"+silent.Addr().String(), "-W", "200ms", "#")
	if r.code != 1 || !strings.Contains(r.stderr, silent.Addr().String()) || !strings.Contains(r.stderr, "no connection") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// Ctrl-C and SIGTERM end a command that waits for its input.
func TestPubThatReadsItsInputCanBeStopped(t *testing.T) {
	_, files := plain(t)
	p := start(t, configured(t, files))
	heard := make(chan string, 1)
	p.subscribe("ivi/#", 1, func(m *paho.Publish) { heard <- string(m.Payload) })
	cmd := exec.Command(fascia, "pub", "--url", p.url(), "--lines", "-q", "1", "ivi/lines")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it should have ended
	if _, err := io.WriteString(input, "one\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "one" {
		t.Errorf("got %q", got)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _, _ = cmd.Process.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for its input still")
	}
}

func TestMessagesKeepWhatTheyWereGiven(t *testing.T) {
	_, files := plain(t)
	p := start(t, configured(t, files))
	if r := runIn(t, "from\nstdin", "pub", "--url", p.url(), "-r", "-q", "1", "--expiry", "3600", "--response-topic", "ivi/answer", "ivi/kept"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if r := runIn(t, "\xff\x00", "pub", "--url", p.url(), "-r", "-q", "1", "ivi/binary"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	t.Setenv("FASCIA_URL", p.url())
	var m messageJSON
	r := run(t, "sub", "--json", "-q", "1", "-C", "1", "-W", "20s", "ivi/kept")
	if err := json.Unmarshal([]byte(r.stdout), &m); err != nil {
		t.Fatalf("%s%s: %v", r.stdout, r.stderr, err)
	}
	if *m.Payload != "from\nstdin" || m.Expiry == nil || *m.Expiry > 3600 || m.ResponseTopic != "ivi/answer" || m.QoS != 1 {
		t.Errorf("got %s", r.stdout)
	}
	if r := run(t, "sub", "--json", "-C", "1", "-W", "20s", "ivi/binary"); !strings.Contains(r.stdout, `"payload_base64":"/wA="`) || strings.Contains(r.stdout, `"payload":`) {
		t.Errorf("got %s%s", r.stdout, r.stderr)
	}
	if r := run(t, "sub", "-p", "-C", "1", "-W", "20s", "ivi/kept"); r.stdout != "from\nstdin\n" {
		t.Errorf("--payload-only: %q", r.stdout)
	}
	// Two retained messages are there, and one was asked for.
	if r := run(t, "sub", "-C", "1", "-W", "20s", "ivi/#"); r.code != 0 || strings.Count(r.stdout, "ivi/") != 1 {
		t.Errorf("-C 1: exit code %d: %q", r.code, r.stdout)
	}
	if r := run(t, "sub", "-W", "100ms", "ivi/none"); r.code != 0 || r.stdout+r.stderr != "" {
		t.Errorf("-W alone: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

func TestFirstConnectionIsTriedAtOnce(t *testing.T) {
	if backoff(0) != 0 || backoff(1) != reconnectWait {
		t.Errorf("waits %s before the first connection, %s before the next", backoff(0), backoff(1))
	}
}

func TestPortsThatGoWithoutSaying(t *testing.T) {
	for text, want := range map[string]string{
		"mqtt://car": "car:1883", "tcp://car": "car:1883", "mqtts://car": "car:8883", "tls://car": "car:8883", "ssl://[::1]": "[::1]:8883", "mqtt://car:1": "car:1",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := withPort(u); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestPasswordEndsWithItsLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FASCIA_PASSWORD", "of the environment")
	for name, want := range map[string]string{file: "secret ", "": "of the environment"} {
		if got, err := (&mqttFlags{passwordFile: name}).password(); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// What is wrong with a bus or a reload is in the text that people read.
func TestStatusTellsTroubles(t *testing.T) {
	s := gateway.Status{
		Config: gateway.ConfigStatus{File: "car.yaml", Warnings: []string{"w"}},
		Buses: []canbus.BusStatus{
			{Name: "can0", State: "down", Reason: "no such device"},
			{Name: "can1", State: "active", Frames: 21, Decoded: 1, Unused: 2, Unknown: 3, Short: 4, Other: 11, Invalid: 6, Dropped: 7, FirstFault: "line 8"},
		},
	}
	s.Config.LastReload.At, s.Config.LastReload.Error = time.Now(), "no mapping"
	var out strings.Builder
	if err := printStatus(&out, s, false, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"starting for", "(no VIN configured)", "(last reload refused: no mapping)", "warnings  1 (fascia check -c car.yaml",
		"down", "no such device", "21 frames: 1 decoded, 2 unused, 3 unknown, 4 short, 11 remote or error", "6 invalid values", "7 dropped; first: line 8",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), clearScreen) {
		t.Error("the screen is cleared without --watch")
	}
}

func TestSocketOfTheGatewayIsFound(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "fascia.yaml")
	if err := os.WriteFile(file, []byte("data_dir: data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", dir)
	demo := filepath.Join(dir, "fascia-demo", "fascia.sock")
	if _, err := (&control{}).find(); err == nil || !strings.Contains(err.Error(), demo) {
		t.Errorf("none is there: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(demo), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(demo, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flag, env, file, want string }{
		{"/a.sock", "/b.sock", file, "/a.sock"},
		{"", "/b.sock", file, "/b.sock"},
		{"", "", file, filepath.Join(dir, "data", "fascia.sock")},
		{"", "", "", demo},
	} {
		t.Setenv("FASCIA_SOCKET", c.env)
		if _, err := os.Stat(defaultSocket); err == nil && c.want == demo {
			continue // a gateway runs on this machine
		}
		if got, err := (&control{c.flag, c.file}).find(); err != nil || got != c.want {
			t.Errorf("%+v: got %s, %v", c, got, err)
		}
	}
}

func TestReplayGoesAtTheSpeedAskedForAndTellsFaults(t *testing.T) {
	bus, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	log := filepath.Join(t.TempDir(), "drive.log")
	// At their own pace the frames would take ten minutes.
	var text strings.Builder
	for i := range 60 {
		fmt.Fprintf(&text, "(%d.000000) can0 %X#01\n(%d.000000) can1 7FF#02\n", 1600000000+10*i, 0x100+i, 1600000000+10*i)
	}
	text.WriteString("(1600000600.1\n")
	if err := os.WriteFile(log, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, "can", "replay", "--to", "udp://"+bus.LocalAddr().String(), "--speed", "max", "--bus", "can0", log)
	if r.code != 0 || !strings.Contains(r.stderr, "60 frames sent to udp://") || !strings.Contains(r.stderr, "warning: 1 lines could not be read") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	for id := range byte(60) { // low byte of 0x100, 0x101… in struct can_frame
		frame := make([]byte, 128)
		if n, err := bus.Read(frame); err != nil || n != 16 || frame[0] != id || frame[1] != 1 {
			t.Fatalf("got % X, %v, want the frame 1%02X", frame[:n], err, id)
		}
	}
}

// A server of TLS 1.3 refuses a client after the client's handshake, and may be
// gone when the client first writes. Its alert is told all the same.
func TestAlertIsToldThoughThePipeIsBroken(t *testing.T) {
	ca := pkitest.New(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(ca.File("server.pem"), ca.File("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	gone := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}).Handshake()
			_ = conn.(*net.TCPConn).SetLinger(0) // reset the connection, not end it
			_ = conn.Close()
		}
		gone <- err
	}()
	trust, err := (&mqttFlags{caFile: ca.File("ca.pem")}).tls()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dialTLS(t.Context(), listener.Addr().String(), trust)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := <-gone; err == nil {
		t.Fatal("the server took a client without certificate")
	}
	for err == nil {
		_, err = conn.Write([]byte("CONNECT"))
	}
	if !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("got %v, want the server's alert", err)
	}
}

func TestReasonOfTheBrokerIsTold(t *testing.T) {
	err := plainCause(fmt.Errorf("paho: %w", &autopaho.ConnackError{ReasonCode: 0x87, Reason: "no identity fits"}))
	if want := "the broker refused the connection: reason 0x87 (Not authorized): no identity fits"; err.Error() != want {
		t.Errorf("got %s, want %s", err, want)
	}
}
