package source

import (
	"testing"

	"github.com/fascia-edge/fascia/canbus/can"
)

// burst sends as many frames as one system call may take.
func burst(t testing.TB, dst Sink) {
	for id := range uint32(batchSize) {
		if err := dst.Send(can.Frame{ID: id, Len: 8}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	spec := udpBus(t, "127.0.0.1")
	src, dst := openBus(t, spec), openSink(t, spec)
	const rounds = 4
	for range rounds + 1 { // AllocsPerRun runs once more to warm up
		burst(t, dst)
	}
	if n := testing.AllocsPerRun(rounds, func() {
		for id := range uint32(batchSize) {
			if !src.Receive() || src.Frame().ID != id || src.Time() == 0 {
				t.Fatalf("got %v, want frame %d", src.Frame(), id)
			}
		}
	}); n != 0 {
		t.Errorf("got %v allocations for %d frames, want none", n, batchSize)
	}
}

// What it costs to receive a frame of those that wait.
func BenchmarkReceiveUDP(b *testing.B) {
	spec, err := Parse("udp://127.0.0.1:23999")
	if err != nil {
		b.Fatal(err)
	}
	src, err := Open(spec, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	dst, err := OpenSink(spec, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer dst.Close()
	b.ReportAllocs()
	for i := range b.N {
		if i%batchSize == 0 {
			b.StopTimer()
			burst(b, dst)
			b.StartTimer()
		}
		if !src.Receive() {
			b.Fatal(src.Err())
		}
	}
}
