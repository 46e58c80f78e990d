package batch_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/fascia-edge/fascia/bridge/batch"
)

// What carries a batch beside its payload, in bytes: a PUBLISH of QoS 1 with its
// head, topic, packet id, and as properties the content type and the VIN
// [MQTT-3.3]; a TLS 1.3 record (RFC 8446 §5.2) for each 16 KiB; TCP and IPv4 with
// stamps (RFC 7323) for each 1,400; and what comes back, a segment that acknowledges
// the data and the PUBACK in a record and segment of its own, with its
// acknowledgement.
const (
	publishHead = 4 + 2 + len("dt/demo/g1/KMHGN4JE0FU000001/vss") + 2 + 2 +
		1 + 2 + len("application/vnd.fascia.batch+cbor+zstd") + 1 + 2 + len("vin") + 2 + len("KMHGN4JE0FU000001")
	recordHead  = 5 + 1 + 16
	segmentHead = 20 + 32
	answer      = segmentHead + (4 + recordHead + segmentHead) + segmentHead
)

// onTheWire is what a payload costs.
func onTheWire(payload int) int {
	n := publishHead + payload
	n += (n + 16383) / 16384 * recordHead
	return n + (n+1399)/1400*segmentHead + answer
}

var driveConfig = batch.Config{Format: batch.CBOR, Count: 10_000, Size: 128 << 10}

// figures seals the drive in batches of five seconds, with each read back.
func figures(t *testing.T, c batch.Config, all []published) (payload, wire float64) {
	t.Helper()
	b := batch.NewBuilder(c)
	bytes, cost, batches := 0, 0, 0
	part := []published{}
	flush := func() {
		sealed, contentType := b.Seal()
		bytes, cost, batches = bytes+len(sealed), cost+onTheWire(len(sealed)), batches+1
		items, err := open(sealed, contentType)
		if err != nil || len(items) != len(part) {
			t.Fatalf("%d of %d values come back, %v", len(items), len(part), err)
		}
		for i, it := range items {
			if it.Topic != part[i].topic || string(it.Payload) != string(part[i].payload) {
				t.Fatalf("got %s %s, want %s %s", it.Topic, it.Payload, part[i].topic, part[i].payload)
			}
		}
		part = part[:0]
	}
	for _, within := range every(all, 5*time.Second) {
		for _, p := range within {
			if !b.Add(p.topic, p.at, p.payload, "application/json") {
				flush()
				b.Add(p.topic, p.at, p.payload, "application/json")
			}
			part = append(part, p)
		}
		flush()
	}
	t.Logf("%d values in %d batches of %s, at least %v apart", len(all), batches, c.Format, 5*time.Second)
	return float64(bytes) / float64(len(all)), float64(cost) / float64(len(all))
}

func TestADriveTakesFewBytesAValueAndLosesNothing(t *testing.T) {
	for _, test := range []struct {
		interval time.Duration
		format   string
		most     float64
	}{
		{0, batch.CBOR, 2}, {100 * time.Millisecond, batch.CBOR, 4},
		{0, batch.JSON, 12}, {100 * time.Millisecond, batch.JSON, 12},
	} {
		all := loadDrive(t, test.interval)
		c := driveConfig
		c.Format, c.Compress = test.format, batch.Zstd
		payload, wire := figures(t, c, all)
		t.Logf("%s, min_interval %v: %.2f bytes a value, %.2f on the wire", test.format, test.interval, payload, wire)
		if wire > test.most {
			t.Errorf("%s, min_interval %v: got %.2f bytes a value on the wire, want at most %v", test.format, test.interval, wire, test.most)
		}
	}
}

// TestFormsBesideOurs is rows of the table in decision 12: what the drive takes in the forms
// that were weighed against it.
func TestFormsBesideOurs(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	type message struct {
		Topic   string          `json:"topic"`
		TS      string          `json:"ts"`
		Payload json.RawMessage `json:"payload"`
	}
	forms := []struct {
		name string
		pack func([]published) []byte
	}{
		{"rows, JSON with whole payloads", func(part []published) []byte {
			var rows []message
			for _, p := range part {
				rows = append(rows, message{p.topic, p.at.Format("2006-01-02T15:04:05.000Z"), p.payload})
			}
			text, _ := json.Marshal(rows)
			return text
		}},
		{"rows, CBOR [topic, ms, value]", func(part []published) []byte {
			var rows [][3]any
			for _, p := range part {
				var v struct{ Value any }
				_ = json.Unmarshal(p.payload, &v)
				rows = append(rows, [3]any{p.topic, p.at.UnixMilli(), v.Value})
			}
			text, _ := cbor.Marshal(rows)
			return text
		}},
		{"columns, CBOR, times and numbers as they are", func(part []published) []byte {
			var topics []string
			index := map[string]int{}
			var order []int
			var times []int64
			var columns [][]any
			for _, p := range part {
				var v struct{ Value any }
				_ = json.Unmarshal(p.payload, &v)
				n, known := index[p.topic]
				if !known {
					n = len(topics)
					index[p.topic], topics, columns = n, append(topics, p.topic), append(columns, nil)
				}
				order, times = append(order, n), append(times, p.at.UnixMilli())
				columns[n] = append(columns[n], v.Value)
			}
			text, _ := cbor.Marshal([]any{topics, order, times, columns})
			return text
		}},
	}
	for _, interval := range []time.Duration{0, 100 * time.Millisecond} {
		all := loadDrive(t, interval)
		for _, form := range forms {
			raw, small := 0, 0
			for _, part := range every(all, 5*time.Second) {
				plain := form.pack(part)
				raw, small = raw+len(plain), small+len(encoder.EncodeAll(plain, nil))
			}
			t.Logf("min_interval %v: %s: %.1f, zstd %.2f bytes a value", interval, form.name, float64(raw)/float64(len(all)), float64(small)/float64(len(all)))
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	all := loadDrive(b, 0)
	for _, format := range []string{batch.JSON, batch.CBOR} {
		b.Run(format, func(b *testing.B) {
			c := driveConfig
			c.Format, c.Size, c.Count = format, 16<<20, 100_000
			builder := batch.NewBuilder(c)
			b.ReportAllocs()
			for b.Loop() {
				for i := range all {
					if !builder.Add(all[i].topic, all[i].at, all[i].payload, "application/json") {
						b.Fatal("full")
					}
				}
				builder.Reset()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/value")
		})
	}
}

// BenchmarkDrive packs the drive in batches of five seconds, and unpacks it.
func BenchmarkDrive(b *testing.B) {
	parts := every(loadDrive(b, 0), 5*time.Second)
	for _, format := range []string{batch.JSON, batch.CBOR} {
		c := driveConfig
		c.Format, c.Compress, c.Size = format, batch.Zstd, 16<<20
		builder := batch.NewBuilder(c)
		var sealed [][]byte
		values := 0
		pack := func() {
			sealed, values = sealed[:0], 0
			for _, part := range parts {
				for i := range part {
					builder.Add(part[i].topic, part[i].at, part[i].payload, "application/json")
				}
				values += len(part)
				payload, _ := builder.Seal()
				sealed = append(sealed, payload)
			}
		}
		b.Run(format+"/pack", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pack()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(values), "ns/value")
		})
		b.Run(format+"/unpack", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, payload := range sealed {
					if err := batch.Decode(payload, "", func(batch.Item) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(values), "ns/value")
		})
	}
}
