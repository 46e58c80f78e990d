package source

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/umltest"
)

const (
	// insideKernel is set where this test runs in the kernel it booted.
	insideKernel = "FASCIA_TEST_INSIDE_KERNEL"

	kernelTimeout = 60 * time.Second
	kernelPassed  = "socketcan test ended with 0"
)

// initScript is the first process of the booted kernel.
const initScript = `
modules=/usr/lib/uml/modules/$(uname -r)/kernel
for m in net/can/can net/can/can-raw drivers/net/can/dev/can-dev drivers/net/can/vcan drivers/net/can/slcan/slcan; do
	insmod $modules/$m.ko
done
mkdir -p /dev/pts
mount -t devpts -o ptmxmode=666 devpts /dev/pts
ip link add vcan0 type vcan
ip link set vcan0 mtu 72 up
%[1]s=1 %[2]s -test.run '^TestSocketCANOnARealKernel$' -test.v -test.timeout 40s
echo "socketcan test ended with $?"
`

// Most machines that run tests have no SocketCAN in their kernel. User-mode
// Linux is the real kernel as an ordinary process, and candump and cansend are
// the other side.
func TestSocketCANOnARealKernel(t *testing.T) {
	if os.Getenv(insideKernel) != "" {
		testInsideKernel(t)
		return
	}
	umltest.Need(t, map[string]string{"linux.uml": "user-mode-linux", "insmod": "kmod", "ip": "iproute2",
		"candump": "can-utils", "cansend": "can-utils", "canplayer": "can-utils"})
	inner := umltest.Build(t, "test", "-c", ".")
	kernel := umltest.Boot(t, umltest.Machine{Init: fmt.Sprintf(initScript, insideKernel, inner)})
	if out := kernel.Wait(t, kernelTimeout); !strings.Contains(out, kernelPassed) {
		t.Fatalf("the test inside the kernel did not pass:\n%s", out)
	}
}

func testInsideKernel(t *testing.T) {
	t.Run("receives what cansend sends", func(t *testing.T) {
		src := openBus(t, vcan0)
		for _, text := range []string{
			"2A0#480087182102F900", "7FF#", "18FEF100#0102", "123#R", "123#R5",
			"123##1AABB", "18FEF100##3" + strings.Repeat("0A", 64), "20000088#00001E0000000000",
		} {
			run(t, "cansend", "vcan0", text)
			before := time.Now().UnixNano()
			if got := receive(t, src); got.String() != text {
				t.Errorf("got %v, want %s", got, text)
			}
			if age := time.Duration(before - src.Time()); age > patience {
				t.Errorf("%s: got a time %v ago", text, age)
			}
		}
	})

	t.Run("candump shows what the sink sends, and canlog reads it, in every form", func(t *testing.T) {
		for _, options := range []string{"-L", "", "-ta", "-tA", "-tz", "-td", "-x", "-x -ta", "-a", "-i", "-S", "-S -a"} {
			testCandump(t, vcan0, options)
		}
	})

	t.Run("tells its own frames from those of others", func(t *testing.T) {
		bus, other := openBoth(t, vcan0, Options{}), openSink(t, vcan0)
		for id, sink := range []Sink{bus, other} {
			if err := sink.Send(can.Frame{ID: uint32(id)}); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, bus); got.ID != uint32(id) || got.Has(can.Own) != (id == 0) {
				t.Errorf("got %v with flags %b of frame %d", got, got.Flags, id)
			}
		}
	})

	t.Run("counts what the kernel dropped", func(t *testing.T) {
		overrun(t, openBus(t, vcan0), openSink(t, vcan0), 4000)
	})

	t.Run("what only sends takes nothing in", func(t *testing.T) {
		before := listeners(t)
		openSink(t, vcan0)
		if after := listeners(t); after != before {
			t.Errorf("got %d more listeners", after-before)
		}
	})

	t.Run("stamps are the kernel's", testStamps)
	t.Run("the kernel filters", testFilters)
	t.Run("canplayer plays what canlog wrote", testCanplayer)
	t.Run("the kernel's error frames are read", testController)
	t.Run("a classic interface refuses a CAN FD frame", testClassicInterface)

	t.Run("Close ends a waiting Receive", func(t *testing.T) {
		src := openBus(t, vcan0)
		closeWhileReceiving(t, src)
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})

	t.Run("sending after Close is refused", func(t *testing.T) {
		dst := openSink(t, vcan0)
		dst.Close()
		if err := dst.Send(can.Frame{}); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want %v", err, ErrClosed)
		}
	})

	t.Run("an interface that is none of CAN is refused", func(t *testing.T) {
		if _, err := openSocketCAN("lo", receives); err == nil || !strings.Contains(err.Error(), `"lo": it is not a CAN interface`) {
			t.Errorf("got %v, want the interface named", err)
		}
	})

	t.Run("an interface that goes down ends the bus with an error", func(t *testing.T) {
		src := openBus(t, vcan0)
		dst := openSink(t, vcan0)
		run(t, "ip", "link", "set", "vcan0", "down")
		if src.Receive() {
			t.Fatal("got a frame")
		}
		_, opening := Open(vcan0, Options{})
		for _, err := range []error{src.Err(), dst.Send(can.Frame{}), opening} {
			if err == nil || !strings.Contains(err.Error(), `interface "vcan0"`) || !strings.Contains(err.Error(), "down") {
				t.Errorf("got %v, want it down", err)
			}
		}
		run(t, "ip", "link", "set", "vcan0", "up")
		openBus(t, vcan0)
	})

	t.Run("an interface is waited for", testComesAndGoes)
}

// testCandump sends frames to a candump with the options given and reads its
// output with canlog.
func testCandump(t *testing.T, bus Spec, options string) {
	frames := []string{
		"2A0#480087182102F900", "7FF#", "18FEF100#0102", "123#R5",
		"123##0AABB", "18FEF100##0" + strings.Repeat("0A", 64),
	}
	args := append(strings.Fields(options), "vcan0")
	out := candump(t, len(frames), args...)
	dst := openSink(t, bus)
	for _, text := range frames {
		if err := dst.Send(parse(t, text)); err != nil {
			t.Fatal(err)
		}
	}

	absolute := strings.Contains(options, "-L") || strings.Contains(strings.ToLower(options), "-ta")
	rd := canlog.NewReader(out(), canlog.Auto)
	for i, want := range frames {
		if !rd.Scan() {
			t.Fatalf("candump %v: frame %d: %v %v", args, i+1, rd.Err(), rd.SkippedLines())
		}
		rec := rd.Record()
		if got := rec.Frame.String(); got != want || rec.Bus != "vcan0" {
			t.Errorf("candump %v: got %s of %s, want %s", args, got, rec.Bus, want)
		}
		if age := time.Since(time.Unix(0, rec.Stamp)); absolute && (!rec.HasStamp || age < 0 || age > patience) {
			t.Errorf("candump %v: got a stamp %v ago", args, age)
		}
	}
	if rd.Scan() || rd.Skipped() != 0 {
		t.Errorf("candump %v: got more than the frames, or %v skipped", args, rd.SkippedLines())
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
