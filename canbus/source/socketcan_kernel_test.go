package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
)

// What TestSocketCANOnARealKernel asks of a bus, in the kernel that it booted.

var vcan0 = Spec{Scheme: SchemeSocketCAN, Name: "vcan0"}

// The same frame has the same stamp for candump, however late it is read.
func testStamps(t *testing.T) {
	src, dst := openBus(t, vcan0), openSink(t, vcan0)
	out := candump(t, 3, "-L", "vcan0")
	for id := range uint32(3) {
		if err := dst.Send(can.Frame{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	log := canlog.NewReader(out(), canlog.Candump)
	for id := range uint32(3) {
		if !log.Scan() {
			t.Fatal(log.Err())
		}
		receive(t, src)
		if theirs, ours := log.Record().Stamp/1000, src.Time()/1000; theirs != ours {
			t.Errorf("frame %d: got the stamp %d µs, candump has %d", id, ours, theirs)
		}
		if more := src.Buffered(); more != (id < 2) {
			t.Errorf("frame %d: got more %t of what one system call took", id, more)
		}
	}
}

func testFilters(t *testing.T) {
	src, dst := openBus(t, vcan0), openSink(t, vcan0)
	filters := src.(Filterer)
	full := make([]Filter, maxFilters)
	for i := range full {
		full[i] = Filter{ID: uint32(i), Mask: can.MaxStandardID}
	}
	const last = "20000004#0000000000000000" // an error frame comes always
	sent := []string{"100#01", "101#02", "18FEF100#03", "00000100#04", "0CFEF123#05", "100#R", "100##106", last}
	for _, c := range []struct {
		name    string
		filters []Filter
		want    []string
	}{
		{"two ids", []Filter{{ID: 0x100, Mask: can.MaxStandardID}, {ID: 0x18FEF100, Mask: can.MaxExtendedID, Extended: true}},
			[]string{"100#01", "18FEF100#03", "100##106", last}},
		{"a parameter group of J1939", []Filter{{ID: 0xFEF100, Mask: 0x3FFFF00, Extended: true}},
			[]string{"18FEF100#03", "0CFEF123#05", last}},
		{"both widths of one number", []Filter{{ID: 0x100, Mask: can.MaxExtendedID, Extended: true}}, []string{"00000100#04", last}},
		{"none", []Filter{}, []string{last}},
		{"as many as the kernel takes", full, []string{"100#01", "101#02", "100##106", last}},
		{"more than it takes", append(full, Filter{}), sent},
		{"all", nil, sent},
	} {
		if err := filters.SetFilters(c.filters); err != nil {
			t.Fatal(err)
		}
		for _, text := range sent {
			if err := dst.Send(parse(t, text)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for len(got) == 0 || got[len(got)-1] != last {
			fr := receive(t, src)
			got = append(got, fr.String())
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	src.Close()
	if err := filters.SetFilters(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, ErrClosed)
	}
}

func testCanplayer(t *testing.T) {
	var log []byte
	for i, fr := range everyKind {
		log = canlog.AppendLine(log, int64(i)*1e6, canlog.StampDigits, "vcan0", &fr)
	}
	file := filepath.Join(t.TempDir(), "drive.log")
	if err := os.WriteFile(file, log, 0o600); err != nil {
		t.Fatal(err)
	}
	src := openBus(t, vcan0)
	run(t, "canplayer", "-I", file)
	for _, want := range everyKind {
		if got := receive(t, src); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func testClassicInterface(t *testing.T) {
	run(t, "ip", "link", "add", "vcan1", "type", "vcan")
	run(t, "ip", "link", "set", "vcan1", "mtu", "16", "up")
	dst := openSink(t, Spec{Scheme: SchemeSocketCAN, Name: "vcan1"})
	if err := dst.Send(can.Frame{ID: 1, Len: 8}); err != nil {
		t.Error(err)
	}
	if err := dst.Send(can.Frame{ID: 1, Flags: can.FD, Len: 8}); err == nil || !strings.Contains(err.Error(), "classic frames only") {
		t.Errorf("got %v, want it refused with the reason", err)
	}
}

func testComesAndGoes(t *testing.T) {
	vcan2 := Spec{Scheme: SchemeSocketCAN, Name: "vcan2"}
	changed := func(what ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		before := netlinkSockets(t)
		ended := make(chan struct{})
		go func() {
			AwaitLink(ctx, time.Hour)
			close(ended)
		}()
		for netlinkSockets(t) == before { // the kernel gives no event for it
			time.Sleep(time.Millisecond)
		}
		run(t, "ip", append([]string{"link"}, what...)...)
		if <-ended; ctx.Err() != nil {
			t.Errorf("ip link %v was not told", what)
		}
	}
	for range 2 { // the second time the name stands for another interface
		if _, err := Open(vcan2, Options{}); err == nil || !strings.Contains(err.Error(), `"vcan2": there is none`) {
			t.Errorf("got %v, want the missing interface named", err)
		}
		changed("add", "vcan2", "type", "vcan")
		if _, err := Open(vcan2, Options{}); err == nil || !strings.Contains(err.Error(), "ip link set vcan2 up") {
			t.Errorf("got %v, want it down", err)
		}
		changed("set", "vcan2", "up")
		src := openBus(t, vcan2)
		run(t, "cansend", "vcan2", "123#AB")
		if got := receive(t, src); got.ID != 0x123 {
			t.Errorf("got %v, want 123#AB", got)
		}
		changed("del", "vcan2")
		if src.Receive() {
			t.Fatal("got a frame")
		}
		if err := src.Err(); !errors.Is(err, syscall.ENODEV) && !errors.Is(err, syscall.ENETDOWN) || !strings.Contains(err.Error(), `"vcan2"`) {
			t.Errorf("got %v, want the interface gone", err)
		}
	}
}

// candump starts a candump that ends after n frames; out waits for that.
func candump(t *testing.T, n int, args ...string) (out func() *bytes.Buffer) {
	t.Helper()
	var text bytes.Buffer
	dump := exec.Command("candump", append([]string{"-n", fmt.Sprint(n)}, args...)...)
	dump.Stdout, dump.Stderr = &text, &text
	before := listeners(t)
	if err := dump.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = dump.Process.Kill() })
	for listeners(t) == before { // the kernel gives no event for it
		time.Sleep(time.Millisecond)
	}
	return func() *bytes.Buffer {
		defer late.Stop()
		if err := dump.Wait(); err != nil {
			t.Fatalf("candump %v: %v\n%s", args, err, text.String())
		}
		return &text
	}
}

// parse reads a frame as cansend takes it.
func parse(t *testing.T, text string) can.Frame {
	t.Helper()
	rd := canlog.NewReader(strings.NewReader("(1.0) vcan0 "+text), canlog.Candump)
	if !rd.Scan() {
		t.Fatal(rd.Err())
	}
	return rd.Record().Frame
}

// listeners is how many sockets receive everything from vcan0.
func listeners(t *testing.T) int {
	return strings.Count(read(t, "/proc/net/can/rcvlist_all"), "vcan0  ")
}

func netlinkSockets(t *testing.T) int { return strings.Count(read(t, "/proc/net/netlink"), "\n") }

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
