package kpl_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/streammgr/export/kinesis/kpl"
)

// theirs is an aggregated record that another implementation documents: key
// "partition_key", data "data" (README of the ex_kpl package).
const theirs = "f3899ac20a0d706172746974696f6e5f6b65791a0808001a0464617461d036" +
	"99da5a222fa32108ad1bd955a14e"

func TestARecordIsByteForByteWhatOthersWrite(t *testing.T) {
	want, err := hex.DecodeString(theirs)
	if err != nil {
		t.Fatal(err)
	}
	var b kpl.Builder
	b.Add(&kpl.Record{Key: "partition_key", Data: []byte("data")})
	if got := b.Append(nil); !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	want := []kpl.Record{
		{Key: "a", Data: []byte("one"), Tags: []kpl.Tag{{Key: "seq", Value: "1-2"}}},
		{Key: "b", Hash: "340282366920938463463374607431768211455", Data: []byte{}},
		{Key: "a", Data: bytes.Repeat([]byte{7}, 300), Tags: []kpl.Tag{{Key: "x"}, {Key: strings.Repeat("y", 200), Value: "z"}}},
	}
	var b kpl.Builder
	for range 2 { // the second time with buffers of the first
		size := b.Size()
		for i := range want {
			most := size + b.Cost(&want[i])
			b.Add(&want[i])
			if size = b.Size(); size > most {
				t.Fatalf("record %d: %d bytes, Cost said at most %d", i, size, most)
			}
		}
		if b.Len() != len(want) {
			t.Fatalf("got %d records, want %d", b.Len(), len(want))
		}
		data := b.Append([]byte("before"))[len("before"):]
		if len(data) != size {
			t.Fatalf("got %d bytes, Size said %d", len(data), size)
		}
		got, err := kpl.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	}
}

func TestDamageIsTold(t *testing.T) {
	var b kpl.Builder
	b.Add(&kpl.Record{Key: "k", Data: []byte("data")})
	whole := b.Append(nil)
	if _, err := kpl.Decode([]byte("a record that isn't aggregated")); !errors.Is(err, kpl.ErrNotAggregated) {
		t.Errorf("got %v, want ErrNotAggregated", err)
	}
	for i := 4; i < len(whole); i++ {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		if _, err := kpl.Decode(damaged); !errors.Is(err, kpl.ErrDamaged) {
			t.Errorf("byte %d changed: got %v, want ErrDamaged", i, err)
		}
	}
}

func BenchmarkAggregate(b *testing.B) {
	var builder kpl.Builder
	r := kpl.Record{Key: "KMHGN4JE0FU000001", Data: bytes.Repeat([]byte("x"), 4096)}
	var data []byte
	b.SetBytes(64 * 4096)
	b.ReportAllocs()
	for b.Loop() {
		for range 64 {
			builder.Add(&r)
		}
		data = builder.Append(data[:0])
	}
}
