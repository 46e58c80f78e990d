package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge/batch"
)

// sealed is a batch of all sorts of messages.
func sealed(t *testing.T, format, compress string) (payload []byte, contentType string) {
	t.Helper()
	b := batch.NewBuilder(batch.Config{Format: format, Compress: compress, Count: 1000, Size: 1 << 20})
	at := time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)
	add := func(topic, payload, contentType string) {
		if !b.Add(topic, at, []byte(payload), contentType) {
			t.Fatalf("%s does not fit", payload)
		}
	}
	for i, value := range []string{"31.5", "31.75", "-0.001", "5", "1e-7", "0.30000000000000004", "true", `"SAE_3"`, "1234567890123"} {
		for k := range 3 {
			add("vss/Vehicle/V"+fmt.Sprint(i), fmt.Sprintf(`{"value":%s,"ts":"2026-03-01T12:0%d:00.%03dZ"}`, value, k, 100-i), "application/json")
		}
	}
	for k := range 50 {
		add("vss/Vehicle/Speed", fmt.Sprintf(`{"value":%g,"ts":"2026-03-01T12:00:%02d.000Z"}`, 20+float64(k*k%17)/4, k), "application/json")
	}
	add("vss/Vehicle/Speed", `{"value":null,"ts":"2026-03-01T12:00:01.000Z","quality":"invalid"}`, "application/json")
	add("ivi/alerts/door", `{"open":true}`, "application/json")
	add("ivi/note", `a "door"`, "")
	add("ivi/picture", "\xff\xd8", "image/jpeg")
	return b.Seal()
}

// lines are the JSON objects of a text, one a line.
func lines(t *testing.T, text string) (objects []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		objects = append(objects, object)
	}
	return objects
}

func TestBatchDecodePrintsTheMessages(t *testing.T) {
	plain, _ := sealed(t, batch.JSON, batch.None)
	var want []map[string]any
	if err := json.Unmarshal(plain, &want); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{batch.JSON, batch.CBOR} {
		for _, compress := range []string{batch.None, batch.Zstd} {
			payload, contentType := sealed(t, format, compress)
			file := filepath.Join(t.TempDir(), "payload.bin")
			if err := os.WriteFile(file, payload, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, r := range []result{
				run(t, "batch", "decode", file),
				run(t, "batch", "decode", "--type", contentType, file),
				runIn(t, string(payload), "batch", "decode"),
				runIn(t, string(payload), "batch", "decode", "-"),
			} {
				if got := lines(t, r.stdout); r.code != 0 || !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %s: exit code %d, %s\ngot %v\nwant %v", format, compress, r.code, r.stderr, got, want)
				}
			}
			if r := run(t, "batch", "decode", file, file); len(lines(t, r.stdout)) != 2*len(want) {
				t.Errorf("%s, %s: two files give %d messages, want %d", format, compress, len(lines(t, r.stdout)), 2*len(want))
			}
		}
	}
}

func TestBatchDecodeSaysWhatIsWrong(t *testing.T) {
	payload, contentType := sealed(t, batch.JSON, batch.None)
	for _, test := range []struct {
		args   []string
		stdin  string
		stdout bool
		want   string
	}{
		{[]string{"/nowhere/payload.bin"}, "", false, "/nowhere/payload.bin: no such file"},
		{nil, string(payload[:len(payload)-10]), true, "standard input: batch: byte"},
		{[]string{"--type", "text/plain"}, string(payload), false, `content type "text/plain": want application/vnd.fascia.batch+json`},
		{[]string{"--type", contentType + "+zstd"}, string(payload), false, "batch: "},
		{nil, strings.Repeat(" ", batch.MaxSize+1), false, "more than 16777216 bytes"},
	} {
		r := runIn(t, test.stdin, append([]string{"batch", "decode"}, test.args...)...)
		if r.code != 1 || !strings.Contains(r.stderr, test.want) || (r.stdout != "") != test.stdout {
			t.Errorf("%v: exit code %d, %d bytes out, %s; want 1 and %s", test.args, r.code, len(r.stdout), r.stderr, test.want)
		}
	}
}

// The reader that the manual shows is one.
func TestTheManualsReaderReadsBatches(t *testing.T) {
	python := tool(t, "python3")
	page, err := os.ReadFile("../../docs/batch.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(page), "```python\n")
	program, _, ok := strings.Cut(program, "```\n")
	if !ok {
		t.Fatal("the page has no program in Python")
	}
	file := filepath.Join(t.TempDir(), "messages.py")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{batch.JSON, batch.CBOR} {
		payload, _ := sealed(t, format, batch.None)
		cmd := exec.Command(python, file)
		var stderr bytes.Buffer
		cmd.Stdin, cmd.Stderr = bytes.NewReader(payload), &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", format, err, stderr.String())
		}
		r := runIn(t, string(payload), "batch", "decode")
		if got, want := lines(t, string(out)), lines(t, r.stdout); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v\nwant %v", format, got, want)
		}
	}
}
