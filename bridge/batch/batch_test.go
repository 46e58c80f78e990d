package batch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/fascia-edge/fascia/bridge/batch"
	"github.com/fascia-edge/fascia/config"
)

// forms are the configurations that a batch can have, with nothing in the way.
var forms = []batch.Config{
	{Format: batch.JSON, Compress: batch.None, Count: 100_000, Size: 16 << 20},
	{Format: batch.JSON, Compress: batch.Zstd, Count: 100_000, Size: 16 << 20},
	{Format: batch.CBOR, Compress: batch.None, Count: 100_000, Size: 16 << 20},
	{Format: batch.CBOR, Compress: batch.Zstd, Count: 100_000, Size: 16 << 20},
}

func name(c batch.Config) string { return c.Format + "+" + c.Compress }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)

// seal makes a batch of what is there, all of which must fit.
func seal(t testing.TB, c batch.Config, items []batch.Item) (payload []byte, contentType string) {
	t.Helper()
	b := batch.NewBuilder(c)
	for i, it := range items {
		if !b.Add(it.Topic, it.Time, it.Payload, it.ContentType) {
			t.Fatalf("message %d of %d does not fit", i, len(items))
		}
	}
	most := b.Size()
	payload, contentType = b.Seal()
	if len(payload) > most {
		t.Fatalf("%d bytes after Size said at most %d", len(payload), most)
	}
	return payload, contentType
}

// open unpacks a batch, and keeps what comes out.
func open(payload []byte, contentType string) (items []batch.Item, err error) {
	err = batch.Decode(payload, contentType, func(it batch.Item) error {
		it.Payload = bytes.Clone(it.Payload)
		items = append(items, it)
		return nil
	})
	return items, err
}

func same(a, b batch.Item) bool {
	return a.Topic == b.Topic && a.ContentType == b.ContentType && a.Time.Equal(b.Time) && bytes.Equal(a.Payload, b.Payload)
}

// Each payload stands for a way in which one can be odd.
var payloads = []string{
	`{"value":31.5,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":-0.001,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":0.0000012,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":1e-7,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":0.0000001,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":0.000000000000000000000000001,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":1e+22,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":100000000000000000000,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":0.30000000000000004,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":-1.4700000000000006,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":5,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":5.0,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":05,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":.5,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":5.,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":+5,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":0,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":-0,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":-0.0,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":-,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":999999999999999,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":9007199254740992,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":9007199254740993,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":18446744073709551615,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":NaN,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":0x10,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":1_000,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":1e999,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":true,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":trux,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":t`,
	`{"value":false,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":"SAE_3","ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":"","ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":"a\"b","ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":"Müller","ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":"open`,
	`{"value":null,"ts":"2026-03-01T12:00:00.250Z","quality":"invalid"}`,
	`{"value":null,"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":1,"ts":"2026-03-01T12:00:00.250Z","quality":"invalid"}`,
	`{"value":1,"ts":"2026-02-30T12:00:00.250Z"}`,
	`{"value":1,"ts":"2026-03-01T12:00:00.25Z"}`,
	`{"value":1,"ts":"2026-03-01T12:00:00,250Z"}`,
	`{"value":1,"ts":"0000-01-01T00:00:00.000Z"}`,
	`{"value":1,"ts":"9999-12-31T23:59:59.999Z"}`,
	`{"value":1,"ts":"1970-01-01T00:00:00.000Z"}`,
	`{"value":1,"ts":"2026-03-01T12:00:00.250Z"} `,
	`{ "value": 1, "ts": "2026-03-01T12:00:00.250Z" }`,
	`{"value":[1,2],"ts":"2026-03-01T12:00:00.250Z"}`,
	`{"value":1}`,
	`{"ts":"2026-03-01T12:00:00.250Z","signals":{"VS_TCU":31}}`,
	``, ` `, `null`, ` null`, `5`, `"text"`, `{}`, `[]`, "[1,\n 2]", `{"a":1,"a":2}`, `{"a":"<&>"}`,
	"plain text", "quote \" and \\ and \n and \x00 and \u2028 and 🚗", "\xff\xfe", "\x00", "{\"a\":\"\xff\"}", "A\xed\xa0\x80",
	"\x82\x05\x00", "\xf6", "\xd9\xd9\xf7\x80",
}

