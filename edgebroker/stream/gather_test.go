package stream

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// noRound is long enough that what clients get, they get without a round.
const noRound = time.Minute

// hearers are queues before sockets, and the other ends of these.
type hearers struct {
	t    *testing.T
	outs []*Out
	ends []net.Conn
}

// newHearers are n that were written to a moment ago.
func newHearers(t *testing.T, gather *Gatherer, n int) *hearers {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	h := &hearers{t: t}
	for range n {
		end, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		socket, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		o := before(t, socket, gather)
		h.outs, h.ends = append(h.outs, o), append(h.ends, end)
		t.Cleanup(func() {
			o.Close(nil)
			o.Finish()
			socket.Close()
			end.Close()
		})
	}
	h.send(packet("0"))
	h.expect(packet("0")) // at once: none was written to before
	return h
}

// packet is a PUBLISH of QoS 0.
func packet(payload string) []byte {
	p := wire.Outgoing{Topic: "ivi/n", Payload: []byte(payload), Version: 4}
	return p.Append(nil)
}

// send gives a packet to all, with one flush.
func (h *hearers) send(packet []byte) {
	var later Burst
	for _, o := range h.outs {
		_, owed := o.Publish(packet)
		later.Add(o, owed)
	}
	later.Flush()
}

func (h *hearers) expect(want []byte) {
	h.t.Helper()
	for i := range h.ends {
		h.expectAt(i, want)
	}
}

func (h *hearers) expectAt(i int, want []byte) {
	h.t.Helper()
	_ = h.ends[i].SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(h.ends[i], got); err != nil || string(got) != string(want) {
		h.t.Fatalf("%v: got %.40q, want %.40q", err, got, want)
	}
}

func resting(g *Gatherer) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.resting)
}

func TestQuickMessagesForManyClientsAreWrittenTogether(t *testing.T) {
	g := NewGatherer(500 * time.Millisecond)
	h := newHearers(t, g, crowd)
	for _, payload := range []string{"1", "2", "3"} {
		h.send(packet(payload))
	}
	if n := resting(g); n != crowd {
		t.Errorf("%d clients rest, want %d", n, crowd)
	}
	ctx, stop := context.WithCancel(t.Context())
	var rounds sync.WaitGroup
	rounds.Go(func() { g.Run(ctx) })
	for _, payload := range []string{"1", "2", "3"} {
		h.expect(packet(payload))
	}
	stop()
	rounds.Wait()
	if n := resting(g); n != 0 {
		t.Errorf("%d clients rest after the round", n)
	}
}

func TestFewClientsAreWrittenToAtOnce(t *testing.T) {
	g := NewGatherer(noRound)
	h := newHearers(t, g, crowd-1)
	for _, payload := range []string{"1", "2", "3"} {
		h.send(packet(payload))
	}
	if n := resting(g); n != 0 {
		t.Errorf("%d clients rest", n)
	}
	for _, payload := range []string{"1", "2", "3"} {
		h.expect(packet(payload))
	}
}

func TestAnswerTakesAlongWhatRests(t *testing.T) {
	g := NewGatherer(noRound)
	h := newHearers(t, g, crowd)
	h.send(packet("1"))
	for i, o := range h.outs {
		var later Burst
		later.Add(o, o.Ack(wire.Puback, 7, wire.Success, 4))
		later.Flush()
		h.expectAt(i, wire.AppendAck(packet("1"), wire.Puback, 7, wire.Success, 4))
	}
	if n := resting(g); n != crowd {
		t.Errorf("a round has come: %d rest", n)
	}
}

func TestManyBytesDoNotRest(t *testing.T) {
	g := NewGatherer(noRound)
	h := newHearers(t, g, crowd)
	long := packet(string(make([]byte, gatherBytes)))
	h.send(packet("1"))
	h.send(long)
	h.expect(append(packet("1"), long...))
	if n := resting(g); n != crowd {
		t.Errorf("a round has come: %d rest", n)
	}
}
