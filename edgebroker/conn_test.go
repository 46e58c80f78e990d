package edgebroker

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
	"github.com/fascia-edge/fascia/store"
)

// TestReaderHearsOfTheLastCommitment has one commitment at a time under way and
// a reader that goes on when there is none.
func TestReaderHearsOfTheLastCommitment(t *testing.T) {
	b := start(t, loopback)
	out, err := stream.NewOut(nil, nil, b.gather, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out.Close(nil)
	c := &conn{b: b, out: out, held: make(chan struct{}, 1)}
	begin := make(chan struct{})
	var completer sync.WaitGroup
	completer.Go(func() {
		var later stream.Burst
		k := &commitment{b: b, c: c, kind: wire.Puback, id: 1}
		for range begin {
			c.committed(k, &later)
		}
	})
	for i := range 300_000 {
		c.outstanding.Add(1)
		begin <- struct{}{}
		for c.outstanding.Load() > 0 {
			select {
			case <-c.held:
				continue
			default:
			}
			select {
			case <-c.held:
			case <-time.After(patience):
				t.Fatalf("after %d commitments the reader waits and none is under way (outstanding %d)", i, c.outstanding.Load())
			}
		}
	}
	close(begin)
	completer.Wait()
}

// blocker keeps the store from committing.
type blocker chan struct{}

func (b blocker) Committed(error) { <-b }

func TestWaitingForTheStoreKeepsNothingFromOthers(t *testing.T) {
	b := start(t, loopback)
	sub := connect(t, b, 5, "sub")
	sub.subscribe("ivi/a", 0)
	c := connect(t, b, 5, "c", keep)
	free := make(blocker)
	b.store.Begin().Commit(store.SyncNever, free)
	defer close(free)
	publish := packets.Packet{ProtocolVersion: 5, FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: "ivi/a", Payload: []byte("x")}
	c.sendTogether(&publish, &packets.Packet{ProtocolVersion: 5, FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "ivi/b"}}})
	_ = sub.socket.SetReadDeadline(time.Now().Add(patience))
	sub.expectPublish("ivi/a", "x")
}

// sendTogether sends packets with one write.
func (c *client) sendTogether(list ...*packets.Packet) {
	c.t.Helper()
	socket := &gathering{Conn: c.socket}
	c.socket = socket
	for _, pk := range list {
		c.sendPacket(pk)
	}
	c.socket = socket.Conn
	c.send(socket.bytes...)
}

type gathering struct {
	net.Conn
	bytes []byte
}

func (g *gathering) Write(b []byte) (int, error) {
	g.bytes = append(g.bytes, b...)
	return len(b), nil
}
