package schema_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/config/schema"
)

// gateway has every kind of field; its comments are what is generated.
type gateway struct {
	// What the vehicle is called; "a|b" & <c>.
	Name string `yaml:"name" template:"vin,path.,field:"`
	// When writes reach the flash.
	Sync string `yaml:"sync" default:"interval" enum:"always,interval"`
	// How often
	// that happens.
	Interval config.Duration `yaml:"interval" default:"100ms" min:"1ms"`
	// How long to wait.
	Wait config.Duration `yaml:"wait"`
	// How far the clock may be off.
	Skew config.Duration `yaml:"skew" min:"-1h"`
	// Largest packet.
	Packet config.Size `yaml:"packet" default:"256KiB" min:"1KiB" max:"1GiB"`
	// Where clients come in.
	Listeners []listener `yaml:"listeners"`
	// What signal values are called.
	Values map[int64]string `yaml:"values"`
	// Grants by role.
	Roles map[string]role `yaml:"roles"`
	// Anything, or `a*|b`, not a*b.
	Bare any `yaml:"bare"`
	// Scale.
	Factor float64 `yaml:"factor" default:"1" min:"-10" max:"10"`
	// Up to a byte.
	Small uint8 `yaml:"small"`
	// A long count.
	Large int64 `yaml:"large"`
	// Whether it works.
	On bool `yaml:"on" default:"true"`
	// The one section that must be there.
	Control control `yaml:"control"`
}

type listener struct {
	// TCP port.
	Port int `yaml:"port" default:"1883" min:"1" max:"65535"`
	// How clients prove who they are.
	Auth []string `yaml:"auth" default:"[anonymous]" enum:"anonymous,mtls"`
	// Keys; without them there is no encryption.
	TLS    *keys `yaml:"tls"`
	Common `yaml:",inline"`
}

type keys struct {
	// Certificate file.
	Cert string `yaml:"cert" required:"true"`
}

// Common is inlined.
type Common struct {
	// Free text.
	Comment string `yaml:"comment"`
}

type role struct {
	// Keys of the role's own.
	TLS *keys `yaml:"tls"`
}

type control struct {
	// Path of the socket.
	Socket string `yaml:"socket" required:"true"`
}

