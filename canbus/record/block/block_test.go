package block

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// entry is a frame as it went in or came out.
type entry struct {
	bus   string
	stamp int64
	frame can.Frame
}

func frame(id uint32, flags can.Flags, data ...byte) can.Frame {
	fr := can.Frame{ID: id, Flags: flags, Len: uint8(len(data))}
	copy(fr.Data[:], data)
	return fr
}

func build(t testing.TB, b *Builder, entries []entry) []byte {
	t.Helper()
	for i := range entries {
		if b.Full() {
			t.Fatalf("full after %d frames", i)
		}
		b.Add(entries[i].bus, entries[i].stamp, &entries[i].frame)
	}
	packed, _ := b.Append(nil)
	return packed
}

// read gives all frames of a stream, and what was damaged.
func read(t testing.TB, stream []byte) (entries []entry, damage []*DamageError) {
	t.Helper()
	r := NewReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		b, err := r.Next()
		var broken *DamageError
		switch {
		case errors.Is(err, io.EOF):
			return entries, damage
		case errors.As(err, &broken):
			damage = append(damage, broken)
			continue
		case err != nil:
			t.Fatal(err)
		}
		for {
			var e entry
			var ok bool
			if e.bus, e.stamp, ok = b.Next(&e.frame); !ok {
				break
			}
			entries = append(entries, e)
		}
	}
}

