package listen

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
)

func TestIdleConnectionsHoldNoBuffers(t *testing.T) {
	const request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
	opts := roomy()
	opts.Connections = 1000
	r := start(t, everyListener(pkitest.New(t, t.TempDir())), opts)
	for _, c := range []struct {
		listener, network string
		most              int // bytes of both ends; a buffer of bufio alone has 4,096
		greet             func(net.Conn)
	}{
		{"tcp", "tcp", 2500, func(net.Conn) {}},
		{"unix", "unix", 2500, func(net.Conn) {}},
		{"ws", "tcp", 4000, func(socket net.Conn) {
			_, _ = io.WriteString(socket, request)
			answer := make([]byte, 1)
			for text := ""; !strings.HasSuffix(text, "\r\n\r\n"); text += string(answer) {
				if _, err := socket.Read(answer); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		const n = 200
		first := dial(t, c.network, address(t, r, c.listener)) // what all have in common
		c.greet(first)
		kept := []*Conn{r.next(t)}
		before := heap()
		for range n {
			c.greet(dial(t, c.network, address(t, r, c.listener)))
			kept = append(kept, r.next(t))
		}
		each := (heap() - before) / n
		t.Logf("%s: %d bytes", c.listener, each)
		if each > c.most {
			t.Errorf("%s: %d bytes an idle connection, want at most %d", c.listener, each, c.most)
		}
		runtime.KeepAlive(kept)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
