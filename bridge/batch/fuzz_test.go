package batch_test

import (
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/fascia-edge/fascia/bridge/batch"
)

// FuzzPayload adds any payloads and wants them back to the byte.
func FuzzPayload(f *testing.F) {
	for i, p := range payloads {
		f.Add("vss/Vehicle/Speed", []byte(p), []byte(payloads[(i+1)%len(payloads)]), "application/json")
	}
	for _, p := range payloadsCBOR(f) {
		f.Add("vss/Vehicle/Speed", p, []byte("\x82\x05\x00"), "application/cbor")
	}
	f.Fuzz(func(t *testing.T, topic string, one, two []byte, contentType string) {
		if !utf8.ValidString(topic) || !utf8.ValidString(contentType) || len(topic)+len(one)+len(two)+len(contentType) > 1<<20 {
			t.Skip("no topic of MQTT")
		}
		want := []batch.Item{
			{Topic: topic, Time: noon, Payload: one, ContentType: contentType},
			{Topic: topic, Time: noon, Payload: two, ContentType: contentType},
			{Topic: topic, Time: noon, Payload: two},
			{Topic: topic, Time: noon, Payload: one, ContentType: contentType},
		}
		for _, c := range forms {
			payload, told := seal(t, c, want)
			got, err := open(payload, told)
			if err != nil || len(got) != len(want) {
				t.Fatalf("%s: %d messages of %d, %v", name(c), len(got), len(want), err)
			}
			for i := range want {
				want[i].Time = got[i].Time
				if !same(got[i], want[i]) {
					t.Fatalf("%s: got %+v %q, want %+v %q", name(c), got[i], got[i].Payload, want[i], want[i].Payload)
				}
			}
		}
	})
}

// FuzzDecode reads anything. What can be read can be packed, and read again.
func FuzzDecode(f *testing.F) {
	var items []batch.Item
	for _, p := range payloads {
		items = append(items, batch.Item{Topic: "vss/Vehicle/Speed", Time: noon, Payload: []byte(p), ContentType: "application/json"})
	}
	for _, p := range payloadsCBOR(f) {
		items = append(items, batch.Item{Topic: "vss/Vehicle/Speed", Time: noon, Payload: p, ContentType: "application/cbor"})
	}
	for _, c := range forms {
		for part := range slices.Chunk(items, 16) { // small ones, for what is found is made smaller
			payload, contentType := seal(f, c, part)
			f.Add(payload, contentType)
			f.Add(payload, "")
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte, contentType string) {
		items, err := open(payload, contentType)
		if err != nil {
			return
		}
		b := batch.NewBuilder(forms[2])
		for _, it := range items {
			if !b.Add(it.Topic, it.Time, it.Payload, it.ContentType) {
				return
			}
		}
		if b.Len() == 0 {
			return
		}
		again, err := open(b.Seal())
		if err != nil || len(again) != len(items) {
			t.Fatalf("%d messages of %d, %v", len(again), len(items), err)
		}
		for i := range items {
			if again[i].Topic != items[i].Topic || string(again[i].Payload) != string(items[i].Payload) {
				t.Fatalf("got %+v, want %+v", again[i], items[i])
			}
		}
	})
}