// payloadsCBOR are what a publisher of CBOR has beside these.
func payloadsCBOR(t testing.TB) (list [][]byte) {
	t.Helper()
	shorter, _ := cbor.EncOptions{ShortestFloat: cbor.ShortestFloat16}.EncMode()
	for _, v := range []any{31.5, 31.25, 5.0, 0.0, 0.1 + 0.2, 1e-7, 1e300, 5, 0, -1, 23, 24, -25, 1 << 52, 1 << 53, 1<<53 + 1, uint64(1<<64 - 1), int64(-1 << 63), true, false, nil, "SAE_3", "", "Müller \"", []byte{1}, []int{1}} {
		for _, ts := range []any{noon.UnixMilli(), 0, -1, 1 << 60, "now"} {
			for _, encode := range []func(any) ([]byte, error){cbor.Marshal, shorter.Marshal} {
				p, err := encode([]any{v, ts})
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, p, append(p, 0), p[:len(p)-1])
			}
		}
	}
	return append(list, []byte("\x82\x18\x05\x00"), []byte("\x82\x63\xff\xff\xff\x00"), []byte("\x82\xfb\x80\x00\x00\x00\x00\x00\x00\x00\x00"), []byte("\x82\xfb\x7f\xf8\x00\x00\x00\x00\x00\x01\x00"))
}

func TestEveryPayloadComesOutToTheByte(t *testing.T) {
	var items []batch.Item
	for i, p := range payloads {
		for _, contentType := range []string{"", "application/json", "application/cbor", "text/plain", "\"odd\""} {
			at := noon.Add(time.Duration(i%7-3) * 1300 * time.Millisecond)
			items = append(items, batch.Item{Topic: fmt.Sprint("topic/", i%5), Time: at, Payload: []byte(p), ContentType: contentType})
		}
	}
	for i, p := range payloadsCBOR(t) {
		items = append(items, batch.Item{Topic: fmt.Sprint("topic/", i%5), Time: noon, Payload: p, ContentType: "application/cbor"})
	}
	for _, c := range forms {
		t.Run(name(c), func(t *testing.T) {
			payload, contentType := seal(t, c, items)
			if c.Format == batch.JSON && c.Compress == batch.None && (!utf8.Valid(payload) || !json.Valid(payload)) {
				t.Error("the batch is no JSON in UTF-8")
			}
			for _, told := range []string{contentType, ""} {
				got, err := open(payload, told)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(items) {
					t.Fatalf("got %d messages, want %d", len(got), len(items))
				}
				for i, want := range items {
					want.Time = got[i].Time // TestAValueKeepsTheTimeThatItStates
					if !same(got[i], want) {
						t.Errorf("message %d: got %+v %q, want %+v %q", i, got[i], got[i].Payload, want, want.Payload)
					}
				}
			}
		})
	}
}

func TestAValueKeepsTheTimeThatItStates(t *testing.T) {
	stated := time.UnixMilli(1_772_366_400_250).UTC()
	accepted := stated.Add(7 * time.Second)
	for _, test := range []struct {
		payload, contentType string
		want                 time.Time
	}{
		{`{"value":31.5,"ts":"2026-03-01T12:00:00.250Z"}`, "application/json", stated},
		{`{"value":31.5,"ts":"2026-03-01T12:00:00.250Z"}`, "", stated},
		{`{"value":null,"ts":"2026-03-01T12:00:00.250Z","quality":"invalid"}`, "", stated},
		{`{"value":31.5,"ts":"2026-03-01T12:00:00Z"}`, "", accepted},
		{`{"value":31.50,"ts":"2026-03-01T12:00:00.250Z","unit":"km/h"}`, "", accepted},
		{"31.5", "", accepted},
	} {
		for _, c := range forms {
			payload, contentType := seal(t, c, []batch.Item{{Topic: "t", Time: accepted, Payload: []byte(test.payload), ContentType: test.contentType}})
			got, err := open(payload, contentType)
			if err != nil || !got[0].Time.Equal(test.want) {
				t.Errorf("%s, %s: got %v, %v, want %v", name(c), test.payload, got[0].Time, err, test.want)
			}
		}
	}
	value, _ := cbor.Marshal([]any{31.5, stated.UnixMilli()})
	payload, contentType := seal(t, forms[3], []batch.Item{{Topic: "t", Time: accepted, Payload: value, ContentType: "application/cbor"}})
	if got, err := open(payload, contentType); err != nil || !got[0].Time.Equal(stated) {
		t.Errorf("CBOR: got %v, %v, want %v", got[0].Time, err, stated)
	}
}

