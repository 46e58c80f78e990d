package bridge

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// BenchmarkLatency measures the time from a publish in the vehicle to the far
// subscriber, at 5,000 messages a second of QoS 1.
func BenchmarkLatency(b *testing.B) {
	m := farBroker(b, "")
	cloud := connectFar(b, m.address, "cloud", "far/#")
	c, _ := drive(b, b.TempDir(), fmt.Sprintf(`links: [{name: cloud, url: "mqtt://%s", rules: [{direction: up, local: "ivi/#", remote: "far/${1}"}]}]`, m.address))
	eventually(b, "the link is up", func() bool { return c.bridge.Status()[0].State == "up" })
	const rate, messages = 5000, 25_000
	for b.Loop() {
		go func() {
			begin := time.Now()
			for i := range messages {
				time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / rate)))
				_ = c.Publish(message.Message{Topic: "ivi/x", QoS: 1, Payload: strconv.AppendInt(nil, time.Now().UnixNano(), 10)})
			}
		}()
		took := make([]time.Duration, 0, messages)
		for range messages {
			got := <-cloud.got
			sent, _ := strconv.ParseInt(string(got.Payload), 10, 64)
			took = append(took, time.Duration(time.Now().UnixNano()-sent))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[messages/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[messages*99/100].Microseconds()), "p99-µs")
		b.ReportMetric(float64(took[messages-1].Microseconds()), "max-µs")
	}
}

// BenchmarkBacklogMemory measures what a backlog of a million messages costs above
// idle, in live heap.
func BenchmarkBacklogMemory(b *testing.B) {
	c, _ := drive(b, b.TempDir(), `links: [{name: cloud, url: "mqtt://127.0.0.1:1", spool: {size: 512MiB}, rules: [{direction: up, local: "ivi/#", remote: "far/${1}"}]}]`)
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	idle := heap()
	for b.Loop() {
		fillSpool(b, c, 1_000_000)
		b.ReportMetric((heap()-idle)/(1<<20), "MiB")
	}
}
