package block

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/fascia-edge/fascia/canbus/can"
)

// FuzzReader reads any stream: no panic, an end, and whole blocks before the
// damage come out whole.
func FuzzReader(f *testing.F) {
	b := NewBuilder(Microsecond)
	whole := build(f, b, []entry{{"can0", 1000, frame(1, 0, 1, 2)}, {"can1", 2000, frame(2, can.FD, 3)}})
	f.Add(whole)
	f.Add(append(bytes.Clone(whole), whole[:60]...))
	f.Add([]byte(Magic))
	f.Fuzz(func(t *testing.T, stream []byte) {
		entries, _ := read(t, append(bytes.Clone(whole), stream...))
		if len(entries) < 2 || entries[0].frame.ID != 1 {
			t.Errorf("got %d frames of a stream that begins with a block of 2", len(entries))
		}
	})
}

// FuzzBody gives a block whose checksums are right any body: what comes out
// stays within the block's bounds, and packs and unpacks to the same.
func FuzzBody(f *testing.F) {
	b := NewBuilder(Microsecond)
	for _, entries := range [][]entry{
		{{"can0", 0, frame(1, 0, 1, 2)}},
		{{"can0", 1000, frame(1, 0, 1, 2)}, {"can1", 2000, frame(2, can.FD|can.BRS, 3)}, {"can0", 3000, frame(1, 0, 2, 2)}},
		{{"can0", 1000, can.Frame{ID: 1, Flags: can.Remote, Len: 3}}},
	} {
		for _, e := range entries {
			b.Add(e.bus, e.stamp, &e.frame)
		}
		b.makeBody()
		f.Add(bytes.Clone(b.body), uint16(len(entries)))
		b.reset()
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, frames uint16) {
		if frames == 0 {
			return
		}
		packed := encoder.EncodeAll(body, nil)
		head := Header{Frames: int(frames), Resolution: Microsecond, size: len(packed), bodySize: len(body),
			bodySum: crc32.Checksum(packed, castagnoli)}
		r := NewReader(bufio.NewReader(bytes.NewReader(append(head.appendTo(nil), packed...))))
		block, err := r.Next()
		if err != nil {
			if broken := (*DamageError)(nil); !errors.As(err, &broken) {
				t.Fatalf("got %v, want damage", err)
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("got %v behind the damage, want the end", err)
			}
			return
		}
		var entries []entry
		for block.Left() > 0 {
			var e entry
			e.bus, e.stamp, _ = block.Next(&e.frame)
			entries = append(entries, e)
		}
		if len(entries) != int(frames) {
			t.Fatalf("got %d frames, want %d", len(entries), frames)
		}
		again := NewBuilder(Microsecond)
		for i := range entries {
			again.Add(entries[i].bus, entries[i].stamp, &entries[i].frame)
		}
		packedAgain, _ := again.Append(nil)
		got, _ := read(t, packedAgain)
		equal(t, got, entries)
	})
}