func comments(t *testing.T) schema.Comments {
	t.Helper()
	c, err := schema.ReadComments(".")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func generate(t *testing.T) []byte {
	t.Helper()
	text, err := schema.Schema(&gateway{}, comments(t), "Gateway")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compile(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("gateway.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("gateway.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// TestSchemaAgreesWithDecode holds both to one table, so that an editor never
// marks what the gateway takes, nor passes what it refuses.
func TestSchemaAgreesWithDecode(t *testing.T) {
	t.Setenv("FASCIA_TEST_ENV", "5")
	t.Setenv("FASCIA_TEST_SYNC", "always")
	compiled := compile(t, generate(t))
	const rest = "\ncontrol: {socket: s}\n"
	for _, test := range []struct {
		file string
		good bool
	}{
		{rest, true},
		{"name: a", false}, // no control.socket
		{"control: {}", false},
		{"unknown: 1" + rest, false},
		{"name: 5" + rest, false},
		{"name:" + rest, false},
		{"name: a$b$$ ${vin}/${path.}$" + rest, true},
		{"name: a${zone}" + rest, false},
		{"name: a${pathX}" + rest, false},
		{"name: $${zone}" + rest, false},
		{"name: a${vin" + rest, false},
		{"name: a${field:/gear/0}" + rest, true},
		{"name: a${field:}" + rest, false},
		{"name: a${field}" + rest, false},
		{"name: ${env:FASCIA_TEST_ENV}" + rest, true},
		{"name: ${env:5}" + rest, false},
		{"sync: always" + rest, true},
		{"sync: never" + rest, false},
		{"sync: ${env:FASCIA_TEST_SYNC}" + rest, true},
		{"interval: 1m30s" + rest, true},
		{"interval: .5h" + rest, true},
		{"interval: 0" + rest, false},
		{"interval: 5" + rest, false},
		{"interval: 5 s" + rest, false},
		{"interval: -5s" + rest, false},
		{"wait: 0" + rest, true},
		{"wait: 1" + rest, false},
		{"wait: -1s" + rest, false},
		{"wait: 1d" + rest, false},
		{"skew: -1s" + rest, true},
		{"packet: 64MiB" + rest, true},
		{"packet: 1024" + rest, true},
		{"packet: '2048'" + rest, true},
		{"packet: 1000" + rest, false},
		{"packet: 2147483648" + rest, false},
		{"packet: 64mb" + rest, false},
		{"packet: -1" + rest, false},
		{"listeners: [{port: 1, auth: [mtls], comment: c, tls: {cert: x}}, {}]" + rest, true},
		{"listeners: {port: 1}" + rest, false},
		{"listeners: [{port: 0}]" + rest, false},
		{"listeners: [{port: 65536}]" + rest, false},
		{"listeners: [{port: 1.5}]" + rest, false},
		{"listeners: [{port: 2.0}]" + rest, true},
		{"listeners: [{port: '80'}]" + rest, false},
		{"listeners: [{port: \"${env:FASCIA_TEST_ENV}\"}]" + rest, true},
		{"listeners: [{auth: [open]}]" + rest, false},
		{"listeners: [{auth: mtls}]" + rest, false},
		{"listeners: [{tls: {}}]" + rest, false},
		{"listeners: [{tls: }]" + rest, false},
		{"listeners: [{Common: {comment: c}}]" + rest, false},
		{"listeners: [null]" + rest, false},
		{"values: {5: D, -1: R}" + rest, true},
		{"values: {P: D}" + rest, false},
		{"values: {5: 5}" + rest, false},
		{"roles: {\"link:cloud\": {}}" + rest, true},
		{"roles: {\"${env:FASCIA_TEST_ENV}\": {}}" + rest, false},
		{"roles: {a: {publish: []}}" + rest, false},
		{"roles: {a: []}" + rest, false},
		{"bare: 5" + rest, true},
		{"bare: true" + rest, true},
		{"bare: text" + rest, true},
		{"bare: [5]" + rest, false},
		{"bare: null" + rest, false},
		{"bare: ${vin}" + rest, false},
		{"factor: -0.5" + rest, true},
		{"factor: 11" + rest, false},
		{"factor: x" + rest, false},
		{"small: 255" + rest, true},
		{"small: 256" + rest, false},
		{"small: -1" + rest, false},
		{"large: -9223372036854775808" + rest, true},
		{"on: false" + rest, true},
		{"on: yes" + rest, false},
		{"on: 1" + rest, false},
	} {
		_, decoded := config.Decode("gw.yaml", []byte(test.file), &gateway{})
		if (decoded == nil) != test.good {
			t.Errorf("%q: want accepted %v; Decode says %v", test.file, test.good, decoded)
		}
		text, err := yaml.YAMLToJSON([]byte(test.file))
		if err != nil {
			t.Fatalf("%q: %v", test.file, err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%q: %s: %v", test.file, text, err)
		}
		if valid := compiled.Validate(value); (valid == nil) != test.good {
			t.Errorf("%q: want accepted %v; the schema says %v", test.file, test.good, valid)
		}
	}
}

func TestSchemaIsTheSameEveryTime(t *testing.T) {
	first := generate(t)
	for range 10 {
		if again := generate(t); !bytes.Equal(first, again) {
			t.Fatal("two runs differ")
		}
	}
	var parsed struct {
		Schema, Title string
		Properties    map[string]struct {
			Description string
			Default     any
		}
	}
	if err := json.Unmarshal(bytes.Replace(first, []byte("$schema"), []byte("schema"), 1), &parsed); err != nil {
		t.Fatal(err)
	}
	p := parsed.Properties
	if parsed.Schema != schema.Draft || parsed.Title != "Gateway" ||
		p["interval"].Description != "How often that happens." || p["interval"].Default != "100ms" ||
		p["on"].Default != true || p["name"].Description != `What the vehicle is called; "a|b" & <c>.` {
		t.Errorf("got %+v", parsed)
	}
	if !bytes.Contains(first, []byte(`& <c>`)) {
		t.Error("<, > and & are escaped: want them readable")
	}
}

func TestSchemaWantsACommentForEveryField(t *testing.T) {
	c := comments(t)
	delete(c, "schema_test.keys.Cert")
	delete(c, "schema_test.gateway.Sync")
	_, err := schema.Schema(gateway{}, c, "Gateway")
	want := "schema: schema_test.gateway.Sync: no comment\nschema: schema_test.keys.Cert: no comment"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := schema.ReadComments(t.TempDir()); err == nil {
		t.Error("a folder without Go files: want an error")
	}
}

func TestReferenceHasATableForEachSection(t *testing.T) {
	page := string(schema.Reference(&gateway{}, comments(t), "Configuration"))
	for _, want := range []string{
		"# Configuration\n",
		"| `name` | string |  | What the vehicle is called; \"a\\|b\" & &lt;c>. Filled in at run time: `${vin}`, `${path.}`, `${field:…}`. |\n",
		"| `sync` | `always`, `interval` | `interval` | When writes reach the flash. |\n",
		"| `packet` | size, 1KiB to 1GiB | `256KiB` | Largest packet. |\n",
		"| `interval` | duration, at least 1ms | `100ms` | How often that happens. |\n",
		"| `listeners` | list of [section](#listeners) |  | Where clients come in. |\n",
		"\n## listeners[]\n\nWhere clients come in.\n",
		"| `auth` | list of `anonymous`, `mtls` | `[anonymous]` | How clients prove who they are. |\n",
		"| `comment` | string |  | Free text. |\n",
		"\n## listeners[].tls\n",
		"| `values` | mapping to string |  |",
		"| `bare` | any single value |  | Anything, or `a*\\|b`, not a\\*b. |\n",
		"\n## roles.NAME\n",
		"\n## control\n",
		"| `socket` | string | required | Path of the socket. |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if links := strings.Count(page, "[section](#listenerstls)"); links != 2 {
		t.Errorf("%d links to the keys that listeners and roles share, want 2\n%s", links, page)
	}
}
