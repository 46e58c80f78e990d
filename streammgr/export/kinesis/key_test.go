package kinesis

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/log"
)

func keyOf(t *keyTemplate, m *log.Message) string { return fit(string(t.append(nil, m)), maxKey) }

func TestKeysAreFilledIn(t *testing.T) {
	env := Env{Stream: "drive", Vehicle: awscreds.Vehicle{VIN: "V1", Thing: "car"}}
	payload := `{"a":{"b":["x",2.50,true,null,{"c/d":"é~"}],"long":"` + strings.Repeat("é", 300) + `","empty":""}}`
	for _, test := range []struct{ template, want string }{
		{"${vin}", "V1"},
		{"${thing}/${stream}-${vin}", "car/drive-V1"},
		{"${n:8}", "5"},
		{"k${n:1}", "k0"},
		{"${field:/a/b/0}", "x"},
		{"${field:/a/b/1}", "2.50"},
		{"${field:/a/b/2}", "true"},
		{"<${field:/a/b/3}>", "<>"},
		{"${field:/a/b/4/c~1d}", "é~"},
		{"${field:/a/b/9}", "-"},
		{"${field:/a}", "-"},
		{"${field:/a/empty}", "-"},
		{"${field:/a/long}", strings.Repeat("é", 256)},
		{"", "-"},
	} {
		keys, err := parseKey(test.template, env)
		if err != nil {
			t.Errorf("%s: %v", test.template, err)
			continue
		}
		if got := keyOf(keys, &log.Message{Seq: 13, Payload: []byte(payload)}); got != test.want {
			t.Errorf("%s: got %q, want %q", test.template, got, test.want)
		}
	}
}

func TestKeysThatCannotBeAreRefused(t *testing.T) {
	for _, test := range []struct{ template, want string }{
		{"${vin", "want a }"},
		{"${n:0}", "from 1 to"},
		{"${n:x}", "from 1 to"},
		{"${field:a}", "JSON Pointer"},
		{"${zone}", "want ${vin}"},
	} {
		if _, err := parseKey(test.template, Env{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.template, err, test.want)
		}
	}
}

// TestHashIsTheOneThatKinesisTakes holds it against the number that the API
// reference's algorithm gives for a key: MD5, read as a big-endian integer.
func TestHashIsTheOneThatKinesisTakes(t *testing.T) {
	// 0cc175b9c0f1b6a831c399e269772661, as a decimal number
	if got, want := hashOf("a"), "16955237001963240173058271559858726497"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNumbersComeBack(t *testing.T) {
	m := &log.Message{Epoch: 1<<32 - 1, Seq: 1<<64 - 1}
	key := numbered(strings.Repeat("k", 400), m)
	if len(key) != maxKey {
		t.Errorf("a key of %d characters, want %d", len(key), maxKey)
	}
	for _, text := range []string{key, number(m)} {
		if epoch, seq, ok := ParseNumber(text); !ok || epoch != m.Epoch || seq != m.Seq {
			t.Errorf("%s: got %d, %d, %v", text, epoch, seq, ok)
		}
	}
	for _, text := range []string{"", "5", "-", "a-5", "5-", "4294967296-1", "k#", "1-2#k"} {
		if _, _, ok := ParseNumber(text); ok {
			t.Errorf("%q is taken for a number", text)
		}
	}
}

// FuzzKey makes keys of any message, which Kinesis must take.
func FuzzKey(f *testing.F) {
	f.Add("/a/0", []byte(`{"a":["x"]}`))
	f.Add("/~1", []byte(`{"/":"\ud800"}`))
	f.Fuzz(func(t *testing.T, pointer string, payload []byte) {
		keys, err := parseKey("${field:"+pointer+"}", Env{})
		if err != nil {
			return
		}
		key := keyOf(keys, &log.Message{Payload: payload})
		if n := utf8.RuneCountInString(key); n < 1 || n > maxKey || !utf8.ValidString(key) {
			t.Fatalf("key %q of %d characters", key, n)
		}
	})
}

// FuzzUnpack gives a reader any record.
func FuzzUnpack(f *testing.F) {
	r := &recorder{format: FormatKPL, limit: 1 << 20}
	for _, kind := range []string{CompressNone, CompressGzip, CompressZstd} {
		packer, err := newCompressor(kind)
		if err != nil {
			f.Fatal(err)
		}
		r.packer = packer
		batch := []log.Message{{Seq: 5, Epoch: 1, Payload: []byte("x")}, {Seq: 7, Epoch: 1, Payload: []byte("y")}}
		f.Add(r.make(&lane{key: "k", messages: []int{0, 1}}, batch).entry.Data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = Unpack(data)
	})
}
