package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
)

// everyListener has one listener of each kind.
func everyListener(a *pkitest.Authority) string {
	return fmt.Sprintf(`
    {name: tcp, address: "127.0.0.1:0"},
    {name: tls, address: "127.0.0.1:0", tls: {cert: %[1]s/server.pem, key: %[1]s/server.key}},
    {name: mtls, address: "127.0.0.1:0", tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, client_ca: %[1]s/ca.pem}},
    {name: ws, address: "127.0.0.1:0", protocol: websocket, origins: ["https://cabin.example"]},
    {name: wss, address: "127.0.0.1:0", protocol: websocket, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key}},
    {name: unix, protocol: unix, socket: %[1]s/mqtt.sock, mode: "0600"}`, a.Dir)
}

func TestEveryListenerGivesStreamAndCredentials(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, everyListener(a), roomy())
	for _, c := range []struct {
		listener    string
		plain       bool
		certificate string // the client's
		peer        bool
		dial        func(address string) (net.Conn, error)
	}{
		{"tcp", true, "", false, func(at string) (net.Conn, error) { return net.Dial("tcp", at) }},
		{"tls", false, "", false, func(at string) (net.Conn, error) { return tls.Dial("tcp", at, a.Stranger()) }},
		{"mtls", false, "cluster", false, func(at string) (net.Conn, error) { return tls.Dial("tcp", at, a.Client("cluster")) }},
		{"ws", false, "", false, func(at string) (net.Conn, error) { return dialWebSocket("ws://"+at, nil, "") }},
		{"wss", false, "", false, func(at string) (net.Conn, error) { return dialWebSocket("wss://"+at, a.Stranger(), "") }},
		{"unix", true, "", true, func(at string) (net.Conn, error) { return net.Dial("unix", at) }},
	} {
		t.Run(c.listener, func(t *testing.T) {
			ours, err := c.dial(address(t, r, c.listener))
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			theirs := r.next(t)
			exchange(t, ours, theirs, 150_000)
			if (theirs.Plain != nil) != c.plain || theirs.Listener.Name != c.listener || time.Until(theirs.Deadline) > patience {
				t.Errorf("got %+v", theirs)
			}
			name, peer := "", theirs.Credentials.Peer
			if chain := theirs.Credentials.Chain; chain != nil {
				name = chain[0].Subject.CommonName
			}
			if name != c.certificate {
				t.Errorf("certificate of %q, want %q", name, c.certificate)
			}
			if (peer != nil) != c.peer || peer != nil && (peer.PID != os.Getpid() || peer.UID != os.Getuid()) {
				t.Errorf("peer %+v", peer)
			}
			_ = ours.Close()
			closed(t, theirs)
			r.leave(theirs)
			eventually(t, "the free place", func() bool { return r.Open() == 0 })
		})
	}
}

func TestWebPagesOfElsewhereAreRefused(t *testing.T) {
	r := start(t, everyListener(pkitest.New(t, t.TempDir())), roomy())
	host := address(t, r, "ws")
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
	eventually(t, "the count", func() bool { return r.stats("ws").Refused["handshake"] == 5 })
}