func equal(t *testing.T, got, want []entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("frame %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestEveryKindOfFrameComesOutAsItWentIn(t *testing.T) {
	long := make([]byte, can.MaxDataFD)
	for i := range long {
		long[i] = byte(i * 37)
	}
	entries := []entry{
		{"can0", 1600279140_020108000, frame(0x2A0, 0, 0x48, 0, 0x87, 0x18, 0x21, 2, 0xF9, 0)},
		{"can0", 1600279140_020108000, frame(0x2A0, 0, 0x48, 1)}, // the same stamp, and shorter
		{"can0", 1600279140_020107000, frame(0x2A0, 0)},          // back in time, and empty
		{"can1", 1600279140_020108000, frame(0x2A0, can.Extended, 1)},
		{"can1", 1600279140_030000000, frame(can.MaxExtendedID, can.Extended, 1, 2, 3)},
		{"can1", 1600279140_030000000, can.Frame{ID: 0x100, Flags: can.Remote, Len: 8}},
		{"can1", 1600279140_030000000, can.Frame{ID: 0x100, Flags: can.Remote | can.Extended}},
		{"", 1600279141_000000000, frame(0x80, can.Error, 0, 0, 4, 0, 0, 0, 96, 0)},
		{"can0", 1600279141_000000000, frame(0x7FF, can.FD, long...)},
		{"can0", 0, frame(0x7FF, can.FD|can.BRS, long[:12]...)},
		{"can0", 1600279142_000000000, frame(0x7FF, can.FD|can.BRS|can.ESI, long[:20]...)},
		{"can0", 1600279142_000000000, frame(0x7FF, can.FD|can.ESI|can.Extended|can.Own)},
		{"can0", math.MaxInt64 / 1000 * 1000, frame(1, 0xFF&^can.Remote, 1)},
	}
	for range 300 {
		entries = append(entries, entry{"can0", 1600279142_000000000, frame(0x2A0, 0, 0x48, 0, 0x87, 0x18, 0x21, 2, 0xF9, 0)})
	}
	b := NewBuilder(Microsecond)
	for range 2 { // what a builder keeps of one block must not show in the next
		got, damage := read(t, build(t, b, entries))
		equal(t, got, entries)
		if len(damage) > 0 {
			t.Errorf("got %v, want no damage", damage)
		}
	}
}

func TestRandomFramesComeOutAsTheyWentIn(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	b := NewBuilder(time.Nanosecond)
	for range 50 {
		var entries []entry
		for range 1 + random.IntN(400) {
			e := entry{bus: string(rune('a' + random.IntN(3))), stamp: int64(random.Uint64() >> random.IntN(64))}
			e.frame.ID, e.frame.Flags = random.Uint32()>>3>>random.IntN(29), can.Flags(random.IntN(128))
			e.frame.Len = uint8(random.IntN(65))
			if e.frame.Flags&can.Remote == 0 {
				for i := range e.frame.Len {
					e.frame.Data[i] = byte(random.IntN(4))
				}
			}
			entries = append(entries, e)
		}
		got, _ := read(t, build(t, b, entries))
		equal(t, got, entries)
	}
}

func TestMillisecondsCutTheRestOfAStampOff(t *testing.T) {
	entries := []entry{{"can0", 1600279140_020999999, frame(1, 0, 1)}, {"can0", 1600279140_021000000, frame(1, 0, 2)},
		{"can0", -1, frame(1, 0, 3)}, {"can0", -1_000_000, frame(1, 0, 3)}} // before 1970, down too
	got, _ := read(t, build(t, NewBuilder(Millisecond), entries))
	entries[0].stamp = 1600279140_020000000
	entries[2].stamp = -1_000_000
	equal(t, got, entries)
}

func TestABlockTellsItsSpanWithoutBeingUnpacked(t *testing.T) {
	b := NewBuilder(Microsecond)
	b.Add("can0", 5_000, &can.Frame{})
	b.Add("can0", 9_000, &can.Frame{})
	packed, head := b.Append([]byte("before"))
	if head.Frames != 2 || head.First != 5_000 || head.Last != 9_000 || head.Resolution != Microsecond {
		t.Errorf("got %+v, want 2 frames from 5 to 9 µs", head)
	}
	if parsed, err := parseHeader(packed[6:][:headerSize]); err != nil || parsed != head {
		t.Errorf("got %+v, %v in the block, want %+v", parsed, err, head)
	}
	if packed, head := b.Append(nil); packed != nil || head.Frames != 0 {
		t.Errorf("got a block of %d frames without any", head.Frames)
	}
}

func TestAFullBlockCanBeReadBack(t *testing.T) {
	for name, fill := range map[string]func(i int) entry{
		"frames": func(i int) entry { return entry{"can0", int64(i), frame(1, 0)} },
		"kinds": func(i int) entry {
			return entry{"can0", math.MaxInt64 * int64(i%2), frame(uint32(i)*4099, can.Extended, 1, 2)}
		},
		"bytes": func(i int) entry { return entry{"can0", int64(i), can.Frame{ID: 2, Flags: can.FD, Len: 64}} },
		"buses": func(i int) entry { return entry{strings.Repeat("b", i), int64(i), frame(1, 0)} },
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBuilder(time.Nanosecond)
			var entries []entry
			for i := 0; !b.Full(); i++ {
				e := fill(i)
				b.Add(e.bus, e.stamp, &e.frame)
				entries = append(entries, e)
			}
			packed, _ := b.Append(nil)
			got, damage := read(t, packed)
			if len(damage) > 0 {
				t.Fatal(damage[0])
			}
			equal(t, got, entries)
		})
	}
}

func TestDamageCostsItsBlockAlone(t *testing.T) {
	b := NewBuilder(Microsecond)
	var blocks [][]byte
	var entries []entry
	for i := range 3 {
		part := []entry{{"can0", int64(i) * 1000, frame(uint32(i), 0, 1, 2, 3)}, {"can0", int64(i) * 1000, frame(9, 0, 4)}}
		blocks, entries = append(blocks, build(t, b, part)), append(entries, part...)
	}
	all := bytes.Join(blocks, nil)
	second := int64(len(blocks[0]))
	for _, c := range []struct {
		name   string
		stream []byte
		want   []entry
		offset int64
		err    error
	}{
		{"a bit of the body", flip(all, len(blocks[0])+headerSize+5), append(entries[:2:2], entries[4:]...), second, errChecksum},
		{"a bit of the head", flip(all, len(blocks[0])+20), append(entries[:2:2], entries[4:]...), second, errHead},
		{"a bit of the magic", flip(all, len(blocks[0])+1), append(entries[:2:2], entries[4:]...), second, errMagic},
		{"something between", bytes.Join([][]byte{blocks[0], []byte("something\x89FC"), blocks[1], blocks[2]}, nil), entries, second, errMagic},
		{"cut in a body", all[:len(all)-1], entries[:4], second + int64(len(blocks[1])), errCut},
		{"cut in a head", all[:len(blocks[0])+30], entries[:2], second, errCut},
		{"cut in a magic", all[:len(blocks[0])+3], entries[:2], second, errCut},
		{"a torn head before a block", append(blocks[0][:30:30], blocks[1]...), entries[2:4], 0, errHead},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, damage := read(t, c.stream)
			equal(t, got, c.want)
			if len(damage) != 1 || damage[0].Offset != c.offset || !errors.Is(damage[0], c.err) {
				t.Errorf("got %v, want one damage at byte %d: %v", damage, c.offset, c.err)
			}
		})
	}
}

