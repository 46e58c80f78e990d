package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// recording is a real drive: 36 s of a car's 500 kbit/s bus.
const recording = "../../../shared/data/can/genesis-drive.candump"

// patience is how long a test waits for what must come; only a failure takes it.
const patience = 10 * time.Second

func writeLog(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "drive.candump")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func openReplay(t *testing.T, spec Spec) *Replay {
	t.Helper()
	r, err := OpenReplay(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// receiveAll gives the frames up to the end, which has to come in time.
func receiveAll(t *testing.T, src Source) []string {
	t.Helper()
	late := time.AfterFunc(patience, func() { src.Close() })
	var got []string
	for src.Receive() {
		fr := src.Frame()
		got = append(got, fr.String())
	}
	if !late.Stop() {
		t.Fatalf("no end after %v", patience)
	}
	if err := src.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

// closeWhileReceiving closes a source whose next frame is far off.
func closeWhileReceiving(t *testing.T, src Source) {
	t.Helper()
	ended := make(chan bool, 1)
	go func() { ended <- src.Receive() }()
	// Nothing tells that Receive waits already; most of the time it does by then.
	closing := time.AfterFunc(20*time.Millisecond, func() { src.Close() })
	defer closing.Stop()
	select {
	case got := <-ended:
		if got || src.Err() != nil {
			t.Errorf("got %v, %v; want false and no error", got, src.Err())
		}
	case <-time.After(patience):
		t.Fatal("Receive still waits")
	}
}

func TestReplayAsFastAsItGoesLosesNothing(t *testing.T) {
	if _, err := os.Stat(recording); err != nil {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	r := openReplay(t, Spec{File: recording, Speed: MaxSpeed})
	n := 0
	for r.Receive() {
		n++
	}
	if r.Err() != nil || n != 55_314 || r.Counters() != (Counters{}) {
		t.Errorf("got %d frames, %+v, %v; want 55314 and nothing counted", n, r.Counters(), r.Err())
	}
}

func TestReplayKeepsThePaceOfTheLog(t *testing.T) {
	var log strings.Builder
	for i := range 200 { // 1 kHz
		fmt.Fprintf(&log, "(%d.%06d) can0 001#\n", 1600000000, i*1000)
	}
	name := writeLog(t, log.String())
	for _, speed := range []float64{1, 4} {
		r := openReplay(t, Spec{File: name, Speed: speed})
		step := time.Duration(float64(time.Millisecond) / speed)
		var first int64
		late := patience // the least that a frame of the second half came late
		for i := 0; r.Receive(); i++ {
			if i == 0 {
				first = r.Time()
			}
			lag := time.Duration(r.Time()-first) - time.Duration(i)*step
			if lag < -100*time.Microsecond {
				t.Fatalf("speed %g: frame %d came %v early", speed, i+1, -lag)
			}
			if i >= 100 {
				late = min(late, lag)
			}
		}
		// A busy machine makes some frames late, but a pace that loses a nap on
		// each would be 100 ms behind by then.
		if late > 50*time.Millisecond {
			t.Errorf("speed %g: every frame came %v late or more", speed, late)
		}
	}
}

func TestReplayStampsWithTheMomentOfInjection(t *testing.T) {
	r := openReplay(t, Spec{File: writeLog(t, "(1.0) can0 001#\n")})
	before := time.Now().UnixNano()
	if !r.Receive() {
		t.Fatal(r.Err())
	}
	if after := time.Now().UnixNano(); r.Time() < before || r.Time() > after {
		t.Errorf("got %d, want between %d and %d", r.Time(), before, after)
	}
}

func TestReplayHoldsTheFirstFrameBackForTheDelay(t *testing.T) {
	const delay = 50 * time.Millisecond
	r := openReplay(t, Spec{File: writeLog(t, "(1.000000) can0 100#01\n(1.000001) can0 100#02\n"), Speed: MaxSpeed, Delay: delay})
	opened := time.Now()
	if !r.Receive() {
		t.Fatal(r.Err())
	}
	if waited := time.Since(opened); waited < delay {
		t.Errorf("the first frame came after %v, want at least %v", waited, delay)
	}
	if !r.Receive() {
		t.Fatal(r.Err())
	}
	held := openReplay(t, Spec{File: writeLog(t, "(1.000000) can0 100#01\n"), Delay: time.Hour})
	closeWhileReceiving(t, held)
}

func TestReplayLoopsAtOnce(t *testing.T) {
	name := writeLog(t, "(1.0) can0 001#\n(1.2) can0 002#\n")
	r := openReplay(t, Spec{File: name, Loop: true})
	var times []int64
	for range 6 {
		if !r.Receive() {
			t.Fatal(r.Err())
		}
		times = append(times, r.Time())
	}
	for i := 1; i < len(times); i++ {
		step := time.Duration(times[i] - times[i-1])
		if within := i%2 == 1; within && step < 199*time.Millisecond {
			t.Errorf("pass %d: its frames are %v apart, want 200ms", i/2+1, step)
		} else if !within && step > 150*time.Millisecond {
			t.Errorf("pass %d began %v after the one before, want at once", i/2+1, step)
		}
	}
	if c := r.Counters(); c != (Counters{}) {
		t.Errorf("got %+v, want beginning again not to count as a jump", c)
	}
}

func TestReplayTakesOneBusOfTheLog(t *testing.T) {
	name := writeLog(t, "(1.0) can0 001#\n(1.0) can1 002#\n(1.0) can0 003#\n(1.0) can1 004#\n")
	if got := receiveAll(t, openReplay(t, Spec{File: name, Bus: "can1"})); !slices.Equal(got, []string{"002#", "004#"}) {
		t.Errorf("got %v, want the frames of can1", got)
	}
	for _, loop := range []bool{false, true} {
		r := openReplay(t, Spec{File: name, Bus: "can2", Loop: loop})
		if r.Receive() {
			t.Fatal("got a frame of a bus that is not in the log")
		}
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), `no frame of bus "can2" in it: want one of can0, can1`) {
			t.Errorf("got %v, want the buses of the log named", err)
		}
	}
}

func TestReplayGoesOnWhereTheClockJumps(t *testing.T) {
	for _, c := range []struct {
		name  string
		to    string // the second stamp, after 1600000000
		jumps uint64
	}{
		{"back a second", "1599999999", 1},
		{"back to 1970", "5", 1},
		{"forward an hour", "1600003600", 1},
		{"forward from 1970 to now", "9000000000", 1},
		{"back as far as two interfaces may be out of order", "1599999999.995", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := "(1600000000) can0 001#\n(" + c.to + ") can0 002#\n(" + c.to + ") can0 003#\n"
			start := time.Now()
			r := openReplay(t, Spec{File: writeLog(t, log)})
			if got := receiveAll(t, r); len(got) != 3 {
				t.Errorf("got %v, want three frames", got)
			}
			if took := time.Since(start); took > patience/4 {
				t.Errorf("took %v, want no stall", took)
			}
			got := r.Counters()
			if got.ClockJumps != c.jumps || (got.First == "") != (c.jumps == 0) {
				t.Errorf("got %+v, want %d jumps", got, c.jumps)
			}
			if c.jumps > 0 && !strings.Contains(got.First, "drive.candump:2: the clock jumps by") {
				t.Errorf("got %q, want file and line", got.First)
			}
		})
	}
}

func TestReplayKeepsThePaceBehindAJump(t *testing.T) {
	r := openReplay(t, Spec{File: writeLog(t, "(1600000000) can0 001#\n(5) can0 002#\n(5.03) can0 003#\n")})
	var times []int64
	for r.Receive() {
		times = append(times, r.Time())
	}
	if len(times) != 3 || times[2]-times[1] < int64(29*time.Millisecond) {
		t.Errorf("got frames at %v, want the last 30ms behind the second", times)
	}
}

func TestReplayCountsTornLinesOverAllPasses(t *testing.T) {
	name := writeLog(t, "(1.0) can0 001#\n(1.0) can0 00\n(1.0) can0 2A0#4")
	r := openReplay(t, Spec{File: name, Loop: true})
	for range 3 {
		if !r.Receive() {
			t.Fatal(r.Err())
		}
	}
	c := r.Counters()
	if c.TornLines != 4 || c.First != "drive.candump:2: the line ends before the frame does" {
		t.Errorf("got %+v, want 4 torn lines, the first of them line 2", c)
	}
}

func TestReplayRefusesALogWithoutStampsUnlessAsFastAsItGoes(t *testing.T) {
	name := writeLog(t, "  can0  2A0   [1]  48\n  can0  2A0   [1]  49\n")
	if _, err := OpenReplay(Spec{File: name}); err == nil || !strings.Contains(err.Error(), "want speed=max") {
		t.Errorf("got %v, want an error that says speed=max", err)
	}
	if got := receiveAll(t, openReplay(t, Spec{File: name, Speed: MaxSpeed})); len(got) != 2 {
		t.Errorf("got %v, want two frames", got)
	}
}

func TestReplayRefusesAFileThatIsNoLog(t *testing.T) {
	_, err := OpenReplay(Spec{File: writeLog(t, "VERSION \"\"\n")})
	if err == nil || !strings.Contains(err.Error(), "drive.candump") || !strings.Contains(err.Error(), "no CAN frame") {
		t.Errorf("got %v, want the file named", err)
	}
}

func TestCloseEndsASleepingReplayAtOnce(t *testing.T) {
	r := openReplay(t, Spec{File: writeLog(t, "(1.0) can0 001#\n(10.0) can0 002#\n"), Speed: 0.001})
	if !r.Receive() {
		t.Fatal(r.Err())
	}
	closeWhileReceiving(t, r)
	if r.Receive() || r.Close() != nil {
		t.Error("want a closed replay to stay ended, and Close to be repeatable")
	}
}

func TestReceiveFromALogDoesNotAllocate(t *testing.T) {
	r := openReplay(t, Spec{File: writeLog(t, strings.Repeat("(1.0) can0 2A0#4800\n", 2000)), Speed: 1})
	r.Receive()
	if n := testing.AllocsPerRun(1000, func() { r.Receive(); _, _ = r.Frame(), r.Time() }); n != 0 {
		t.Errorf("got %v allocations a frame, want none", n)
	}
}

func TestCopyFeedsABusAndLeavesErrorFramesOut(t *testing.T) {
	bus := NewVirtual()
	from, to := bus.Attach(), bus.Attach()
	r := openReplay(t, Spec{File: writeLog(t, "(1.0) can0 001#\n(1.0) can0 20000088#00\n(1.0) can0 002#\n")})
	if n, err := Copy(context.Background(), from, r); n != 2 || err != nil {
		t.Fatalf("got %d, %v; want 2 frames sent", n, err)
	}
	for _, want := range []uint32{1, 2} {
		if !to.Receive() || to.Frame() != (can.Frame{ID: want}) {
			t.Errorf("got %v, want frame %d", to.Frame(), want)
		}
	}
}

func TestCopyEndsWithItsContext(t *testing.T) {
	bus := NewVirtual()
	ctx, cancel := context.WithCancel(context.Background())
	src := bus.Attach()
	ended := make(chan error)
	go func() {
		_, err := Copy(ctx, NewVirtual().Attach(), src)
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	case <-time.After(patience):
		t.Fatal("Copy still runs")
	}
}

func BenchmarkReplay(b *testing.B) {
	name := filepath.Join(b.TempDir(), "drive.candump")
	text := strings.Repeat("(1600279140.020108) can0 2A0#480087182102F900\n", 10_000)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	r, err := OpenReplay(Spec{File: name, Speed: MaxSpeed, Loop: true})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.ReportAllocs()
	for range b.N {
		if !r.Receive() {
			b.Fatal(r.Err())
		}
	}
}
