package kpl_test

import (
	"crypto/md5"
	"errors"
	"reflect"
	"testing"

	"github.com/fascia-edge/fascia/streammgr/export/kinesis/kpl"
)

// FuzzDecode gives Decode any protobuf under a checksum that is right, and holds
// what comes out against what the builder makes of it.
func FuzzDecode(f *testing.F) {
	var b kpl.Builder
	b.Add(&kpl.Record{Key: "a", Hash: "5", Data: []byte("one"), Tags: []kpl.Tag{{Key: "seq", Value: "1-2"}}})
	b.Add(&kpl.Record{Key: "b", Data: []byte("two")})
	whole := b.Append(nil)
	f.Add(whole[4 : len(whole)-16])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := md5.Sum(body)
		records, err := kpl.Decode(append(append([]byte("\xF3\x89\x9A\xC2"), body...), sum[:]...))
		if err != nil {
			if !errors.Is(err, kpl.ErrDamaged) {
				t.Fatalf("got %v, want ErrDamaged", err)
			}
			return
		}
		var b kpl.Builder
		for i := range records {
			b.Add(&records[i])
		}
		again, err := kpl.Decode(b.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if len(records) > 0 && !reflect.DeepEqual(again, records) {
			t.Fatalf("got  %v\nwant %v", again, records)
		}
	})
}