// A checksum keeps out accidents, not somebody who makes a block by hand.
func TestABodyThatContradictsItselfIsDamage(t *testing.T) {
	b := NewBuilder(Microsecond)
	for _, id := range []uint32{1, 2, 2} {
		fr := frame(id, 0, 0xAA)
		b.Add("c", 0, &fr)
	}
	b.makeBody()
	good := bytes.Clone(b.body)
	// 1 bus "c"; 2 kinds: bus, id, flags, length, frames; order; stamps; columns
	want := []byte{1, 1, 'c', 2, 0, 1, 0, 1, 1, 0, 2, 0, 1, 2, 0, 1, 1, 0, 0, 0, 0, 0xAA, 0, 0xAA, 0xAA}
	if !bytes.Equal(good, want) {
		t.Fatalf("got the body % X, want % X", good, want)
	}
	for name, change := range map[string]func(body []byte) []byte{
		"a kind more often than it says": func(b []byte) []byte { b[15] = 0; return b },
		"a kind that is none":            func(b []byte) []byte { b[15] = 2; return b },
		"a bus that is none":             func(b []byte) []byte { b[4] = 1; return b },
		"too long a frame":               func(b []byte) []byte { b[7] = 65; return b },
		"fewer frames":                   func(b []byte) []byte { b[13] = 1; return b },
		"an unknown filter":              func(b []byte) []byte { b[20] = 2; return b },
		"more than there is":             func(b []byte) []byte { return append(b, 0) },
		"less than there is":             func(b []byte) []byte { return b[:len(b)-1] },
		"nothing":                        func([]byte) []byte { return nil },
		"a number without an end":        func(b []byte) []byte { return append(b[:3:3], bytes.Repeat([]byte{0xFF}, 40)...) },
		"a stamp beyond the end of time": func(b []byte) []byte {
			return slices.Concat(b[:17], bytes.Repeat([]byte{0xFF}, 9), []byte{1}, b[18:])
		},
	} {
		body := change(bytes.Clone(good))
		packed := b.zstd.EncodeAll(body, nil)
		head := Header{Frames: 3, Resolution: Microsecond, size: len(packed), bodySize: len(body), bodySum: crc32.Checksum(packed, castagnoli)}
		if _, damage := read(t, append(head.appendTo(nil), packed...)); len(damage) != 1 || !errors.Is(damage[0], errBody) {
			t.Errorf("%s: got %v, want the body refused", name, damage)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x10
	return b
}

func TestAFailingStreamIsNoDamage(t *testing.T) {
	packed := build(t, NewBuilder(Microsecond), []entry{{"can0", 1, frame(1, 0, 1)}})
	broken := errors.New("broken")
	for _, n := range []int{0, 3, headerSize + 2} {
		stream := io.MultiReader(bytes.NewReader(packed[:n]), errorReader{broken})
		if _, err := NewReader(bufio.NewReader(stream)).Next(); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: got %v, want %v", n, err, broken)
		}
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestAFrameAllocatesNothing(t *testing.T) {
	b := NewBuilder(Microsecond)
	fr := frame(0x123, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	fill := func() {
		for i := range 10_000 {
			fr.ID = uint32(i % 30)
			b.Add("can0", int64(i)*1e5, &fr)
		}
	}
	fill()
	packed, _ := b.Append(nil)
	if n := testing.AllocsPerRun(3, func() {
		fill()
		packed, _ = b.Append(packed[:0])
	}); n > 20 { // a block, not a frame, may cost some
		t.Errorf("got %v allocations in 10,000 frames, want none a frame", n)
	}
}
