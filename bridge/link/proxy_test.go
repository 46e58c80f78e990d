package link

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// httpProxy takes CONNECT from who knows the password, over TLS if it has a config.
func httpProxy(t *testing.T, c *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if c != nil {
		l = tls.NewListener(l, c)
	}
	servePeers(t, l, func(in net.Conn) {
		r := bufio.NewReader(in)
		ask, err := http.ReadRequest(r)
		if err != nil || ask.Method != http.MethodConnect {
			return
		}
		if ask.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("car:a:b")) {
			_, _ = io.WriteString(in, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nwhat")
			return
		}
		out, err := net.Dial("tcp", ask.Host)
		if err != nil {
			_, _ = io.WriteString(in, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			return
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n")
		splice(in, out)
	})
	return at
}

// socksProxy is RFC 1928 for a user with a password, by name or IPv4 address.
func socksProxy(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	servePeers(t, l, func(in net.Conn) {
		read := func(n int) []byte {
			b := make([]byte, n)
			_, _ = io.ReadFull(in, b)
			return b
		}
		read(int(read(2)[1])) // methods
		_, _ = in.Write([]byte{5, 2})
		user := string(read(int(read(2)[1])))
		password := string(read(int(read(1)[0])))
		if user != "car" || password != "a:b" {
			_, _ = in.Write([]byte{1, 1})
			return
		}
		_, _ = in.Write([]byte{1, 0})
		host := ""
		if read(4)[3] == 3 {
			host = string(read(int(read(1)[0])))
		} else {
			host = net.IP(read(4)).String()
		}
		port := read(2)
		out, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(int(port[0])<<8|int(port[1]))))
		if err != nil {
			_, _ = in.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		_, _ = in.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		splice(in, out)
	})
	return l.Addr().String()
}

func servePeers(t *testing.T, l net.Listener, serve func(net.Conn)) {
	var peers sync.WaitGroup
	peers.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			peers.Go(func() {
				defer in.Close()
				serve(in)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		peers.Wait()
	})
}

func splice(a, b net.Conn) {
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			a.Close()
			b.Close()
		})
	}
	both.Wait()
}

func TestProxiesAreGoneThrough(t *testing.T) {
	m := startMosquitto(t, "")
	ca := "tls: {ca: " + m.File("ca.pem") + "}\n"
	plain, secure, socks := httpProxy(t, nil), httpProxy(t, serverConfig(t, m.Authority)), socksProxy(t)
	_, port, _ := net.SplitHostPort(m.mqtt)
	for i, c := range []struct{ proxy, far string }{
		{"http://car:a%3Ab@" + plain, "mqtt://" + m.mqtt},
		{"http://car:a%3Ab@" + plain, "mqtts://" + m.mqtts},
		{"http://car:a%3Ab@" + plain, "wss://" + m.wss},
		{"https://car:a%3Ab@" + secure, "mqtts://" + m.mqtts},
		{"socks5://car:a%3Ab@" + socks, "mqtt://" + m.mqtt},
		{"socks5://car:a%3Ab@" + socks, "mqtts://" + m.mqtts},
		{"socks5://car:a%3Ab@" + socks, "mqtt://localhost:" + port}, // its to resolve
	} {
		t.Run(c.proxy[:5]+" "+c.far[:5], func(t *testing.T) {
			text := "url: " + c.far + "\nproxy: " + c.proxy + "\n"
			if strings.Contains(c.far, "s://") || strings.HasPrefix(c.proxy, "https") {
				text += ca
			}
			l := start(t, text)
			roundTrip(t, l, fmt.Sprintf("proxy/%d", i), 5)
		})
	}
}

func TestErrorsOfProxiesKeepTheirPassword(t *testing.T) {
	plain, socks := httpProxy(t, nil), socksProxy(t)
	for name, c := range map[string]struct{ proxy, far, want string }{
		"wrong password":      {"http://car:secret@" + plain, "127.0.0.1:1", "want USER:PASSWORD@ in proxy"},
		"nobody behind":       {"http://car:a%3Ab@" + plain, refused(t), "502"},
		"nobody there":        {"http://car:secret@" + refused(t), "127.0.0.1:1", "proxy: connect: "},
		"SOCKS, password":     {"socks5://car:secret@" + socks, "127.0.0.1:1", "authentication"},
		"SOCKS, nobody there": {"socks5://car:a%3Ab@" + socks, refused(t), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Test(t.Context(), parse(t, "url: mqtt://"+c.far+"\nproxy: "+c.proxy), Options{Vars: vars})
			if err != nil {
				t.Fatal(err)
			}
			if failed := r.Endpoints[0].Err; failed == nil || !strings.Contains(failed.Error(), c.want) || strings.Contains(r.Endpoints[0].String(), "secret") {
				t.Errorf("%v does not say %q", failed, c.want)
			}
		})
	}
}
