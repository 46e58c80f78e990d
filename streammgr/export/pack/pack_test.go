package pack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// kinds are all ways to pack.
func kinds() (all []pack.Config) {
	for _, format := range []string{pack.Lines, pack.Frames} {
		for _, compress := range []string{pack.None, pack.Gzip, pack.Zstd} {
			all = append(all, pack.Config{Format: format, Compress: compress})
		}
	}
	return all
}

// messages are n of them from a sequence on.
func messages(from, n int) (batch []log.Message) {
	for i := from; i < from+n; i++ {
		payload := fmt.Appendf(nil, `{"n":%d,"pad":"%0*d"}`, i, i%300, i)
		batch = append(batch, log.Message{Seq: uint64(i), Epoch: 3, Time: time.UnixMilli(1_700_000_000_000 + int64(i)), Payload: payload})
	}
	return batch
}

func packed(t testing.TB, c pack.Config, batches ...[]log.Message) []byte {
	t.Helper()
	p, err := pack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	for _, b := range batches {
		body = p.Append(body, b)
	}
	return body
}

func unpacked(t testing.TB, c pack.Config, body []byte) (got []log.Message, err error) {
	t.Helper()
	r, err := pack.NewReader(c, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, pack.ErrDamaged) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, m)
	}
}

func TestWhatIsPackedIsReadAgain(t *testing.T) {
	for _, c := range kinds() {
		t.Run(c.Extension(), func(t *testing.T) {
			want := messages(0, 300)
			got, err := unpacked(t, c, packed(t, c, want[:1], want[1:200], want[200:]))
			if err != nil || len(got) != len(want) {
				t.Fatalf("%d messages, %v", len(got), err)
			}
			for i, m := range got {
				w := want[i]
				if !bytes.Equal(m.Payload, w.Payload) || m.Seq != w.Seq || c.Format == pack.Frames && (m.Epoch != w.Epoch || !m.Time.Equal(w.Time)) {
					t.Fatalf("message %d is %+v, want %+v", i, m, w)
				}
			}
		})
	}
}

// Wherever the power fails, what is whole before is found, and nothing else.
func TestWholeMessagesAreFoundInATornFile(t *testing.T) {
	for _, c := range kinds() {
		t.Run(c.Extension(), func(t *testing.T) {
			all := messages(0, 40)
			var body []byte
			ends := []int64{0} // of what is whole: a message, or a batch where it is compressed
			p, err := pack.New(c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				batch := all[i*2 : i*2+2]
				if c.Compress == pack.None {
					body = p.Append(body, batch[:1])
					ends = append(ends, int64(len(body)))
					batch = batch[1:]
				}
				body = p.Append(body, batch)
				ends = append(ends, int64(len(body)))
			}
			check := func(file []byte, want int64) {
				t.Helper()
				got, err := pack.Whole(c, bytes.NewReader(file), int64(len(file)))
				if err != nil || got != want {
					t.Fatalf("of %d bytes %d are whole, %v; want %d", len(file), got, err, want)
				}
			}
			at := 0
			for cut := range len(body) + 1 {
				for at+1 < len(ends) && ends[at+1] <= int64(cut) {
					at++
				}
				check(body[:cut], ends[at])
			}
			// The length of a file may last without its end.
			last := ends[len(ends)-2]
			zeros := append(bytes.Clone(body[:last+1]), make([]byte, int64(len(body))-last-1)...)
			check(zeros, last)
			// And so may the last block without its content.
			zeros = append(bytes.Clone(body[:len(body)-8]), make([]byte, 8)...)
			check(zeros, last)
		})
	}
}

func TestARunHasNoGapAndOneEpoch(t *testing.T) {
	for want, batch := range map[int][]log.Message{
		0: {},
		1: {{Seq: 5}},
		2: {{Seq: 5}, {Seq: 6}, {Seq: 8}},
		3: {{Seq: 5, Epoch: 1}, {Seq: 6, Epoch: 1}, {Seq: 7, Epoch: 1}, {Seq: 8, Epoch: 2}},
	} {
		if got := pack.Run(batch); got != want {
			t.Errorf("%v: got %d, want %d", batch, got, want)
		}
	}
}

func TestUnknownKindsAreRefused(t *testing.T) {
	for _, c := range []pack.Config{{Format: "csv", Compress: pack.None}, {Format: pack.Lines, Compress: "lz4"}} {
		if _, err := pack.New(c); err == nil {
			t.Errorf("%v is taken", c)
		}
	}
}

func FuzzReader(f *testing.F) {
	for i, c := range kinds() {
		f.Add(uint8(i), packed(f, c, messages(0, 3)))
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		c := kinds()[int(kind)%len(kinds())]
		got, err := unpacked(t, c, body)
		whole, wholeErr := pack.Whole(c, bytes.NewReader(body), int64(len(body)))
		if wholeErr != nil || whole < 0 || whole > int64(len(body)) {
			t.Fatalf("%d of %d bytes are whole, %v", whole, len(body), wholeErr)
		}
		if c.Compress == pack.None {
			again, err := unpacked(t, c, body[:whole])
			if err != nil || len(again) != len(got) {
				t.Fatalf("%d messages in what is whole, %v; %d in all", len(again), err, len(got))
			}
		}
		if c.Format == pack.Frames && err == nil {
			if again, err := unpacked(t, c, packed(t, c, got)); err != nil || len(again) != len(got) {
				t.Fatalf("%d messages packed again are %d, %v", len(got), len(again), err)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	random := rand.NewChaCha8([32]byte{})
	var batch []log.Message
	for i := range 64 {
		payload := make([]byte, 16<<10)
		_, _ = random.Read(payload[:len(payload)/2])
		batch = append(batch, log.Message{Seq: uint64(i), Payload: payload})
	}
	for _, c := range kinds() {
		b.Run(c.Extension(), func(b *testing.B) {
			p, err := pack.New(c)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(64 * 16 << 10)
			b.ReportAllocs()
			var body []byte
			for b.Loop() {
				body = p.Append(body[:0], batch)
			}
		})
	}
}
