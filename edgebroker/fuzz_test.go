package edgebroker

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// FuzzPackets sends foreign bytes over a connection, before and after a good
// CONNECT, and wants the broker to end it or to answer, and to serve others.
func FuzzPackets(f *testing.F) {
	b := start(f, loopback+"  limits: {connect_timeout: 1s}\n")
	at := address(f, b, "local")
	hello := map[bool][]byte{
		true:  []byte("\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01f"),
		false: []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01f"),
	}
	for _, seed := range []string{
		"\x82\x06\x00\x01\x00\x00\x01a",
		"\x82\x07\x00\x01\x00\x00\x01#\x02",
		"\x32\x08\x00\x01a\x00\x01\x00hi",
		"\x34\x0b\x00\x01a\x00\x01\x03\x23\x00\x01hi",
		"\x62\x02\x00\x01\x50\x02\x00\x01\x70\x02\x00\x01\x40\x02\x00\x01",
		"\xa2\x06\x00\x01\x00\x00\x01a\xc0\x00\xe0\x02\x04\x00",
		"\x30\xff\xff\xff\xff\x7f",
	} {
		f.Add(true, true, []byte(seed))
		f.Add(true, false, []byte(seed))
		f.Add(false, false, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, greeted, v5 bool, data []byte) {
		if greeted {
			data = append(append([]byte(nil), hello[v5]...), data...)
		}
		socket, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		_ = socket.SetDeadline(time.Now().Add(patience))
		go func() {
			_, _ = socket.Write(data) // fails where the broker has heard enough
			_ = socket.(*net.TCPConn).CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, socket); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection did not end")
		}
		if s := b.Stats().Sessions; s > 1 {
			t.Fatalf("%d sessions", s)
		}
	})
}
