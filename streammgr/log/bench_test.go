package log

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkAppend appends as much as goes, beside the same with bare JetStream in
// the same run, which syncs as often.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{16 << 10, 4 << 10} {
		payload := make([]byte, size)
		b.Run(fmt.Sprintf("%d/bare", size), func(b *testing.B) { appendBare(b, payload) })
		for _, many := range []int{1, 4} {
			b.Run(fmt.Sprintf("%d/batches of %d", size, many), func(b *testing.B) {
				appendMuch(b, slices.Repeat([][]byte{payload}, many), false)
			})
		}
	}
	b.Run("64/batches of 1000", func(b *testing.B) {
		appendMuch(b, slices.Repeat([][]byte{make([]byte, 64)}, 1000), false)
	})
	b.Run("64/singles", func(b *testing.B) { appendMuch(b, [][]byte{make([]byte, 64)}, false) })
	b.Run("64/singles, flush", func(b *testing.B) { appendMuch(b, [][]byte{make([]byte, 64)}, true) })
}

// appendMuch counts messages as operations.
func appendMuch(b *testing.B, payloads [][]byte, flush bool) {
	e := open(b, Options{Dir: b.TempDir()})
	s := create(b, e, Definition{Name: "stream", MaxSize: 32 << 30, Flush: flush})
	b.SetBytes(int64(len(payloads[0])))
	b.ReportAllocs()
	b.ResetTimer()
	var under sync.WaitGroup
	room := make(chan struct{}, 256)
	for n := 0; n < b.N; n += len(payloads) {
		room <- struct{}{}
		under.Add(1)
		for s.AppendAsync(payloads, func(_ uint64, err error) {
			if err != nil {
				b.Error(err)
			}
			<-room
			under.Done()
		}) != nil {
			time.Sleep(100 * time.Microsecond) // busy
		}
	}
	under.Wait()
	b.StopTimer()
}

func appendBare(b *testing.B, payload []byte) {
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: b.TempDir(), DontListen: true, NoSigs: true,
		SyncInterval: DefaultSyncInterval, JetStreamMaxStore: serverStore})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(256))
	if err == nil {
		_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "bare", Subjects: []string{"bare"}})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := js.PublishAsync("bare", payload); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	b.StopTimer()
}

// BenchmarkAcknowledged is one client that waits for each message.
func BenchmarkAcknowledged(b *testing.B) {
	for _, flush := range []bool{false, true} {
		b.Run(fmt.Sprintf("flush %t", flush), func(b *testing.B) {
			e := open(b, Options{Dir: b.TempDir()})
			s := create(b, e, Definition{Name: "stream", Flush: flush})
			payload := make([]byte, 1024)
			var took []time.Duration
			b.ResetTimer()
			for range b.N {
				begun := time.Now()
				if _, err := s.Append(b.Context(), payload); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begun))
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
		})
	}
}
