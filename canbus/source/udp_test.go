package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	einride "go.einride.tech/can"
	"go.einride.tech/can/pkg/socketcan"
	"golang.org/x/net/nettest"

	"github.com/fascia-edge/fascia/canbus/can"
)

// freePort is a UDP port that nobody uses at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}

// udpBus is the spec of a group on the loopback interface.
func udpBus(t *testing.T, group string) Spec {
	t.Helper()
	spec, err := Parse(fmt.Sprintf("udp://%s:%d?interface=127.0.0.1", group, freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// routedInterface is the interface that einride's emulation chooses: the first
// routed one for multicast.
func routedInterface(t *testing.T) *net.Interface {
	t.Helper()
	ifi, err := nettest.RoutedInterface("ip4", net.FlagUp|net.FlagMulticast|net.FlagLoopback)
	if err != nil {
		ifi, err = nettest.RoutedInterface("ip4", net.FlagUp|net.FlagMulticast)
	}
	if err != nil {
		t.Fatalf("this machine has no routed interface for multicast beside its loopback: %v", err)
	}
	return ifi
}

func openBus(t *testing.T, spec Spec) Source {
	t.Helper()
	src, err := Open(spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func openSink(t *testing.T, spec Spec) Sink {
	t.Helper()
	dst, err := OpenSink(spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dst.Close() })
	return dst
}

// receive waits for one frame, but not for ever.
func receive(t *testing.T, src Source) can.Frame {
	t.Helper()
	late := time.AfterFunc(patience, func() { src.Close() })
	defer late.Stop()
	if !src.Receive() {
		t.Fatalf("got no frame: %v", src.Err())
	}
	return src.Frame()
}

var everyKind = []can.Frame{
	{ID: 0x2A0, Len: 8, Data: [64]byte{0x48, 0, 0x87, 0x18, 0x21, 2, 0xF9, 0xFF}},
	{ID: 0x7FF},
	{ID: 0x123, Flags: can.Extended, Len: 1, Data: [64]byte{0xAB}},
	{ID: 0x18FEF100, Flags: can.Extended | can.Remote, Len: 5},
	{ID: 0x88, Flags: can.Error, Len: 8, Data: [64]byte{2: 0x1E}},
	{ID: 0x123, Flags: can.FD | can.BRS, Len: 64, Data: [64]byte{1, 63: 0xEE}},
	{ID: 0x1FFFFFFF, Flags: can.FD | can.ESI | can.Extended, Len: 12, Data: [64]byte{11: 0xEE}},
	{ID: 1, Flags: can.FD},
}

func TestUDPCarriesEveryKindOfFrame(t *testing.T) {
	spec := udpBus(t, "239.64.142.206")
	// Two gateways of one machine share the group.
	one, two, dst := openBus(t, spec), openBus(t, spec), openSink(t, spec)
	for _, want := range everyKind {
		if err := dst.Send(want); err != nil {
			t.Fatal(err)
		}
		for _, src := range []Source{one, two} {
			if got := receive(t, src); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
}

func TestUDPTakesAnAddressOfTheMachineToo(t *testing.T) {
	spec := udpBus(t, "127.0.0.1")
	src, dst := openBus(t, spec), openSink(t, spec)
	want := everyKind[0]
	if err := dst.Send(want); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, src); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUDPHearsOnlyItsOwnGroup(t *testing.T) {
	spec := udpBus(t, "239.64.142.206")
	other := spec
	other.Group = netip.AddrPortFrom(netip.MustParseAddr("239.64.142.207"), spec.Group.Port())
	itself := spec
	itself.Group = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), spec.Group.Port())

	openBus(t, other) // the machine has joined that group as well
	src := openBus(t, spec)
	for i, to := range []Spec{other, itself, spec} {
		if err := openSink(t, to).Send(can.Frame{ID: uint32(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, src); got.ID != 2 {
		t.Errorf("got a frame to %s, want only those to %s", []Spec{other, itself}[got.ID].Group, spec.Group)
	}
}

func TestUDPHearsOnlyItsOwnInterface(t *testing.T) {
	spec := udpBus(t, "239.64.142.206")
	other := spec
	other.Interface = routedInterface(t).Name

	openBus(t, other) // the machine has joined the group there as well
	src := openBus(t, spec)
	for i, to := range []Spec{other, spec} {
		if err := openSink(t, to).Send(can.Frame{ID: uint32(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, src); got.ID != 1 {
		t.Errorf("got a frame of the bus on interface %s, want only those of %s", other.Interface, spec.Interface)
	}
}

func TestDatagramThatIsNoFrameIsCountedAndSkipped(t *testing.T) {
	spec := udpBus(t, "127.0.0.1")
	src := openBus(t, spec)
	conn, err := net.Dial("udp4", spec.Group.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	frame := appendWire(nil, &everyKind[0])
	tooLong := slices.Clone(frame)
	tooLong[4] = 9
	bad := [][]byte{{}, frame[:15], append(slices.Clone(frame), 0), make([]byte, 73), make([]byte, 1400), tooLong}
	for _, b := range append(bad, frame) {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if got := receive(t, src); got != everyKind[0] {
		t.Errorf("got %v, want %v", got, everyKind[0])
	}
	c := src.Counters()
	if c.BadDatagrams != uint64(len(bad)) || !strings.Contains(c.First, "want 16 bytes") {
		t.Errorf("got %+v, want %d datagrams counted and the first told", c, len(bad))
	}
}

func TestFullReceiveBufferIsCounted(t *testing.T) {
	spec := udpBus(t, "127.0.0.1")
	overrun(t, openBus(t, spec), openSink(t, spec), 20_000)
}

// overrun sends far more frames than the kernel keeps for a source, and wants
// each of them received or counted.
func overrun(t *testing.T, src Source, dst Sink, sent uint64) {
	t.Helper()
	send := func(fr can.Frame) {
		if err := dst.Send(fr); err != nil {
			t.Fatal(err)
		}
	}
	for range sent {
		send(everyKind[5])
	}
	// The kernel tells what it dropped with a frame that it has room for again:
	// one of these. They are numbered, for it drops the first of them too.
	numbered := can.Frame{ID: 0x7F0, Len: 1}
	for received := uint64(0); ; received++ {
		if received%100 == 0 {
			send(numbered)
			numbered.Data[0]++
		}
		fr := receive(t, src)
		if fr.ID != numbered.ID {
			continue
		}
		sent += uint64(fr.Data[0])
		if c := src.Counters(); c.Dropped == 0 || c.Dropped+received != sent || c.First == "" {
			t.Errorf("got %+v and %d received, want %d in all", c, received, sent)
		}
		return
	}
}

func TestUDPBusTellsItsOwnFrames(t *testing.T) {
	for _, bound := range []bool{true, false} {
		spec := udpBus(t, "239.64.142.206")
		if !bound { // the routes choose
			spec.Interface = ""
		}
		bus := openBoth(t, spec, Options{})
		other := openSink(t, spec)
		if err := errors.Join(bus.Send(can.Frame{ID: 1}), other.Send(can.Frame{ID: 2})); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, bus); got.ID != 1 || !got.Has(can.Own) {
			t.Errorf("got %v with flags %b, want its own, told", got, got.Flags)
		}
		if got := receive(t, bus); got.ID != 2 || got.Has(can.Own) {
			t.Errorf("got %v with flags %b, want the other's", got, got.Flags)
		}
	}
	if _, err := OpenBus(udpBus(t, "127.0.0.1"), Options{}); err == nil || !strings.Contains(err.Error(), "want a multicast group") {
		t.Errorf("an address of the machine: got %v, want it refused: nobody else would hear", err)
	}
}

func openBoth(t *testing.T, spec Spec, o Options) Bus {
	t.Helper()
	bus, err := OpenBus(spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	return bus
}

func TestCloseEndsAWaitingUDPSource(t *testing.T) {
	spec := udpBus(t, "239.64.142.206")
	src, dst := openBus(t, spec), openSink(t, spec)
	closeWhileReceiving(t, src)
	if src.Close() != nil || src.Counters() != (Counters{}) {
		t.Error("want Close to be repeatable, and nothing counted")
	}
	dst.Close()
	if err := dst.Send(can.Frame{}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
	if err := dst.Close(); err != nil {
		t.Error(err)
	}
}

func TestReceiveFromUDPDoesNotAllocate(t *testing.T) {
	spec := udpBus(t, "127.0.0.1")
	src, dst := openBus(t, spec), openSink(t, spec)
	if n := testing.AllocsPerRun(200, func() {
		if dst.Send(everyKind[0]) != nil || !src.Receive() {
			t.Fatal(src.Err())
		}
	}); n != 0 {
		t.Errorf("got %v allocations a frame sent and received, want none", n)
	}
}

// The peer is einride's own emulation.
func TestUDPSpeaksWithEinridesEmulation(t *testing.T) {
	spec := udpBus(t, "239.64.142.206")
	spec.Interface = routedInterface(t).Name
	conn, err := socketcan.DialContext(context.Background(), "udp", spec.Group.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	src, dst := openBus(t, spec), openSink(t, spec)

	theirs := einride.Frame{ID: 0x18FEF100, IsExtended: true, Length: 3, Data: einride.Data{1, 2, 3}}
	if err := socketcan.NewTransmitter(conn).TransmitFrame(context.Background(), theirs); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, src); got.String() != "18FEF100#010203" {
		t.Errorf("got %v from einride, want %v", got, theirs)
	}

	rx := socketcan.NewReceiver(conn)
	if !rx.Receive() || rx.Frame() != theirs { // its own comes back first
		t.Fatalf("got %v, %v; want %v", rx.Frame(), rx.Err(), theirs)
	}
	for _, c := range []struct {
		ours can.Frame
		want einride.Frame
	}{
		{everyKind[0], einride.Frame{ID: 0x2A0, Length: 8, Data: einride.Data{0x48, 0, 0x87, 0x18, 0x21, 2, 0xF9, 0xFF}}},
		{everyKind[3], einride.Frame{ID: 0x18FEF100, IsExtended: true, IsRemote: true, Length: 5}},
	} {
		if err := dst.Send(c.ours); err != nil {
			t.Fatal(err)
		}
		if !rx.Receive() || rx.Frame() != c.want {
			t.Errorf("einride got %v, %v; want %v", rx.Frame(), rx.Err(), c.want)
		}
	}
}
