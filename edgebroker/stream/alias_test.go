package stream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

func TestAliasesAreBoundedInBytes(t *testing.T) {
	a := newSentAliases(65535, wire.MaxPacket)
	for i := range 100_000 {
		p := wire.Outgoing{Topic: fmt.Sprintf("ivi/%d/%s", i, strings.Repeat("x", 100)), Version: 5}
		a.shorten(nil, p.Append(nil))
	}
	if a.bytes > maxSentText || len(a.topics) < 100 || len(a.topics) > maxSentText/aliasMemory {
		t.Fatalf("%d topics of %d bytes", len(a.topics), a.bytes)
	}
}

// BenchmarkAliases shortens a burst of values of a car, and says how many bytes
// of each packet are left.
func BenchmarkAliases(b *testing.B) {
	var burst []byte
	const values = 100
	for i := range values {
		p := wire.Outgoing{
			Topic:   fmt.Sprintf("vss/Vehicle/Chassis/Axle/Row%d/Wheel/Left/Tire/Pressure", i),
			Payload: []byte(`{"value":31.5,"ts":"2026-01-01T12:00:00.000Z"}`), Version: 5,
		}
		burst = p.Append(burst)
	}
	a := newSentAliases(values, wire.MaxPacket)
	to := a.shorten(nil, burst)
	b.ReportAllocs()
	for b.Loop() {
		to = a.shorten(to[:0], burst)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/values, "ns/packet")
	b.ReportMetric(float64(len(burst))/values, "B/full")
	b.ReportMetric(float64(len(to))/values, "B/alias")
}
