package vehicle

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBootNowIsTheTimeSinceBoot(t *testing.T) {
	read := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano()
	}
	before, now := read(), BootNow()
	if after := read(); now < before || now > after {
		t.Errorf("got %d, want %d to %d", now, before, after)
	}
}

// Time that the machine slept counts: a time namespace shifts CLOCK_BOOTTIME
// against CLOCK_MONOTONIC as a sleep does.
func TestBootNowCountsTheTimeAsleep(t *testing.T) {
	const asleep = 1000000 // seconds
	other := exec.Command("unshare", "--time", "--fork", "--boottime", strconv.Itoa(asleep), os.Args[0], "-test.run=^TestTellBootNow$")
	other.Env = append(os.Environ(), "FASCIA_TEST_TELL_BOOT_NOW=yes")
	out, err := other.Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no time namespace to be had: %v", err)
		}
		t.Skipf("no time namespace to be had: %v", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	there, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if here := BootNow(); there < here {
		t.Errorf("%d s asleep: %d there, %d here", asleep, there, here)
	}
}

// TestTellBootNow is the other process of the test above.
func TestTellBootNow(t *testing.T) {
	if os.Getenv("FASCIA_TEST_TELL_BOOT_NOW") == "" {
		return
	}
	fmt.Println(BootNow())
}