// Whatever is added, in whatever sizes, a batch is within its limits, and what did
// not fit goes into the next one.
func TestNoBatchIsLargerThanItsLimit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, form := range forms {
		for _, size := range []int{1 << 10, 10_000, 128 << 10} {
			c := form
			c.Size, c.Count = config.Size(size), 2000
			b := batch.NewBuilder(c)
			var want, got []batch.Item
			flush := func() {
				before, most := b.Len(), b.Size()
				payload, contentType := b.Seal()
				if len(payload) > most || most > size || before > c.Count || b.Len() != 0 {
					t.Fatalf("%s: a batch of %d in %d bytes, said to be of at most %d: want at most %d bytes", name(c), before, len(payload), most, size)
				}
				items, err := open(payload, contentType)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, items...)
			}
			for i := range 2000 {
				it := batch.Item{Topic: fmt.Sprint("topic/", random.IntN(1+i)), Time: noon.Add(time.Duration(random.Int64N(1e12)) / 1e6 * 1e6)}
				switch random.IntN(4) {
				case 0:
					it.Payload = make([]byte, random.IntN(600))
					for k := range it.Payload {
						it.Payload[k] = byte(random.Uint32())
					}
				case 1:
					it.Payload = fmt.Appendf(nil, `{"value":%v,"ts":"%s"}`, random.NormFloat64(), it.Time.Format("2006-01-02T15:04:05.000Z"))
				case 2:
					it.Payload = fmt.Appendf(nil, `{"value":%d,"ts":"%s"}`, random.Int64N(1<<50), it.Time.Format("2006-01-02T15:04:05.000Z"))
				default:
					it.Payload = fmt.Appendf(nil, `{"value":"%x","ts":"%s"}`, random.Uint64(), it.Time.Format("2006-01-02T15:04:05.000Z"))
				}
				want = append(want, it)
				if b.Add(it.Topic, it.Time, it.Payload, it.ContentType) {
					continue
				}
				flush()
				if !b.Add(it.Topic, it.Time, it.Payload, it.ContentType) {
					t.Fatalf("%s: %d bytes of payload do not fit into an empty batch of %d", name(c), len(it.Payload), size)
				}
			}
			flush()
			if len(got) != len(want) {
				t.Fatalf("%s: got %d messages, want %d", name(c), len(got), len(want))
			}
			for i := range want {
				if !same(got[i], want[i]) {
					t.Fatalf("%s: message %d: got %v %q, want %v %q", name(c), i, got[i], got[i].Payload, want[i], want[i].Payload)
				}
			}
		}
	}
}

// Messages that are nothing but their times: these take most if they are far apart.
func TestTimesFarApartAreWithinTheLimitToo(t *testing.T) {
	for _, form := range forms {
		c := form
		c.Size, c.Compress = 1<<10, batch.None
		b := batch.NewBuilder(c)
		for i := 0; b.Add("", time.UnixMilli(int64(i%2)<<47), nil, ""); i++ {
		}
		n := b.Len()
		if payload, _ := b.Seal(); len(payload) > 1<<10 || n < 10 {
			t.Errorf("%s: %d messages in %d bytes, want some in at most 1024", c.Format, n, len(payload))
		}
	}
}

