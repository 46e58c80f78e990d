package stream

import (
	"bytes"
	"net"
	"runtime"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestAnnouncedPacketCostsNothingYet(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	in, err := NewIn(ours, nil, 1<<28+5)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		_, _ = theirs.Write([]byte{byte(wire.Publish) << 4, 0xFF, 0xFF, 0xFF, 0x7F, 'x'})
		theirs.Close()
	}()
	if _, _, err := packetOf(in); err == nil {
		t.Fatal("a packet cut short was read")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Fatalf("%d bytes for a packet of which one came", grown)
	}
}

func TestLargePacketIsReadWholeFromAPlainSocket(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	large := make([]byte, 300_000)
	large[299_999] = 'z'
	small := []byte{byte(wire.Publish) << 4, 4, 0, 1, 'a', 'b'}
	sent := append(wire.AppendLength([]byte{byte(wire.Publish) << 4}, len(large)), large...)
	sent = append(append(append([]byte(nil), small...), sent...), small...)
	go func() {
		theirs, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer theirs.Close()
		_, _ = theirs.Write(sent)
	}()
	ours, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	in, err := NewIn(ours, ours.(*net.TCPConn), 1<<28)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]byte{small[2:], large, small[2:]} {
		_, body, err := packetOf(in)
		if err != nil || !bytes.Equal(body, want) {
			t.Fatalf("packet %d: %d bytes of %d: %v", i, len(body), len(want), err)
		}
	}
	if _, err := in.Fill(); err == nil {
		t.Fatal("more than was sent")
	}
	if in.chunk != nil && in.end == 0 {
		in.release()
	}
}

func packetOf(in *In) (first byte, body []byte, err error) {
	for {
		first, body, ok, err := in.Next()
		if ok || err != nil {
			return first, body, err
		}
		if _, err := in.Fill(); err != nil {
			return 0, nil, err
		}
	}
}
