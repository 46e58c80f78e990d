package block_test

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/record/block"
)

const drive = "../../../../shared/data/can/genesis-drive.candump"

// record is what a frame of the drive comes to.
type record struct {
	bus   string
	stamp int64
	frame can.Frame
}

func loadDrive(tb testing.TB) []record {
	tb.Helper()
	if _, err := os.Stat(drive); errors.Is(err, fs.ErrNotExist) {
		tb.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	log, err := canlog.Open(drive)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	var records []record
	for log.Scan() {
		rec := log.Record()
		records = append(records, record{rec.Bus, rec.Stamp, rec.Frame})
	}
	if err := log.Err(); err != nil || len(records) != 55_314 {
		tb.Fatalf("got %d frames, %v; want 55314", len(records), err)
	}
	return records
}

// pack makes blocks of at most ten seconds.
func pack(b *block.Builder, records []record) []byte {
	var packed []byte
	begun := int64(0)
	for i := range records {
		r := &records[i]
		if b.Frames() == 0 {
			begun = r.stamp
		} else if r.stamp-begun >= int64(10*time.Second) || b.Full() {
			packed, _ = b.Append(packed)
			begun = r.stamp
		}
		b.Add(r.bus, r.stamp, &r.frame)
	}
	packed, _ = b.Append(packed)
	return packed
}

func TestADriveTakesFewBytesAFrameAndLosesNothing(t *testing.T) {
	records := loadDrive(t)
	for _, c := range []struct {
		resolution time.Duration
		most       float64
	}{{block.Microsecond, 2.7}, {block.Millisecond, 1.3}} {
		packed := pack(block.NewBuilder(c.resolution), records)
		a := float64(len(packed)) / float64(len(records))
		t.Logf("stamps of %v: %d bytes, %.2f a frame", c.resolution, len(packed), a)
		if a > c.most {
			t.Errorf("stamps of %v: got %.2f bytes a frame, want at most %v", c.resolution, a, c.most)
		}
		r := block.NewReader(bufio.NewReader(bytes.NewReader(packed)))
		n := 0
		for n < len(records) {
			b, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			for b.Left() > 0 {
				var got record
				got.bus, got.stamp, _ = b.Next(&got.frame)
				want := records[n]
				want.stamp -= want.stamp % int64(c.resolution)
				if got != want {
					t.Fatalf("frame %d: got %v, want %v", n, got, want)
				}
				n++
			}
		}
	}
}

func BenchmarkPack(b *testing.B) {
	for _, resolution := range []time.Duration{block.Microsecond, block.Millisecond} {
		b.Run(resolution.String(), func(b *testing.B) {
			records := loadDrive(b)
			builder := block.NewBuilder(resolution)
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				size = len(pack(builder, records))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/frame")
			b.ReportMetric(float64(size)/float64(len(records)), "B/frame")
		})
	}
}

func BenchmarkUnpack(b *testing.B) {
	records := loadDrive(b)
	packed := pack(block.NewBuilder(block.Microsecond), records)
	b.ReportAllocs()
	for b.Loop() {
		r := block.NewReader(bufio.NewReader(bytes.NewReader(packed)))
		for {
			part, err := r.Next()
			if err != nil {
				break
			}
			for part.Left() > 0 {
				var fr can.Frame
				part.Next(&fr)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/frame")
}