func TestNameThatWasMadeToLeadHereIsNoOrigin(t *testing.T) {
	r := start(t, everyListener(pkitest.New(t, t.TempDir())), roomy())
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
				return net.Dial(network, address(t, r, c.listener))
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

func TestWebSocketMessagesAreOneStream(t *testing.T) {
	r := start(t, everyListener(pkitest.New(t, t.TempDir())), roomy())
	ours, err := dialWebSocket("ws://"+address(t, r, "ws"), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs := r.next(t)
	for _, part := range []string{"\x10", "", "\x02ab\xc0", "\x00"} { // packets over messages [MQTT-6.0.0-2]
		if _, err := ours.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(theirs, got); err != nil || string(got) != "\x10\x02ab\xc0\x00" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := ours.(*webSocket).ws.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Read(got); err == nil {
		t.Fatal("a message that is not binary was read") // [MQTT-6.0.0-1]
	}
}

func TestDeadlineOfTheHandshakesEndsWithThem(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	opts := roomy()
	opts.ConnectTimeout = time.Second
	r := start(t, everyListener(a), opts)
	ours := dialTLS(t, address(t, r, "tls"), a.Stranger())
	theirs := r.next(t)
	<-time.After(time.Until(theirs.Deadline))
	exchange(t, ours, theirs, 10)
}

func TestEndlessRequestIsCut(t *testing.T) {
	r := start(t, everyListener(pkitest.New(t, t.TempDir())), roomy())
	socket := dial(t, "tcp", address(t, r, "ws"))
	line := []byte("X: " + strings.Repeat("x", 1000) + "\r\n")
	_, err := socket.Write([]byte("GET /mqtt HTTP/1.1\r\n"))
	for err == nil {
		_, err = socket.Write(line)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("a request without an end is read on and on")
	}
}

func TestClientThatIsNotVerifiedGetsAnAlert(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, everyListener(a), roomy())
	foreign := pkitest.New(t, t.TempDir()).Client("cluster")
	foreign.RootCAs = a.CA.Pool()
	for range 20 {
		for _, cfg := range []*tls.Config{foreign, a.Stranger()} {
			wantAlert(t, address(t, r, "mtls"), cfg)
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

func TestChangedCertificatesAreTakenUp(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, everyListener(a), roomy())
	served := func() *big.Int {
		socket, err := tls.Dial("tcp", address(t, r, "tls"), a.Stranger())
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		r.leave(r.next(t))
		return socket.ConnectionState().PeerCertificates[0].SerialNumber
	}
	first := served()
	key, err := os.ReadFile(a.File("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.File("server.key"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	certs := r.listeners[1].certs
	certs.mu.Lock()
	certs.looked = time.Time{} // look now, not in a second
	certs.mu.Unlock()
	if served().Cmp(first) != 0 {
		t.Fatal("the old certificate did not stay")
	}
	if err := os.WriteFile(a.File("server.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	a.IssueServer(net.IPv4(127, 0, 0, 1))
	eventually(t, "the new certificate", func() bool { return served().Cmp(first) != 0 })
}

func TestUnixSocketInUseStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	listener := `{name: unix, protocol: unix, socket: ` + path + `, mode: "0640"}`
	start(t, listener, roomy())
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	second, err := New(decode(t, listener), roomy())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v, want address in use, and which", err)
	}
	second.Close()
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
	s, err := New(decode(t, `{name: free, address: "127.0.0.1:0"}, {name: ecu, address: "`+at+`"}`), roomy())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Listen()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), `"ecu"`) || !strings.Contains(err.Error(), at) {
		t.Fatalf("got %v", err)
	}
	if bound := s.Info(); len(bound) > 0 {
		t.Fatalf("still bound: %+v", bound)
	}
}

func TestWrongCertificateNamesListenerAndFile(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	if err := os.WriteFile(a.File("ca.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := decode(t, everyListener(a))
	_, err := New(cfg, roomy())
	if err == nil || !strings.Contains(err.Error(), `"mtls"`) || !strings.Contains(err.Error(), a.File("ca.pem")) {
		t.Fatalf("got %v", err)
	}
	if err := cfg[2].CheckFiles(); err == nil || !strings.Contains(err.Error(), a.File("ca.pem")) {
		t.Fatalf("got %v", err)
	}
	if err := cfg[1].CheckFiles(); err != nil {
		t.Fatal(err)
	}
}

func TestInterfaceIsBound(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port
	probe.Close()
	r := start(t, fmt.Sprintf("{name: local, interface: lo, port: %d}", port), roomy())
	exchange(t, dial(t, "tcp", fmt.Sprint("127.0.0.1:", port)), r.next(t), 10)
}

func TestInterfaceThatIsNotThereYetStopsNothing(t *testing.T) {
	a := pkitest.New(t, t.TempDir())
	r := start(t, fmt.Sprintf(`
    {name: local, address: "127.0.0.1:0"},
    {name: late, interface: fascia-none0, port: 8883, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, client_ca: %[1]s/ca.pem}}`, a.Dir), roomy())
	if list := r.Info(); len(list) != 1 || list[0].Name != "local" {
		t.Fatalf("bound %+v", list)
	}
	exchange(t, dial(t, "tcp", address(t, r, "local")), r.next(t), 10)
}

func TestCloseEndsHandshakesAndWaitsForConnections(t *testing.T) {
	r := start(t, everyListener(pkitest.New(t, t.TempDir())), roomy())
	silent := dial(t, "tcp", address(t, r, "tls"))
	dial(t, "tcp", address(t, r, "tcp"))
	handed := r.next(t)
	eventually(t, "both connections", func() bool { return r.Open() == 2 })
	r.Close()
	closed(t, silent)
	eventually(t, "the end of the handshake", func() bool { return r.Open() == 1 })
	time.AfterFunc(50*time.Millisecond, func() { r.leave(handed) })
	r.Wait()
	if n := r.Open(); n != 0 {
		t.Fatalf("Wait did not wait for %d connections", n)
	}
	if _, err := net.Dial("tcp", handed.LocalAddr().String()); err == nil {
		t.Fatal("still accepting")
	}
}
