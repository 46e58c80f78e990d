package bridge

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// BenchmarkDrain measures how fast a backlog of 64-byte messages goes into mosquitto
// with the window that mosquitto grants, beside a bare publisher with that window.
func BenchmarkDrain(b *testing.B) {
	const backlog = 200_000
	for _, window := range []int{20, 1000} {
		m := farBroker(b, fmt.Sprintf("max_inflight_messages %d", window))
		b.Run(fmt.Sprintf("bridge/window=%d", window), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				c, stop := drive(b, b.TempDir(), fmt.Sprintf(`
links:
  - name: cloud
    url: mqtt://%s
    window: %d
    spool: {size: 200MiB}
    classes: [{name: normal, send_when: "Vehicle.Go"}]
    rules: [{direction: up, local: "ivi/#", remote: "far/${1}", qos: 1, way: false}]
`, m.address, window))
				fillSpool(b, c, backlog)
				b.StartTimer()
				c.set("Vehicle.Go", true)
				for c.spooled() > 0 {
					time.Sleep(time.Millisecond)
				}
				b.StopTimer()
				stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(backlog)*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
		b.Run(fmt.Sprintf("bare/window=%d", window), func(b *testing.B) {
			for b.Loop() {
				bare(b, m.address, window, backlog)
			}
			b.ReportMetric(float64(backlog)*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// fillSpool publishes n messages that a rule takes.
func fillSpool(t testing.TB, c *car, n int) {
	var publishing sync.WaitGroup
	for i := range 64 {
		publishing.Go(func() {
			for k := range n / 64 {
				c.publish(t, fmt.Sprintf("ivi/%d", i), strings.Repeat("x", 56)+fmt.Sprintf("%08d", k))
			}
		})
	}
	for range n % 64 {
		c.publish(t, "ivi/rest", "x")
	}
	publishing.Wait()
	if got := c.spooled(); got != n {
		t.Fatalf("%d messages are spooled, want %d", got, n)
	}
}

// bare publishes without anything around it.
func bare(b *testing.B, address string, window, n int) {
	p := &barePublisher{slots: make(chan uint16, window), done: make(chan struct{}), left: n}
	for i := range window {
		p.slots <- uint16(i + 1)
	}
	conn := dialFar(b, address, fmt.Sprintf("bare-%p", p), p)
	msg := message.Message{Topic: "far/0", Payload: []byte(strings.Repeat("x", 64)), QoS: 1}
	for range n {
		if _, err := conn.Publish(&link.Publish{Message: msg, ID: <-p.slots}); err != nil {
			b.Fatal(err)
		}
	}
	<-p.done
}

type barePublisher struct {
	far
	slots chan uint16
	done  chan struct{}
	left  int
}

func (p *barePublisher) Acknowledged(id uint16, _ byte, _ string) {
	if p.left--; p.left == 0 {
		close(p.done)
	}
	p.slots <- id
}
