package streammgr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"
)

// frame puts a length before a message.
func frame(m []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...) }

// readAll gives copies of all messages of a reader, and how it ended.
func readAll(from io.Reader, longest int) (list [][]byte, err error) {
	f := newFrames(from, longest)
	for {
		got, err := f.next()
		for _, m := range got {
			list = append(list, bytes.Clone(m))
		}
		if err != nil {
			return list, err
		}
	}
}

func TestMessagesComeWholeHoweverTheyAreCut(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var want [][]byte
	var stream []byte
	for _, size := range []int{0, 1, 4, 100, framesBuffer - 4, framesBuffer, 3 * framesBuffer, 0, 7, framesBuffer + 1, 5} {
		m := make([]byte, size)
		for i := range m {
			m[i] = byte(random.Uint32())
		}
		want, stream = append(want, m), append(stream, frame(m)...)
	}
	for name, in := range map[string]io.Reader{
		"at once":    bytes.NewReader(stream),
		"byte wise":  iotest.OneByteReader(bytes.NewReader(stream)),
		"half":       iotest.HalfReader(bytes.NewReader(stream)),
		"end inside": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		got, err := readAll(in, 4*framesBuffer)
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: %d messages, %v; want %d", name, len(got), err, len(want))
		}
	}
}

func TestAMessageThatIsTooLongOrCutOffIsToldBehindThoseBeforeIt(t *testing.T) {
	good := slices.Concat(frame([]byte("one")), frame([]byte("two")))
	for name, c := range map[string]struct {
		tail []byte
		want error
	}{
		"too long":       {binary.BigEndian.AppendUint32(nil, 11), errTooLong},
		"far too long":   {[]byte{0xFF, 0xFF, 0xFF, 0xFF}, errTooLong},
		"cut length":     {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"cut message":    {frame([]byte("three"))[:6], io.ErrUnexpectedEOF},
		"nothing behind": {nil, io.EOF},
	} {
		got, err := readAll(bytes.NewReader(slices.Concat(good, c.tail)), 10)
		if len(got) != 2 || !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v; want two messages and %v", name, got, err, c.want)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(slices.Concat(frame([]byte("one")), frame(nil), []byte{0, 0, 1}), 3)
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 1}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		const longest = 1 << 10
		whole, wholeErr := readAll(bytes.NewReader(stream), longest)
		var again []byte
		for _, m := range whole {
			if len(m) > longest {
				t.Fatalf("message of %d bytes", len(m))
			}
			again = append(again, frame(m)...)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatal("what was read is not what was written")
		}
		cut = max(0, min(cut, len(stream)))
		parts, partsErr := readAll(io.MultiReader(bytes.NewReader(stream[:cut]), bytes.NewReader(stream[cut:])), longest)
		if !slices.EqualFunc(whole, parts, bytes.Equal) || errors.Is(wholeErr, errTooLong) != errors.Is(partsErr, errTooLong) {
			t.Fatalf("at once %d messages, %v; in two parts %d, %v", len(whole), wholeErr, len(parts), partsErr)
		}
	})
}
