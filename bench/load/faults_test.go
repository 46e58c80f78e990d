package load

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
)

// faults stands between the load and its broker and spoils what goes to
// subscribers. spoil gets every PUBLISH of the broker as a packet, and gives the
// packets that go on in its place.
func faults(t *testing.T, o Options, spoil func(toBroker net.Conn, packet []byte) [][]byte) Options {
	t.Helper()
	var copying sync.WaitGroup
	t.Cleanup(copying.Wait)
	dial := o.Dial
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		broker, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		near, far := net.Pipe()
		copying.Go(func() {
			defer broker.Close()
			copyPackets(broker, far, func(packet []byte) [][]byte { return [][]byte{packet} })
		})
		copying.Go(func() {
			defer far.Close()
			copyPackets(far, broker, func(packet []byte) [][]byte {
				if packet[0]>>4 != packets.Publish {
					return [][]byte{packet}
				}
				return spoil(broker, packet)
			})
		})
		return near, nil
	}
	return o
}

// copyPackets ends with either connection.
func copyPackets(to, from net.Conn, each func([]byte) [][]byte) {
	in := stream{from: from}
	for in.fill() == nil {
		for in.next() {
			packet := append(appendLength([]byte{in.first}, len(in.body)), in.body...)
			for _, p := range each(packet) {
				if p == nil {
					return
				}
				if _, err := to.Write(p); err != nil {
					return
				}
			}
		}
	}
}

// packetID is that of a PUBLISH with QoS 1 or 2 of version 4.
func packetID(packet []byte) (at int) {
	_, header, _ := remainingLength(packet)
	topic, _ := prefixed(packet[header:])
	return header + 2 + topic
}

func TestLossAtQoS1IsABrokenPromise(t *testing.T) {
	for broker, start := range brokers {
		t.Run(broker, func(t *testing.T) {
			var seen atomic.Uint64
			o := faults(t, at(t, start(t)), func(toBroker net.Conn, packet []byte) [][]byte {
				if seen.Add(1)%10 != 0 {
					return [][]byte{packet}
				}
				id := packetID(packet) // the broker hears that it arrived
				_, _ = toBroker.Write([]byte{pubackByte, 2, packet[id], packet[id+1]})
				return nil
			})
			load := aLittle(FanOut, 1, 300)
			load.Credits, load.Drain = 0, quick
			r := traffic(t, o, load)
			if r.Lost == nil || *r.Lost != 120 || r.Delivered != 1080 || len(r.Broken) != 1 {
				t.Errorf("delivered %d, lost %v, broken %v; want 1080 and 120", r.Delivered, *r.Lost, r.Broken)
			}
		})
	}
}

func TestLossAtQoS0IsCountedAndNoBrokenPromise(t *testing.T) {
	var seen atomic.Uint64
	o := faults(t, at(t, startFascia(t, "")), func(_ net.Conn, packet []byte) [][]byte {
		if seen.Add(1)%10 == 0 {
			return nil
		}
		return [][]byte{packet}
	})
	load := aLittle(Shared, 0, 500)
	load.Credits, load.Drain = 10, quick // of each of three publishers, and more than that are lost
	r := traffic(t, o, load)
	if r.Lost == nil || *r.Lost != 50 || len(r.Broken) > 0 {
		t.Errorf("lost %v, broken %v; want 50 and nothing", r.Lost, r.Broken)
	}
}

func TestRepetitionAtQoS2IsABrokenPromise(t *testing.T) {
	o := faults(t, at(t, startFascia(t, "")), func(_ net.Conn, packet []byte) [][]byte {
		other := append([]byte(nil), packet...)
		other[packetID(packet)] |= 0x80 // an id of its own makes it another message
		return [][]byte{packet, other}
	})
	load := aLittle(Pair, 2, 90)
	load.Subscribers, load.Drain = 3, quick
	r, err := RunTraffic(t.Context(), o, load)
	if r == nil || r.Repeated == 0 || len(r.Broken) == 0 {
		t.Errorf("got %+v, %v; want repetitions", r, err)
	}
}

