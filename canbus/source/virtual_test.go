package source

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

func TestVirtualBusReachesEveryOtherNodeInOrder(t *testing.T) {
	bus := NewVirtual()
	a, b, c := bus.Attach(), bus.Attach(), bus.Attach()
	for id := range uint32(100) {
		if err := a.Send(can.Frame{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*Node{b, c} {
		for id := range uint32(100) {
			if !n.Receive() || n.Frame().ID != id {
				t.Fatalf("got frame %d, want %d", n.Frame().ID, id)
			}
			if age := time.Now().UnixNano() - n.Time(); age < 0 || age > int64(patience) {
				t.Fatalf("frame %d: its time is %v ago", id, time.Duration(age))
			}
		}
	}
	if err := b.Send(can.Frame{ID: 0x700}); err != nil {
		t.Fatal(err)
	}
	if !a.Receive() || a.Frame().ID != 0x700 {
		t.Errorf("got frame %#x, want 0x700 and none of its own", a.Frame().ID)
	}
}

func TestSlowNodeLosesTheOldestAndHoldsNobodyUp(t *testing.T) {
	bus := NewVirtual()
	a, slow := bus.Attach(), bus.Attach()
	for id := range uint32(VirtualQueue + 10) {
		if err := a.Send(can.Frame{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if c := slow.Counters(); c.Dropped != 10 || c.First == "" {
		t.Errorf("got %+v, want 10 dropped", c)
	}
	for id := range uint32(VirtualQueue) {
		if !slow.Receive() || slow.Frame().ID != id+10 {
			t.Fatalf("got frame %d, want %d", slow.Frame().ID, id+10)
		}
	}
}

func TestCloseDetachesANodeAndWakesIt(t *testing.T) {
	bus := NewVirtual()
	a, b := bus.Attach(), bus.Attach()
	closeWhileReceiving(t, b)
	if err := b.Send(can.Frame{}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
	if err := a.Send(can.Frame{}); err != nil {
		t.Error(err)
	}
	if len(bus.nodes) != 1 {
		t.Errorf("got %d nodes, want the closed one gone", len(bus.nodes))
	}
}

func TestVirtualBusTakesManySendersAtOnce(t *testing.T) {
	bus := NewVirtual()
	to := bus.Attach()
	const senders, each = 4, VirtualQueue / 4
	var wg sync.WaitGroup
	for s := range uint32(senders) {
		n := bus.Attach()
		wg.Go(func() {
			for i := range uint32(each) {
				if err := n.Send(can.Frame{ID: s, Len: 8, Data: [64]byte{byte(i >> 8), byte(i)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var next [senders]int
	for range senders * each {
		if !to.Receive() {
			t.Fatal("the bus ended")
		}
		fr := to.Frame()
		if i := int(fr.Data[0])<<8 | int(fr.Data[1]); i != next[fr.ID] {
			t.Fatalf("sender %d: got frame %d, want %d", fr.ID, i, next[fr.ID])
		}
		next[fr.ID]++
	}
}

func TestVirtualBusOpenedForBothHearsItself(t *testing.T) {
	o := Options{Virtual: map[string]*Virtual{"demo": NewVirtual()}}
	bus, other := openBoth(t, Spec{Scheme: SchemeVirtual, Name: "demo"}, o), o.Virtual["demo"].Attach()
	for id, sink := range []Sink{bus, other} {
		if err := sink.Send(can.Frame{ID: uint32(id)}); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, bus); got.ID != uint32(id) || got.Has(can.Own) != (id == 0) {
			t.Errorf("got frame %d with flags %b, want %d", got.ID, got.Flags, id)
		}
	}
	if got := receive(t, other); got.ID != 0 || got.Has(can.Own) {
		t.Errorf("got frame %d with flags %b, want the other's as any", got.ID, got.Flags)
	}
}
