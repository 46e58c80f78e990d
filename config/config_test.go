package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/config"
)

func decode(t *testing.T, text string) (gateway, *config.Document, error) {
	t.Helper()
	var g gateway
	doc, err := config.Decode("gw.yaml", []byte(text), &g)
	return g, doc, err
}

func TestDecodeFillsEveryKindOfField(t *testing.T) {
	t.Setenv("FASCIA_TEST_TOKEN", "s3cr$t ${vin}")
	t.Setenv("FASCIA_TEST_PORT", "8883")
	got, _, err := decode(t, `
name: "gateway one"   # a comment
sync: always
interval: 1m30s
packet: 1MiB
listeners:
  - {address: "127.0.0.1:1", auth: [mtls, token], comment: inlined}
  - address: lo
    port: ${env:FASCIA_TEST_PORT}
    tls:
      cert: c.pem
      key: k.pem
roles:
  link:cloud: {publish: ["cmd/#", "cloud/#"]}
values: {5: D, -1: R, 0x10: P}
labels: {topic: "a/${vin}"}
topic: dt/${vin}/${1}
password: ${env:FASCIA_TEST_TOKEN}
bare: 5
factor: -1e-1
small: -128
large: 18446744073709551615
on: false
ratios: {a: 0.5}
nested: {depth: 4}
uid: 0
`)
	if err != nil {
		t.Fatal(err)
	}
	want := gateway{
		Name: "gateway one", Sync: "always", Interval: config.Duration(90 * time.Second), Packet: 1 << 20,
		Listeners: []listener{
			{Address: "127.0.0.1:1", Port: 1883, Auth: []string{"mtls", "token"}, Common: Common{"inlined"}},
			{Address: "lo", Port: 8883, Auth: []string{"anonymous"}, TLS: &tlsKeys{"c.pem", "k.pem"}},
		},
		Roles:  map[string]role{"link:cloud": {Publish: []string{"cmd/#", "cloud/#"}}},
		Values: map[int64]string{5: "D", -1: "R", 16: "P"},
		Labels: map[string]string{"topic": "a/${vin}"},
		Topic:  "dt/${vin}/${1}", Password: "s3cr$t ${vin}", Bare: int64(5), Factor: -0.1, Small: -128,
		Large: 1<<64 - 1, Ratios: map[string]float32{"a": 0.5}, Nested: nested{4}, UID: new(int),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAbsentKeysHaveTheirDefaults(t *testing.T) {
	got, _, err := decode(t, "name: n")
	if err != nil {
		t.Fatal(err)
	}
	want := gateway{
		Name: "n", Sync: "interval", Interval: config.Duration(100 * time.Millisecond), Packet: 256 << 10,
		Factor: 1, On: true, Nested: nested{3},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestBareValueKeepsTheTypeOfTheFile(t *testing.T) {
	for text, want := range map[string]any{
		"5": int64(5), "0x10": int64(16), "18446744073709551615": uint64(1<<64 - 1), "1.5": 1.5, "1e3": 1000.0,
		"true": true, "D": "D", `"5"`: "5", "12:30": "12:30", "1_000": "1_000", "no": "no",
	} {
		got, _, err := decode(t, "name: n\nbare: "+text)
		if err != nil || got.Bare != want {
			t.Errorf("%s: got %#v, %v, want %#v", text, got.Bare, err, want)
		}
	}
}

// TestMistakesAreNamedWithTheirPlace holds the exact message of each mistake.
func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	t.Setenv("FASCIA_TEST_TOKEN", "hunter2")
	for _, test := range []struct{ name, file, want string }{
		{"empty file", "", `gw.yaml:1:1: name: missing: want a string`},
		{"only a comment", "# nothing\n", `gw.yaml:1:1: name: missing: want a string`},
		{"not a mapping", "- name", `gw.yaml:1:1: want a mapping (key: value), got a list`},
		{"unknown key, near", "name: n\nlisteners_: []", `gw.yaml:2:1: listeners_: unknown key; did you mean "listeners"?`},
		{"unknown key, far", "name: n\nzzz: 1", `gw.yaml:2:1: zzz: unknown key`},
		{"left-out field", "name: n\nInternal: x", `gw.yaml:2:1: Internal: unknown key; did you mean "interval"?`},
		{"key twice", "name: n\nname: m", `gw.yaml:2:1: name: the key comes twice, first in line 1`},
		{"map key twice", "name: n\nvalues: {5: a, 0x5: b}", `gw.yaml:2:16: values.0x5: the key comes twice, as another form of the same number`},
		{"map key", "name: n\nvalues: {P: a}", `gw.yaml:2:10: values.P: want an integer as key, got "P"`},
		{"string", "name: 5", `gw.yaml:1:7: name: want a string, got the number 5; in quotes it is a string`},
		{"null", "name:", `gw.yaml:1:1: name: want a string, got nothing`},
		{"list for string", "name: [a]", `gw.yaml:1:7: name: want a string, got a list`},
		{"enum", "name: n\nsync: sometimes", `gw.yaml:2:7: sync: want always, interval or never, got "sometimes"`},
		{"enum in a list", "name: n\nlisteners: [{address: a, auth: [mtls, open]}]", `gw.yaml:2:39: listeners[0].auth[1]: want anonymous, mtls or token, got "open"`},
		{"duration", "name: n\ninterval: fast", `gw.yaml:2:11: interval: want a duration such as 100ms from 1ms to 1h, got "fast"`},
		{"duration without unit", "name: n\ninterval: 100", `gw.yaml:2:11: interval: want a duration such as 100ms from 1ms to 1h, got the number 100`},
		{"duration too long", "name: n\ninterval: 2h", `gw.yaml:2:11: interval: want a duration such as 100ms from 1ms to 1h, got "2h"`},
		{"size", "name: n\npacket: 64 megabytes", `gw.yaml:2:9: packet: want a size such as 64MiB, at least 1KiB, got "64 megabytes"`},
		{"size too small", "name: n\npacket: 1000", `gw.yaml:2:9: packet: want a size such as 64MiB, at least 1KiB, got the number 1000`},
		{"int as string", "name: n\nlisteners: [{address: a, port: '80'}]", `gw.yaml:2:32: listeners[0].port: want an integer from 1 to 65535, got "80"`},
		{"int too large", "name: n\nlisteners: [{address: a, port: 65536}]", `gw.yaml:2:32: listeners[0].port: want an integer from 1 to 65535, got the number 65536`},
		{"int with fraction", "name: n\nsmall: 1.5", `gw.yaml:2:8: small: want an integer from -128 to 127, got the number 1.5`},
		{"int of its type", "name: n\nsmall: 128", `gw.yaml:2:8: small: want an integer from -128 to 127, got the number 128`},
		{"behind a pointer", "name: n\nuid: -1", `gw.yaml:2:6: uid: want an integer, at least 0, got the number -1`},
		{"unsigned", "name: n\nlarge: -1", `gw.yaml:2:8: large: want an integer, at least 0, got the number -1`},
		{"leading zero", "name: n\nsmall: 010", `gw.yaml:2:8: small: 010: a leading zero may mean octal or not: want 0o… or no zero`},
		{"float", "name: n\nfactor: .nan", `gw.yaml:2:9: factor: want a number from -10 to 10, got the number .nan`},
		{"bool", "name: n\non: yes", `gw.yaml:2:5: on: want true or false, got "yes"`},
		{"any", "name: n\nbare: {a: 1}", `gw.yaml:2:7: bare: want a single value, got a mapping`},
		{"list", "name: n\nlisteners: all", `gw.yaml:2:12: listeners: want a list, got "all"`},
		{"struct", "name: n\nnested: 3", `gw.yaml:2:9: nested: want a mapping (key: value), got the number 3`},
		{"empty struct", "name: n\nnested:\n", `gw.yaml:2:1: nested: want a mapping (key: value), got nothing`},
		{"missing below", "name: n\nlisteners:\n  - address: a\n    tls:\n      cert: c", `gw.yaml:4:5: listeners[0].tls.key: missing: want a string`},
		{"missing in flow", "name: n\nlisteners: [{tls: {cert: c, key: k}}]", `gw.yaml:2:13: listeners[0].address: missing: want a string`},
		{"odd key in the path", "name: n\nroles:\n  link:cloud: {publish: all}", `gw.yaml:3:25: roles["link:cloud"].publish: want a list, got "all"`},
		{"template not allowed", "name: a-${vin}", `gw.yaml:1:7: name: ${vin}: want ${env:NAME}`},
		{"template of another name", "name: n\ntopic: a/${zone}", `gw.yaml:2:8: topic: ${zone}: want ${env:NAME} or ${vin} or ${1}`},
		{"unclosed", "name: n\ntopic: a/${vin", `gw.yaml:2:8: topic: ${vin: want a } after the name`},
		{"unset variable", "name: ${env:FASCIA_TEST_UNSET}", `gw.yaml:1:7: name: ${env:FASCIA_TEST_UNSET}: the environment variable FASCIA_TEST_UNSET is not set`},
		{"no variable", "name: ${env:}", `gw.yaml:1:7: name: ${env:}: want the name of an environment variable, such as ${env:TOKEN}`},
		{"variable of a wrong type", "name: n\nsmall: ${env:FASCIA_TEST_TOKEN}", `gw.yaml:2:8: small: want an integer from -128 to 127, got "${env:FASCIA_TEST_TOKEN}"`},
		{"variable in a key", "name: n\nlabels: {\"${env:HOME}\": x}", `gw.yaml:2:10: labels["${env:HOME}"]: ${…} is filled in values only, not in keys`},
		{"syntax", "name: n\nroles: [1,", `gw.yaml:2:8: not YAML: sequence end token ']' not found`},
		{"bare reference in flow", "name: n\nroles: {a: ${env:X}}", `gw.yaml:2:13: not YAML: ',' or '}' must be specified; inside { } and [ ], ${…} wants quotes: "${…}"`},
		{"two documents", "name: n\n---\nname: m", `gw.yaml:2:1: a second document begins: want one in a file`},
		{"tag", "name: !!str 5", `gw.yaml:1:7: tag !!str: want a plain value, tags are not used here`},
		{"unknown alias", "name: *x", `gw.yaml:1:7: alias *x: no anchor &x stands before it`},
		{"circle", "name: &x [*x]", `gw.yaml:1:11: alias *x: no anchor &x stands before it`},
		{"not UTF-8", "name: n\nsync: \xff", `gw.yaml:2:7: byte 0xFF: want UTF-8 text`},
		{"control character", "name: \x00", `gw.yaml:1:7: control character 0x00: want text`},
		{"too deep", "name: " + strings.Repeat("[", 201), `gw.yaml:1:207: nested too deep: want at most 200 levels`},
		{"too deep without brackets", strings.Repeat("- ", 201), `gw.yaml:1:401: nested too deep: want at most 200 levels`},
		{"validator", "name: n\nlisteners:\n  - address: a\n    port: 1880", `gw.yaml:4:11: listeners[0].port: port 1880: want one that Node-RED doesn't use`},
		{"validator of an inlined struct", "name: n\nlisteners: [{address: a, comment: none}]", `gw.yaml:2:35: listeners[0].comment: want a comment that says something`},
		{"validator of the whole", "name: weak\npassword: weak", `gw.yaml:2:11: password: password "weak": want a better one`},
		{"secret in a validator", "name: hunter2\npassword: ${env:FASCIA_TEST_TOKEN}", `gw.yaml:2:11: password: password "${env:FASCIA_TEST_TOKEN}": want a better one`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := decode(t, test.file)
			if err == nil {
				t.Fatalf("no error, want %s", test.want)
			}
			if err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAllErrorsComeAtOnceInOrder(t *testing.T) {
	_, _, err := decode(t, `small: 500
listeners:
  - {port: 0}
  - address: a
    prot: 1
sync: no
`)
	want := `gw.yaml:1:1: name: missing: want a string
gw.yaml:1:8: small: want an integer from -128 to 127, got the number 500
gw.yaml:3:5: listeners[0].address: missing: want a string
gw.yaml:3:12: listeners[0].port: want an integer from 1 to 65535, got the number 0
gw.yaml:5:5: listeners[1].prot: unknown key; did you mean "port"?
gw.yaml:6:7: sync: want always, interval or never, got "no"`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var problems config.Errors
	if !errors.As(err, &problems) || len(problems) != 6 || problems[1].Path != "small" || problems[1].Column != 8 {
		t.Errorf("got %#v", problems)
	}
}

func TestFileWithErrorsChangesNothing(t *testing.T) {
	g := gateway{Name: "before", Small: 7}
	if _, err := config.Decode("gw.yaml", []byte("name: after\nsmall: x"), &g); err == nil {
		t.Fatal("no error")
	}
	if g.Name != "before" || g.Small != 7 {
		t.Errorf("changed to %+v", g)
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	got, _, err := decode(t, `
name: &n gw
bare: *n
listeners:
  - &first
    address: a
    port: 1
    tls: &keys {cert: c, key: k}
  - <<: *first
    port: 2
  - {address: b, port: 3, tls: *keys}
  - <<: [{address: c}, *first]
`)
	if err != nil {
		t.Fatal(err)
	}
	keys, auth := &tlsKeys{"c", "k"}, []string{"anonymous"}
	want := []listener{
		{Address: "a", Port: 1, TLS: keys, Auth: auth}, {Address: "a", Port: 2, TLS: keys, Auth: auth},
		{Address: "b", Port: 3, TLS: keys, Auth: auth}, {Address: "c", Port: 1, TLS: keys, Auth: auth},
	}
	if got.Bare != "gw" || !reflect.DeepEqual(got.Listeners, want) {
		t.Errorf("got %+v, want %+v", got.Listeners, want)
	}
}

func TestMistakeBehindAnAliasIsSaidOnce(t *testing.T) {
	_, _, err := decode(t, `
name: n
listeners:
  - &a
    port: 0
    unknown: 1
  - *a
  - *a
`)
	want := `gw.yaml:5:5: listeners[0].address: missing: want a string
gw.yaml:5:11: listeners[0].port: want an integer from 1 to 65535, got the number 0
gw.yaml:6:5: listeners[0].unknown: unknown key`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAliasesCannotMultiplyWithoutLimit(t *testing.T) {
	var into struct {
		Bomb [][][][][][][]string `yaml:"bomb"` // nine to the seventh strings, of 300 bytes of file
	}
	file := "bomb:\n- [[[[[&a [x, x, x, x, x, x, x, x, x]]]]]]\n"
	for depth, brackets := range []string{"[[[[", "[[[", "[[", "[", ""} {
		last, anchor := string(rune('a'+depth)), string(rune('b'+depth))
		nine := strings.TrimSuffix(strings.Repeat("*"+last+", ", 9), ", ")
		file += "- " + brackets + "&" + anchor + " [" + nine + "]" + strings.Repeat("]", len(brackets)) + "\n"
	}
	file += strings.Repeat("- *f\n", 9)
	_, err := config.Decode("gw.yaml", []byte(file), &into)
	if err == nil || !strings.HasSuffix(err.Error(), "want at most 262144 values in a file, also as aliases multiply them") {
		t.Errorf("got %v", err)
	}
}

func TestEmptySectionsAndDocumentMarkers(t *testing.T) {
	for _, file := range []string{
		"\ufeffname: n\r\nnested: {}\r\n", "---\nname: n\n...\n", "{name: n, listeners: [], roles: {}}",
	} {
		if got, _, err := decode(t, file); err != nil || got.Name != "n" {
			t.Errorf("%q: %+v, %v", file, got, err)
		}
	}
}

func TestWarningsDoNotFail(t *testing.T) {
	_, doc, err := decode(t, "name: n\nlisteners: [{address: lo}, {address: 0.0.0.0}]")
	if err != nil {
		t.Fatal(err)
	}
	warnings := doc.Warnings()
	want := "gw.yaml:2:38: listeners[1].address: listens on every interface"
	if len(warnings) != 1 || warnings[0].Error() != want {
		t.Errorf("got %v, want %s", warnings, want)
	}
}

func TestPromotedValidateSpeaksOnce(t *testing.T) {
	var into struct {
		Common `yaml:",inline"`
	}
	_, err := config.Decode("gw.yaml", []byte("comment: none"), &into)
	if want := "gw.yaml:1:10: comment: want a comment that says something"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDocumentFindsPlacesLater(t *testing.T) {
	_, doc, err := decode(t, "name: n\nlisteners:\n  - address: a\n    auth: [mtls,\n      token]\nvalues: {5: D}\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path         []any
		line, column int
	}{
		{nil, 1, 1},
		{[]any{"name"}, 1, 7},
		{[]any{"listeners"}, 2, 1},
		{[]any{"listeners", 0}, 3, 5},
		{[]any{"listeners", 0, "auth"}, 4, 11},
		{[]any{"listeners", 0, "auth", 1}, 5, 7},
		{[]any{"listeners", 0, "tls", "cert"}, 3, 5}, // absent: the listener
		{[]any{"listeners", 7, "auth"}, 2, 1},
		{[]any{"values", 5}, 6, 13},
		{[]any{"packet"}, 1, 1},
	} {
		if line, column := doc.At(test.path...); line != test.line || column != test.column {
			t.Errorf("%v: got %d:%d, want %d:%d", test.path, line, column, test.line, test.column)
		}
	}
	p := doc.Errorf([]any{"listeners", 0, "auth", 1}, "token: %s", "not built")
	if want := "gw.yaml:5:7: listeners[0].auth[1]: token: not built"; p.Error() != want {
		t.Errorf("got %s, want %s", p, want)
	}
}

func TestSecretStaysHiddenAfterDecoding(t *testing.T) {
	t.Setenv("FASCIA_TEST_TOKEN", `hun"ter`)
	t.Setenv("FASCIA_TEST_PIN", "12")
	_, doc, err := decode(t, "name: ${env:FASCIA_TEST_PIN}\npassword: x${env:FASCIA_TEST_TOKEN}")
	if err != nil {
		t.Fatal(err)
	}
	p := doc.Errorf([]any{"password"}, "%q, %s and %q: want 12 letters", `xhun"ter`, `xhun"ter`, "12")
	want := `"x${env:FASCIA_TEST_TOKEN}", x${env:FASCIA_TEST_TOKEN} and "${env:FASCIA_TEST_PIN}": want 12 letters`
	if p.Message != want {
		t.Errorf("got %s, want %s", p.Message, want)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gw.yaml")
	var g gateway
	doc, err := config.Load(file, &g)
	if want := file + ": no such file or directory"; err == nil || err.Error() != want || doc == nil {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := config.Load(dir, &g); err == nil || err.Error() != dir+": want a file, got a folder" {
		t.Errorf("folder: got %v", err)
	}
	if err := os.WriteFile(file, []byte("name: n"), 0o600); err != nil {
		t.Fatal(err)
	}
	doc, err = config.Load(file, &g)
	if err != nil || g.Name != "n" || doc.Dir() != dir {
		t.Errorf("got %+v, %v, in %s", g, err, doc.Dir())
	}
}

func TestWrongStructIsTheProgrammersError(t *testing.T) {
	for name, into := range map[string]any{
		"not a struct": new(int),
		"no tag":       new(struct{ Port int }),
		"one key twice": &struct {
			A, B int `yaml:"a"`
		}{},
		"default": &struct {
			A int `yaml:"a" default:"x"`
		}{},
		"default too small": &struct {
			A int `yaml:"a" default:"1" min:"2"`
		}{},
		"required default": &struct {
			A int `yaml:"a" default:"1" required:"true"`
		}{},
		"type": &struct {
			A chan int `yaml:"a" default:"1"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p == nil || !strings.HasPrefix(p.(string), "config: ") {
					t.Errorf("got %v, want a panic that says it is the struct", p)
				}
			}()
			_, _ = config.Decode("gw.yaml", nil, into)
		})
	}
}
