package log

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// encodeBlock makes a block of messages, each a millisecond after the one before.
func encodeBlock(head block, payloads ...string) []byte {
	head.count = len(payloads)
	b := appendHead(nil, head)
	at := head.base
	for i, p := range payloads {
		b = appendMessage(b, []byte(p), at+int64(i), at+int64(max(i-1, 0)))
	}
	return b
}

func TestBlockGivesBackWhatWasPutIn(t *testing.T) {
	mark := clock.Mark{Boot: 7, At: 8, Wall: 9}
	b, err := decodeBlock(encodeBlock(block{epoch: 3, first: 1 << 40, base: -5, mark: mark}, "", "one", "two"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, b.mark, mark)
	var got []Message
	keep := func(m Message) bool {
		got = append(got, m)
		return true
	}
	if err := b.each(0, keep); err != nil {
		t.Fatal(err)
	}
	equal(t, got, []Message{
		{1 << 40, 3, time.UnixMilli(-5), nil},
		{1<<40 + 1, 3, time.UnixMilli(-4), []byte("one")},
		{1<<40 + 2, 3, time.UnixMilli(-3), []byte("two")},
	})
	got = nil
	if err := b.each(1<<40+2, keep); err != nil || len(got) != 1 {
		t.Errorf("from the last one: got %v, %v, want one message", got, err)
	}
}

func TestBlockThatIsNoneIsRefused(t *testing.T) {
	good := encodeBlock(block{}, "one", "two")
	count := slices.Clone(good)
	count[3] = 100
	for name, b := range map[string][]byte{
		"empty":         nil,
		"other version": append([]byte{9}, good[1:]...),
		"cut head":      good[:8],
		"many messages": count,
	} {
		if _, err := decodeBlock(b); err == nil {
			t.Errorf("%s: was decoded", name)
		}
	}
	for name, b := range map[string][]byte{
		"cut message": good[:len(good)-1],
		"too long":    append(slices.Clone(good), 0),
	} {
		d, err := decodeBlock(b)
		if err == nil {
			err = d.each(0, func(Message) bool { return true })
		}
		if err == nil {
			t.Errorf("%s: was decoded", name)
		}
	}
}

func FuzzDecodeBlock(f *testing.F) {
	f.Add(encodeBlock(block{epoch: 1, first: 2, base: 3}, "", "payload"))
	f.Add([]byte{blockVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeBlock(b)
		if err != nil {
			return
		}
		n, size := 0, 0
		err = d.each(0, func(m Message) bool {
			n++
			size += len(m.Payload)
			return true
		})
		if size > len(b) || err == nil && n != d.count {
			t.Errorf("%d messages of %d bytes out of %d, %v", n, size, len(b), err)
		}
	})
}

func FuzzReadState(f *testing.F) {
	s := state{Streams: map[string]*streamState{"a": {Checkpoints: map[string]uint64{"b": 1}}, "c": nil}}
	f.Add(s.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeState(b); err == nil && !bytes.Equal(s.encode(), s.encode()) {
			t.Error("is not the same twice")
		}
	})
}
