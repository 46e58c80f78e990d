package source

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/canbus/can"
)

// lineDisciplineSLCAN is N_SLCAN of linux/tty.h: the kernel's CAN driver for
// adapters on a serial line.
const lineDisciplineSLCAN = 17

// What a controller tells comes through the kernel's own handling of errors (its
// CAN device layer). The controller is an adapter on a serial line, and this test
// is the adapter.
func testController(t *testing.T) {
	line, name := adapter(t)
	spec := Spec{Scheme: SchemeSocketCAN, Name: name}
	src := openBus(t, spec)
	for _, c := range []struct {
		command string
		want    can.Report
	}{
		{"sw010096", can.Report{State: can.StateWarning, HasCounters: true, TxErrors: 96, RxErrors: 10}},
		{"sp128010", can.Report{State: can.StatePassive, HasCounters: true, TxErrors: 10, RxErrors: 128}},
		{"e1a", can.Report{NoAck: true, Protocol: true, BusError: true}},
		{"e1s", can.Report{Protocol: true, BusError: true}},
		{"e1o", can.Report{Overflow: true, Protocol: true, BusError: true}},
		{"sa000000", can.Report{State: can.StateActive, HasCounters: true}},
		{"sb000255", can.Report{State: can.StateBusOff}},
	} {
		if _, err := line.WriteString(c.command + "\r"); err != nil {
			t.Fatal(err)
		}
		fr := receive(t, src)
		if got := can.ReadReport(&fr); got != c.want {
			t.Errorf("%s: got %+v of %v, want %+v", c.command, got, fr, c.want)
		}
		if c.want.State == can.StateUntold {
			continue
		}
		// Who opens the bus only now is told too.
		if got := openBus(t, spec).(Controlled).State(); got != c.want.State {
			t.Errorf("%s: got the state %d at opening, want %d", c.command, got, c.want.State)
		}
	}
	if _, err := line.WriteString("t1232AABB\r"); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, src); got.String() != "123#AABB" {
		t.Errorf("got %v, want a data frame as before", got)
	}
}

func TestStateIsReadOnlyFromCANInterfaces(t *testing.T) {
	attribute := func(kind uint16, content ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(content)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), content...)
		return append(b, make([]byte, -len(content)&3)...)
	}
	passive := attribute(unix.IFLA_INFO_DATA, append(attribute(1, 1, 2, 3), attribute(4, 2, 0, 0, 0)...)...)
	link := func(kind string, more []byte) []byte {
		info := append(attribute(unix.IFLA_INFO_KIND, append([]byte(kind), 0)...), more...)
		return append(attribute(unix.IFLA_IFNAME, 'c', 0), attribute(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, info...)...)
	}
	whole := link("can", passive)
	if got := stateIn(whole); got != can.StatePassive {
		t.Errorf("got %d, want passive", got)
	}
	for _, other := range [][]byte{nil, link("vcan", nil), link("bond", passive), link("can", nil)} {
		if got := stateIn(other); got != can.StateUntold {
			t.Errorf("% x: got %d, want none", other, got)
		}
	}
	for cut := range whole {
		if got := stateIn(whole[:cut]); got != can.StateUntold {
			t.Errorf("cut at %d: got %d, want none", cut, got)
		}
	}
}

// adapter gives the serial line of a CAN adapter and its interface, which is up.
func adapter(t *testing.T) (line *os.File, name string) {
	t.Helper()
	interfaces := func() []string {
		names, err := filepath.Glob("/sys/class/net/*")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	before := interfaces()
	line, err := os.OpenFile("/dev/pts/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	number, err := unix.IoctlGetInt(int(line.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(line.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSETD, lineDisciplineSLCAN); err != nil {
		t.Fatal(err)
	}
	for _, n := range interfaces() {
		if !slices.Contains(before, n) {
			name = filepath.Base(n)
		}
	}
	run(t, "ip", "link", "set", name, "up")
	return line, name
}