func TestRepeatedPacketAtQoS2IsNoSecondMessage(t *testing.T) {
	o := faults(t, at(t, startFascia(t, "")), func(_ net.Conn, packet []byte) [][]byte {
		again := append([]byte(nil), packet...)
		again[0] |= 8 // DUP, before it was acknowledged
		return [][]byte{packet, again}
	})
	load := aLittle(Pair, 2, 1)
	load.Publishers, load.Subscribers, load.Credits = 1, 1, 0
	r, err := RunTraffic(t.Context(), o, load)
	if r == nil || r.Delivered != 1 || r.Repeated > 0 || len(r.Broken) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestOvertakingIsABrokenPromise(t *testing.T) {
	var held []byte
	var turn atomic.Uint64
	o := faults(t, at(t, startFascia(t, "")), func(_ net.Conn, packet []byte) [][]byte {
		switch turn.Add(1) {
		case 5:
			held = packet
			return nil
		case 6:
			return [][]byte{packet, held}
		}
		return [][]byte{packet}
	})
	load := aLittle(Pair, 1, 50)
	load.Publishers, load.Subscribers = 1, 1
	r := traffic(t, o, load)
	if r.Late != 1 || len(r.Broken) != 1 || r.Lost == nil || *r.Lost != 0 {
		t.Errorf("late %d, lost %v, broken %v; want one late", r.Late, r.Lost, r.Broken)
	}
}

func TestForeignMessagesAreKeptOutOfTheBooks(t *testing.T) {
	o := faults(t, at(t, startFascia(t, "")), func(_ net.Conn, packet []byte) [][]byte {
		other := append([]byte(nil), packet...)
		other[len(other)-40+8]++ // of another run: byte 8 of 40
		short := []byte{publishByte, 6, 0, 1, 'x', 'a', 'b', 'c'}
		return [][]byte{other, packet, short}
	})
	load := aLittle(Pair, 0, 50)
	load.Publishers, load.Subscribers = 1, 1
	r := traffic(t, o, load)
	if r.Foreign != 100 || r.Delivered != 50 || len(r.Broken) > 0 {
		t.Errorf("foreign %d, delivered %d", r.Foreign, r.Delivered)
	}
}

func TestBrokenConnectionEndsTheRunWithItsName(t *testing.T) {
	var seen atomic.Uint64
	o := faults(t, at(t, startFascia(t, "")), func(_ net.Conn, packet []byte) [][]byte {
		if seen.Add(1) == 100 {
			return [][]byte{nil}
		}
		return [][]byte{packet}
	})
	o.KeepAlive = 0 // a ping would find it, later
	load := aLittle(Pair, 1, 0)
	load.Duration = patience
	r, err := RunTraffic(t.Context(), o, load)
	if err == nil || !strings.Contains(err.Error(), "subscriber") {
		t.Errorf("got %v, want the subscriber that was cut off", err)
	}
	if r == nil || r.Delivered == 0 || r.Lost != nil {
		t.Errorf("got %+v, want the figures so far and no word of loss", r)
	}
}

func TestSessionThatIsNotKeptIsTold(t *testing.T) {
	address := startFascia(t, "")
	o := at(t, address)
	var connections atomic.Int64
	dial := o.Dial
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		if connections.Add(1) == 3 { // after subscriber and publisher: the session goes away
			o := at(t, address)
			c, err := o.connect(ctx, "thief", "test-sub0", passing)
			if err != nil {
				return nil, err
			}
			c.goodbye()
		}
		return dial(ctx)
	}
	load := aLittle(FanOut, 1, 10)
	load.Publishers, load.Subscribers, load.Credits, load.Persistent, load.Absent = 1, 1, 0, true, true
	_, err := RunTraffic(t.Context(), o, load)
	if err == nil || !strings.Contains(err.Error(), "did not keep its session") {
		t.Errorf("got %v", err)
	}
}

func TestBrokerThatDoesNotAnswerIsNotWaitedForForever(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Version: 4, ClientID: "test", Prefix: "test", Dial: func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { far.Close() })
		cancel()
		return near, nil
	}}
	if _, err := RunTraffic(ctx, o, aLittle(Pair, 0, 10)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