func TestWhatCanNeverFitIsNotTaken(t *testing.T) {
	for _, form := range forms {
		c := form
		c.Size = 1 << 10
		b := batch.NewBuilder(c)
		for name, add := range map[string]func() bool{
			"payload": func() bool { return b.Add("t", noon, make([]byte, 1<<10), "") },
			"topic":   func() bool { return b.Add(strings.Repeat("t", 1<<10), noon, nil, "") },
			"year":    func() bool { return b.Add("t", time.Unix(1<<40, 0), nil, "") },
		} {
			if add() || b.Len() != 0 {
				t.Errorf("%s: a %s that is too large was taken", c.Format, name)
			}
		}
		if !b.Add("t", noon, nil, "") {
			t.Errorf("%s: nothing fits any more", c.Format)
		}
	}
}

func TestABatchIsEmptyAfterSealAndReset(t *testing.T) {
	for _, c := range forms {
		b := batch.NewBuilder(c)
		if payload, _ := b.Seal(); payload != nil {
			t.Errorf("%s: nothing came to %q", name(c), payload)
		}
		var batches [][]byte // that of one is not touched by the next
		for range 3 {
			b.Add("dropped", noon.Add(time.Hour), []byte("x"), "")
			b.Reset()
			b.Add("a", noon, []byte(payloads[0]), "application/json")
			b.Add("b", noon, []byte("x"), "")
			payload, _ := b.Seal()
			batches = append(batches, payload)
			b.Add("b", noon.Add(time.Hour), []byte(payloads[3]), "")
			b.Seal()
		}
		if !bytes.Equal(batches[0], batches[1]) || !bytes.Equal(batches[1], batches[2]) {
			t.Errorf("%s: a builder's batches differ: %q", name(c), batches)
		}
	}
}

// What a far side's tools see of a batch in JSON.
func TestRowsReadAsTheManualSays(t *testing.T) {
	payload, contentType := seal(t, forms[0], []batch.Item{
		{Topic: "vss/Vehicle/Speed", Time: noon, Payload: []byte(payloads[0]), ContentType: "application/json"},
		{Topic: "vss/Vehicle/Speed", Time: noon, Payload: []byte(`{"value":null,"ts":"2026-03-01T12:00:01.000Z","quality":"invalid"}`), ContentType: "application/json"},
		{Topic: "ivi/alerts/door", Time: noon, Payload: []byte(`{"open":true}`), ContentType: "application/json"},
		{Topic: "ivi/note", Time: noon, Payload: []byte("a \"door\"")},
		{Topic: "ivi/picture", Time: noon, Payload: []byte("\xff\xd8"), ContentType: "image/jpeg"},
	})
	want := `[{"topic":"vss/Vehicle/Speed","ts":"2026-03-01T12:00:00.250Z","value":31.5},
{"topic":"vss/Vehicle/Speed","ts":"2026-03-01T12:00:01.000Z","value":null,"quality":"invalid"},
{"topic":"ivi/alerts/door","ts":"2026-03-01T12:00:00.250Z","payload":{"open":true},"content_type":"application/json"},
{"topic":"ivi/note","ts":"2026-03-01T12:00:00.250Z","text":"a \"door\""},
{"topic":"ivi/picture","ts":"2026-03-01T12:00:00.250Z","base64":"/9g=","content_type":"image/jpeg"}]`
	if string(payload) != want || contentType != batch.ContentTypeJSON {
		t.Errorf("got %s\n%s\nwant\n%s", contentType, payload, want)
	}
	if !strings.Contains(manual(t), want) {
		t.Error("the manual shows another batch")
	}
}

