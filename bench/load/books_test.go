package load

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
	"time"
)

func TestPacketsComeWholeHoweverTheyAreCut(t *testing.T) {
	var wire []byte
	var want []int
	for _, n := range []int{0, 1, 127, 128, 5000, 16384, 300_000, 2} {
		wire = append(appendLength(append(wire, publishByte), n), bytes.Repeat([]byte{byte(n)}, n)...)
		want = append(want, n)
	}
	for name, s := range map[string]*stream{
		"at once":     {from: bytes.NewReader(wire)},
		"byte a time": {from: iotest.OneByteReader(bytes.NewReader(wire))},
		"halves":      {from: iotest.HalfReader(bytes.NewReader(wire))},
		"end at once": {from: iotest.DataErrReader(bytes.NewReader(wire))},
	} {
		var got []int
		for s.fill() == nil {
			for s.next() {
				if len(s.body) > 0 && (s.body[0] != byte(len(s.body)) || s.body[len(s.body)-1] != s.body[0]) {
					t.Fatalf("%s: the packet of %d bytes is mixed up", name, len(s.body))
				}
				got = append(got, len(s.body))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: packets of %v bytes, want %v", name, got, want)
		}
	}
}

func TestLengthOfFiveBytesEndsTheStream(t *testing.T) {
	s := &stream{from: bytes.NewReader([]byte{publishByte, 0xFF, 0xFF, 0xFF, 0xFF, 1})}
	if err := s.fill(); err != nil {
		t.Fatal(err)
	}
	if s.next() || s.err == nil {
		t.Error("it waits for the rest of the packet")
	}
}

func TestLedgerKnowsWhatIsMissing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l ledger
	came := map[uint64]bool{}
	var highest uint64
	for range 20_000 {
		n := random.Uint64N(3000)
		want := inOrder
		switch {
		case came[n]:
			want = again
		case n < highest:
			want = late
		}
		if got := l.receive(n); got != want {
			t.Fatalf("%d: %v, want %v", n, got, want)
		}
		came[n] = true
		highest = max(highest, n)
		if l.has(n+1) != came[n+1] {
			t.Fatalf("has(%d) = %v", n+1, !came[n+1])
		}
	}
	if got, want := l.lost(5000), uint64(5000-len(came)); got != want {
		t.Errorf("lost %d, want %d", got, want)
	}
	for n := range l.missing.all {
		if came[n] {
			t.Errorf("%d came and is missing", n)
		}
	}
}

func TestAckEndsOnlyWhatItIsFor(t *testing.T) {
	w := newWindow(3, 0)
	ids := make([]uint16, 5)
	if n := w.take(ids, 100, pubrecByte, 1); n != 3 || !slices.Equal(ids[:3], []uint16{1, 2, 3}) {
		t.Fatalf("%d ids, %v", n, ids)
	}
	settle := func(first byte, reason ...byte) (bool, error) {
		return w.settle(first, append([]byte{0, 2}, reason...), 5)
	}
	if _, err := settle(pubcompByte); err == nil {
		t.Error("PUBCOMP before PUBREC is taken")
	}
	if release, err := settle(pubrecByte); !release || err != nil {
		t.Errorf("PUBREC: %v, %v", release, err)
	}
	if _, err := settle(pubcompByte); err != nil || w.acked != 1 {
		t.Errorf("PUBCOMP: %v, %d acknowledged", err, w.acked)
	}
	if _, err := settle(pubcompByte); err == nil {
		t.Error("a second PUBCOMP is taken")
	}
	if n := w.take(ids, 103, pubackByte, 1); n != 1 || ids[0] != 2 {
		t.Errorf("%d ids, %v", n, ids)
	}
	if release, err := settle(pubackByte, 0x97); release || err != nil || w.refused.count != 1 {
		t.Errorf("refusal: %v, %v, %d refused", release, err, w.refused.count)
	}
	open := slices.Sorted(w.unpromised)
	if !slices.Equal(open, []uint64{100, 102, 103}) {
		t.Errorf("not promised: %v, want 100 and 102 without an answer, 103 refused", open)
	}
	if w.idle() {
		t.Error("it is idle with two messages under way")
	}
}

