package protocol

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// BenchmarkAppendAcknowledged is one client that waits for each answer, on a stream
// in a file, synced by interval.
func BenchmarkAppendAcknowledged(b *testing.B) {
	s, _ := serve(b, Options{})
	c := connected(b, s)
	c.create("a")
	payload, err := cbor.Marshal(fields{"requestId": "3e299203-e8a6-4341-ac86-e1db7eae1636", "name": "a", "payload": make([]byte, 200)})
	if err != nil {
		b.Fatal(err)
	}
	request := frameOf(opAppendMessage, payload)
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		begun := time.Now()
		c.put(request)
		var header [headerSize]byte
		_, n, err := readHeader(c, &header)
		if err != nil {
			b.Fatal(err)
		}
		answer := make([]byte, n)
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkAppendBySDK is the same through the JavaScript SDK, whose own time counts.
func BenchmarkAppendBySDK(b *testing.B) {
	s, _ := serve(b, Options{})
	out, err := sdk(b, s, "testdata/append.js", strconv.Itoa(b.N))
	if err != nil {
		b.Fatalf("%v:\n%s", err, out)
	}
	var median, slow float64
	if _, err := fmt.Sscan(out, &median, &slow); err != nil {
		b.Fatalf("%v:\n%s", err, out)
	}
	b.ReportMetric(median, "p50-µs")
	b.ReportMetric(slow, "p99-µs")
}

// BenchmarkAppendPipelined is one client that sends without waiting.
func BenchmarkAppendPipelined(b *testing.B) {
	s, _ := serve(b, Options{})
	c := connected(b, s)
	c.must(opCreateMessageStream, fields{"definition": fields{"name": "a", "strategyOnFull": 1}})
	payload, err := cbor.Marshal(fields{"requestId": "r", "name": "a", "payload": make([]byte, 200)})
	if err != nil {
		b.Fatal(err)
	}
	request := frameOf(opAppendMessage, payload)
	b.SetBytes(200)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			if _, err := c.Write(request); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	for range b.N {
		c.hear()
	}
}
