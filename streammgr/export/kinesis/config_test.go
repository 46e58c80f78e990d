package kinesis

import (
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
)

func TestConfigurationsAreChecked(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"stream: vehicle", ""},
		{"stream: arn:aws:kinesis:eu-central-1:123456789012:stream/vehicle", ""},
		{"stream: s\npartition_key: \"${vin}-${field:/bus/0}-${n:8}\"\ncompress: zstd\nrecord_size: 10MiB", ""},
		{"stream: s\nendpoint: http://127.0.0.1:4567\nencoding: json", ""},
		{"region: eu-central-1", "stream: missing"},
		{"stream: a/b", "gw.yaml:1:9: stream: \"a/b\": want up to 128 letters"},
		{"stream: arn:aws:s3:::bucket", "want a name, or an ARN such as"},
		{"stream: arn:aws:kinesis:eu-central-1:123456789012:stream/vehicle\nregion: us-east-1", "the ARN is of eu-central-1"},
		{"stream: s\nendpoint: kinesis.example", "want https://HOST"},
		{"stream: s\npartition_key: ${zone}", "partition_key: ${zone}: want ${env:NAME} or ${vin} or ${thing} or ${stream} or ${field:…} or ${n:…}"},
		{"stream: s\npartition_key: ${n:0}", "want a number of keys from 1 to"},
		{"stream: s\npartition_key: ${field:vin}", "want a JSON Pointer such as"},
		{"stream: s\nrecord_size: 11MiB", "from 512KiB to 10MiB"},
		{"stream: s\ncredentials: {access_key: a}", "credentials: want access_key and secret_key together"},
	} {
		var c Config
		_, err := config.Decode("gw.yaml", []byte(test.text), &c)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q: got %v, want %q", test.text, err, test.want)
		}
	}
}

func TestRawRecordsWithoutANumberAreWarnedOf(t *testing.T) {
	for text, want := range map[string]int{
		"stream: s\nformat: raw":                           1,
		"stream: s\nformat: raw\nnumbered_keys: true":      0,
		"stream: s\nformat: raw\npartition_key: random":    0,
		"stream: s\nformat: kpl\npartition_key: ${stream}": 0,
	} {
		var c Config
		d, err := config.Decode("gw.yaml", []byte(text), &c)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Warnings(); len(got) != want {
			t.Errorf("%q: got %v, want %d warnings", text, got, want)
		}
	}
}

func TestARegionMustBeKnown(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	c := testConfig("")
	c.Region, c.Endpoint = "", ""
	if _, err := New(t.Context(), c, Env{}); err == nil || !strings.Contains(err.Error(), "no region") {
		t.Errorf("got %v", err)
	}
	c.Stream = "arn:aws:kinesis:eu-north-1:123456789012:stream/vehicle"
	target, err := New(t.Context(), c, Env{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "in eu-north-1"; !strings.HasSuffix(target.name, want) {
		t.Errorf("got %s, want %s", target.name, want)
	}
}