func TestQuantilesAreRightToOnePercent(t *testing.T) {
	var h Histogram
	for ns := int64(1); ns <= 1_000_000; ns++ {
		h.add(ns * 1000)
	}
	for q, want := range map[float64]float64{.5: 5e8, .9: 9e8, .99: 9.9e8, .999: 9.99e8, 1: 1e9} {
		if got := float64(h.quantile(q)); got < want*.99 || got > want*1.01 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	for ns := int64(0); ns < 1<<41; ns = ns*21/20 + 1 {
		if got := middleOf(class(ns)); float64(got) < float64(ns)*.99 || float64(got) > float64(ns)*1.01 {
			t.Errorf("%d ns is counted as %d", ns, got)
		}
	}
	h.add(1 << 62) // longer than any class
	if h.longest != 1<<62 {
		t.Error("the longest is not kept")
	}
}

func TestPaceOwesWhatItIsBehind(t *testing.T) {
	p := newPace(1000, 0)
	var sent uint64
	for now := int64(0); now < int64(time.Second); now += int64(700 * time.Microsecond) {
		n := p.due(now, 10)
		p.gone += uint64(n)
		sent += uint64(n)
	}
	if sent < 999 || sent > 1000 {
		t.Errorf("%d messages in a second at 1000", sent)
	}
	if n := p.due(int64(2*time.Second), 64); n != 64 {
		t.Errorf("%d due after a second of silence, want as many as may go", n)
	}
	if at := p.at(0); at != int64(sent)*int64(time.Millisecond) {
		t.Errorf("the next was due at %d ns after %d", at, sent)
	}
	if n := (&pace{}).due(0, 7); n != 7 {
		t.Errorf("%d due without a pace", n)
	}
}

// wire is a batch of messages as the broker hands it on, and who gets it.
func wire(t testing.TB, version, qos byte, messages int) (*publisher, *subscriber, []byte) {
	t.Helper()
	p := &publisher{client: &client{version: version}, topic: "bench/0/v", qos: qos, word: 7 << runShift}
	p.prepare(64, false)
	s := &subscriber{client: &client{version: version}, publishers: []*publisher{p}, run: 7, books: newBooks(1), credits: true}
	return p, s, p.batch[:messages*p.stride]
}

func TestNothingIsAllocatedAMessage(t *testing.T) {
	for qos := range byte(3) {
		p, s, batch := wire(t, 4, qos, 100)
		for i := range p.ids {
			p.ids[i] = uint16(i + 1)
		}
		source := bytes.NewReader(nil)
		s.in.from = source
		round := func() {
			p.stamp(100, false)
			p.sent.Add(100)
			source.Reset(batch)
			s.answers = s.answers[:0]
			for s.in.fill() == nil {
				if err := s.receive(); err != nil {
					t.Fatal(err)
				}
			}
			for i := range p.ids {
				s.unreleased.remove(p.ids[i])
			}
		}
		round() // buffers grow
		round()
		if n := testing.AllocsPerRun(10, round); n > 0 {
			t.Errorf("QoS %d: %v allocations for 100 messages", qos, n)
		}
		if s.delivered.Load() != p.sent.Load() || s.late+s.again+s.foreign > 0 {
			t.Errorf("QoS %d: %d of %d arrived", qos, s.delivered.Load(), p.sent.Load())
		}
	}
}

func BenchmarkPublisherStampsAMessage(b *testing.B) {
	p, _, _ := wire(b, 4, 1, 0)
	b.ReportAllocs()
	for b.Loop() {
		p.stamp(100, false)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/message")
}

func BenchmarkSubscriberTakesAMessage(b *testing.B) {
	p, s, batch := wire(b, 4, 1, 100)
	source := bytes.NewReader(nil)
	s.in.from = source
	b.ReportAllocs()
	for b.Loop() {
		p.stamp(100, false)
		p.sent.Add(100)
		source.Reset(batch)
		s.answers = s.answers[:0]
		for s.in.fill() == nil {
			if err := s.receive(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/message")
}

func FuzzSubscriberTakesAnyBytes(f *testing.F) {
	for version := byte(4); version <= 5; version++ {
		for qos := range byte(3) {
			_, _, batch := wire(f, version, qos, 2)
			f.Add(version, batch)
		}
	}
	f.Add(byte(5), []byte{publishByte, 7, 0, 1, 'a', 0x80, 0x80, 0x80, 1})
	f.Add(byte(4), []byte{pubrelByte, 2, 0, 1, publishByte, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, version byte, data []byte) {
		p, s, _ := wire(t, version, 2, 0)
		p.sent.Store(binary.BigEndian.Uint64([]byte("12345678")))
		s.in.from = iotest.HalfReader(bytes.NewReader(data))
		for s.in.fill() == nil {
			if s.receive() != nil {
				return
			}
		}
	})
}

func FuzzPublisherTakesAnyAnswers(f *testing.F) {
	f.Add([]byte{pubackByte, 2, 0, 1, pubackByte, 3, 0, 2, 0x97})
	f.Add([]byte{pubrecByte, 2, 0, 3, pubcompByte, 2, 0, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, _, _ := wire(t, 5, 2, 0)
		p.window = newWindow(8, 0)
		ids := make([]uint16, 2)
		p.window.take(ids, 0, pubackByte, 0)
		p.window.take(ids, 2, pubrecByte, 0)
		p.in.from = iotest.OneByteReader(bytes.NewReader(data))
		for p.in.fill() == nil {
			if p.settle() != nil {
				return
			}
		}
		if under := 8 - p.window.n; under < 0 || under > 4 {
			t.Errorf("%d messages under way of 4", under)
		}
	})
}