// manual is the page that describes the forms.
func manual(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/batch.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// The manual's batch in CBOR is the one that it shows in JSON.
func TestTheManualsColumnsAreAsSealed(t *testing.T) {
	payload, _ := seal(t, forms[2], []batch.Item{
		{Topic: "vss/Vehicle/Speed", Time: noon, Payload: []byte(payloads[0]), ContentType: "application/json"},
		{Topic: "vss/Vehicle/Speed", Time: noon, Payload: []byte(`{"value":null,"ts":"2026-03-01T12:00:01.000Z","quality":"invalid"}`), ContentType: "application/json"},
		{Topic: "ivi/alerts/door", Time: noon, Payload: []byte(`{"open":true}`), ContentType: "application/json"},
		{Topic: "ivi/note", Time: noon, Payload: []byte("a \"door\"")},
	})
	got, err := cbor.Diagnose(payload)
	if err != nil || !strings.Contains(strings.Join(strings.Fields(manual(t)), " "), got) {
		t.Errorf("%s, %v: the manual shows another", got, err)
	}
}

// What a far side's tools see of a batch in CBOR, read by another reader than ours.
func TestColumnsReadAsTheManualSays(t *testing.T) {
	var items []batch.Item
	for i, value := range []string{"31.5", "32", "31.75", "true", `"SAE_3"`, "0.30000000000000004"} {
		items = append(items, batch.Item{
			Topic:       []string{"speed", "speed", "speed", "door", "level", "sum"}[i],
			Time:        noon,
			Payload:     fmt.Appendf(nil, `{"value":%s,"ts":"2026-03-01T12:00:00.%d00Z"}`, value, i+2),
			ContentType: "application/json",
		})
	}
	items = append(items, batch.Item{Topic: "note", Time: noon, Payload: []byte("x"), ContentType: "text/plain"})
	payload, contentType := seal(t, forms[2], items)
	got, err := cbor.Diagnose(payload)
	want := `55799([1, 1772366400200, [["speed", 1], ["door", 2], ["level", 3], ["sum", 1], ["note", 0, "text/plain"]], ` +
		`[0, 0, 0, 1, 2, 3, 4], [0, 100, 100, 100, 100, 100, -450], ` +
		`[[2, 3150, 25, true, [0, 2, -1]], [true], ["SAE_3"], [-1, [0.30000000000000004]], [h'78']]])`
	if err != nil || got != want || contentType != batch.ContentTypeCBOR {
		t.Errorf("got %s %v\n%s\nwant\n%s", contentType, err, got, want)
	}
}

func TestWhatDoesNotShrinkIsNotCompressed(t *testing.T) {
	for _, c := range []batch.Config{forms[1], forms[3]} {
		small := batch.Item{Topic: "t", Time: noon, Payload: []byte("x")}
		if payload, contentType := seal(t, c, []batch.Item{small}); strings.HasSuffix(contentType, "+zstd") {
			t.Errorf("%s: %d bytes are %s", name(c), len(payload), contentType)
		}
		payload, contentType := seal(t, c, []batch.Item{small, small, small, small, small, small, small, small, small, small})
		if !strings.HasSuffix(contentType, "+zstd") {
			t.Errorf("%s: %d bytes are %s", name(c), len(payload), contentType)
		}
	}
}

func TestDamageIsNamedWithItsPlace(t *testing.T) {
	row := `{"topic":"t","ts":"2026-03-01T12:00:00.250Z"`
	bomb := func(size int) string {
		e, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(e.EncodeAll(make([]byte, size), nil))
	}
	head := "\xd9\xd9\xf7\x86\x01\x00"
	for _, test := range []struct{ payload, contentType, want string }{
		{"[]", "application/json", `content type "application/json": want application/vnd.fascia.batch+json or`},
		{"", "", "byte 0: the batch is cut off"},
		{"{}", "", "byte 1: {: want a list"},
		{"[" + row + `,"value":1}`, "", "byte 56: the batch is cut off"},
		{"[" + row + `,"value":1}] x`, "", "something follows the list"},
		{"[" + row + `}]`, "", "byte 46: 0 of value, payload, text and base64: want one"},
		{"[" + row + `,"value":1,"text":"x"}]`, "", "2 of value, payload, text and base64: want one"},
		{`[{"topic":"t","ts":"noon","value":1}]`, "", `ts "noon": want a time such as 2006-01-02T15:04:05.000Z`},
		{`[{"ts":"2026-03-01T12:00:00.250Z","value":1}]`, "", "a message without topic"},
		{"[" + row + `,"base64":"%"}]`, "", "illegal base64 data at input byte 0"},
		{"[1]", "", "cannot unmarshal number"},
		{"[" + strings.Repeat(row+`,"value":1},`, 100_001), "", "more messages follow: want at most 100000"},
		{head + "\x80\x1a\x00\x01\x86\xa1", "", "byte 7: 0x1a: want an array"},
		{head + "\x80\x9a\x00\x01\x86\xa1", "", "byte 7: an array of 100001: want at most 100000"},
		{"\x28\xb5\x2f\xfd", "", "unexpected EOF"},
		{bomb(16<<20 + 1), "", "the batch is of more than 16777216 bytes"},
		{bomb(64 << 20), batch.ContentTypeCBOR + "+zstd", "the batch is of more than 16777216 bytes"},
		{"[]", batch.ContentTypeCBOR, "byte 0: want the tag d9d9f7, which begins a batch"},
		{"\xd9\xd9\xf7", "", "byte 3: the batch is cut off"},
		{"\xd9\xd9\xf7\x85", "", "byte 3: an array of 5: want 6"},
		{"\xd9\xd9\xf7\x86\x02", "", "byte 4: 2: want an integer from 1 to 1"},
		{"\xd9\xd9\xf7\x86\x01\x60", "", "byte 5: 0x60: want an integer"},
		{"\xd9\xd9\xf7\x86\x01\x1b\xff\xff\xff\xff\xff\xff\xff\xff", "", "byte 5: an integer of 64 bits: want one of 63"},
		{head + "\x9f\xff", "", "byte 6: 0x9f: want an item of definite length"},
		{head + "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "", "byte 6: an array of 18446744073709551615: want at most 100000"},
		{head + "\x81\x81", "", "byte 7: an array of 1: want topic, kind and at most a content type"},
		{head + "\x81\x82\x61", "", "byte 8: 1 bytes: want at most the 0 left"},
		{head + "\x81\x82\x61\xff\x00", "", "byte 8: want text in UTF-8"},
		{head + "\x81\x82\x61t\x06", "", "byte 10: 6: want an integer from 0 to 5"},
		{head + "\x81\x82\x61t\x05", "", "byte 7: kind 5: want it with content type application/cbor alone"},
		{head + "\x81\x82\x61t\x01\x81\x01", "", "byte 12: 1: want an integer from 0 to 0"},
		{head + "\x81\x82\x61t\x01\x81\x00\x80", "", "byte 13: an array of 0: want 1"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x00\x80", "", "byte 15: an array of 0: want 1"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x00\x81\x85\x10\x00\x01\xf4\x81\x00", "", "byte 17: 16: want an integer from -1 to 15"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x00\x81\x85\x00\x00\x00\xf4\x81\x00", "", "byte 19: 0: want an integer from 1"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x00\x81\x85\x00\x00\x01\xf4\x82\x00\x00", "", "byte 21: an array of 2: want 1"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x00\x81\x85\x00\x00\x01\xf4\x81\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", "", "byte 22: base + step"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x00\x81\x85\x00\x00\x04\xf4\x81\x1b\x40\x00\x00\x00\x00\x00\x00\x00", "", "byte 22: base + step"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x00\x81\x82\x20\x81\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", "", "byte 19: NaN: want a finite number"},
		{head + "\x81\x82\x61t\x01\x81\x00\x81\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x81\x82\x20\x81\xfb\x40\x00\x00\x00\x00\x00\x00\x00", "", "byte 14: the time lies outside the years 0 to 9999"},
		{head + "\x81\x82\x61t\x03\x81\x00\x81\x00\x81\x81\x61\x22", "", "byte 17: a text with more than plain ASCII"},
		{head + "\x80\x80\x80\x80\x00", "", "byte 10: 1 bytes follow the batch"},
	} {
		_, err := open([]byte(test.payload), test.contentType)
		if err == nil || !strings.HasPrefix(err.Error(), "batch: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: got %v, want %s", test.payload, err, test.want)
		}
	}
}

func TestACallersErrorEndsDecoding(t *testing.T) {
	for _, c := range forms {
		payload, contentType := seal(t, c, []batch.Item{{Topic: "a", Time: noon}, {Topic: "b", Time: noon}})
		calls := 0
		err := batch.Decode(payload, contentType, func(batch.Item) error { calls++; return os.ErrClosed })
		if calls != 1 || !errors.Is(err, os.ErrClosed) || errors.Unwrap(err) != nil {
			t.Errorf("%s: got %v after %d calls, want the caller's error after one", name(c), err, calls)
		}
	}
}
