package link

import (
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// credits is a Handler that lets so many messages at QoS 1 be unacknowledged.
type credits struct {
	deaf
	connected chan Conn
	free      chan uint16
	sent      []time.Time // by packet id; nil to time none
	took      []time.Duration
}

func newCredits(window int) *credits {
	c := &credits{connected: make(chan Conn, 1), free: make(chan uint16, window)}
	for id := range window {
		c.free <- uint16(id + 1)
	}
	return c
}

func (c *credits) Connected(conn Conn, _ Session) { c.connected <- conn }

func (c *credits) Acknowledged(id uint16, _ byte, _ string) {
	if c.sent != nil {
		c.took = append(c.took, time.Since(c.sent[id]))
	}
	c.free <- id
}

// BenchmarkPublish sends QoS 1 into mosquitto; BenchmarkBare is what the same broker
// takes from a publisher that does nothing else.
func BenchmarkPublish(b *testing.B) {
	m := startMosquitto(b, "max_inflight_messages 0\nmax_queued_messages 0\n")
	for _, window := range []int{20, 1000} {
		for _, protocol := range []string{"5", "3.1.1"} {
			b.Run(fmt.Sprintf("mqtt=%s/window=%d", protocol, window), func(b *testing.B) {
				c := newCredits(window)
				start(b, "url: mqtt://"+m.mqtt+"\nprotocol: \""+protocol+"\"", func(o *Options) { o.Handler = c })
				conn := <-c.connected
				p := Publish{Message: message.Message{Topic: "dt/demo/g1/KMHGN4JE0FU000001/vss", Payload: make([]byte, 64), QoS: 1}}
				b.ReportAllocs()
				before := cpu()
				for b.Loop() {
					p.ID = <-c.free
					if _, err := conn.Publish(&p); err != nil {
						b.Fatal(err)
					}
				}
				for range window {
					<-c.free
				}
				report(b, cpu()-before)
			})
		}
	}
}

func BenchmarkBare(b *testing.B) {
	m := startMosquitto(b, "max_inflight_messages 0\nmax_queued_messages 0\n")
	for _, window := range []int{20, 1000} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			conn, err := net.Dial("tcp", m.mqtt)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			hello, err := v5{}.connect(&hello{clientID: "bare", clean: true, receiveMaximum: 1, maximumPacket: 1 << 20})
			if err != nil {
				b.Fatal(err)
			}
			p := &peer{conn, b, newReader(conn, wire.MaxPacket)}
			p.write(hello...)
			p.read(wire.Connack)
			free := make(chan struct{}, window)
			for range window {
				free <- struct{}{}
			}
			go func() {
				for {
					if _, _, err := p.in.next(); err != nil {
						return
					}
					free <- struct{}{}
				}
			}()
			var out []byte
			packet := (&wire.Outgoing{Topic: "dt/demo/g1/KMHGN4JE0FU000001/vss", Payload: make([]byte, 64), QoS: 1, ID: 1, Version: 5}).Append(nil)
			before := cpu()
			for b.Loop() {
				select {
				case <-free:
				default:
					p.write(out...)
					out = out[:0]
					<-free
				}
				if out = append(out, packet...); len(out) > pendingLimit {
					p.write(out...)
					out = out[:0]
				}
			}
			p.write(out...)
			for range window {
				<-free
			}
			report(b, cpu()-before)
		})
	}
}

// BenchmarkLatency is from Publish to PUBACK at 5,000 messages a second, without
// Nagle's algorithm in mosquitto, which would be what is measured.
func BenchmarkLatency(b *testing.B) {
	m := startMosquitto(b, "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n")
	c := newCredits(1000)
	c.sent = make([]time.Time, 1001)
	start(b, "url: mqtt://"+m.mqtt, func(o *Options) { o.Handler = c })
	conn := <-c.connected
	p := Publish{Message: message.Message{Topic: "dt/demo/g1/KMHGN4JE0FU000001/vss", Payload: make([]byte, 64), QoS: 1}}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	before := cpu()
	for b.Loop() {
		<-tick.C
		for range 5 {
			p.ID = <-c.free
			c.sent[p.ID] = time.Now()
			if _, err := conn.Publish(&p); err != nil {
				b.Fatal(err)
			}
		}
	}
	for range cap(c.free) {
		<-c.free
	}
	slices.Sort(c.took)
	b.ReportMetric(float64(c.took[len(c.took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(c.took[len(c.took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(len(c.took)), "cpu-ns/msg")
}

func report(b *testing.B, spent time.Duration) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/msg")
}

// cpu is what this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // it can't fail for oneself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
