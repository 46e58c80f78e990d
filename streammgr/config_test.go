package streammgr

import (
	"os"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// read decodes a section.
func read(t *testing.T, text string) (*Config, error) {
	t.Helper()
	var file struct {
		Streams *Config `yaml:"streams"`
	}
	_, err := config.Decode("fascia.yaml", []byte("streams:\n  "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")+"\n"), &file)
	return file.Streams, err
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	one := func(rest string) string { return "streams: [{name: a, " + rest + "}]" }
	for name, c := range map[string]struct{ text, place, want string }{
		"address":           {`listen: "8088"`, "streams.listen", "want host:port"},
		"off loopback":      {`listen: "0.0.0.0:8088"`, "streams.auth", "loopback addresses only"},
		"plaintext":         {"listen: \"192.0.2.1:8088\"\nauth: token\ntokens: [secret]", "streams.listen", "plaintext: true"},
		"no token":          {"listen: \"127.0.0.1:8088\"\nauth: token", "streams.tokens", "wants one at least"},
		"empty token":       {"listen: \"127.0.0.1:8088\"\nauth: token\ntokens: [\"\"]", "streams.tokens[0]", "is empty"},
		"key at a server":   {"url: nats://127.0.0.1\nkey: secret", "streams.key", "no meaning with url"},
		"prefix of nothing": {"prefix: car", "streams", "for the server at url"},
		"NATS for all":      {`listen_nats: "0.0.0.0:4222"`, "streams.listen_nats", "want a loopback address"},
		"stream twice":      {"streams: [{name: a}, {name: a}]", "streams.streams[1].name", `stream "a" is there twice`},
		"name":              {"streams: [{name: a/b}]", "streams.streams[0].name", "part of topics"},
		"flushed memory":    {one("storage: memory, flush: true"), "streams.streams[0].flush", "memory can't be fsynced"},
		"too much memory":   {one("storage: memory, size: 65MiB"), "streams.memory", "want at least that"},
		"no feed":           {one("feeds: [{}]"), "streams.streams[0].feeds[0]", "want one of filter, recording and socket"},
		"two feeds in one":  {one("feeds: [{filter: a, socket: b}]"), "streams.streams[0].feeds[0]", "want one of filter, recording and socket"},
		"filter":            {one(`feeds: [{filter: "a/#/b"}]`), "streams.streams[0].feeds[0].filter", "want a filter"},
		"shared filter":     {one(`feeds: [{filter: "$share/g/a"}]`), "streams.streams[0].feeds[0].filter", "no shared one"},
		"form of a socket":  {one("feeds: [{socket: a, form: envelope}]"), "streams.streams[0].feeds[0]", "are for a filter"},
		"mode":              {one(`feeds: [{socket: a, mode: "999"}]`), "streams.streams[0].feeds[0].mode", "permissions in octal"},
		"users of a filter": {one("feeds: [{filter: a, uids: [1]}]"), "streams.streams[0].feeds[0]", "are for a socket"},
		"recording twice":   {"streams: [{name: a, feeds: [{recording: r}]}, {name: b, feeds: [{recording: r}]}]", "streams.streams[1].feeds[0].recording", "there twice"},
		"no target":         {one("exporters: [{name: x}]"), "streams.streams[0].exporters[0]", "has 0 targets"},
		"two targets":       {one(`exporters: [{name: x, file: {}, http: {url: "http://127.0.0.1"}}]`), "streams.streams[0].exporters[0]", "has 2 targets"},
		"exporter twice":    {one("exporters: [{name: x, file: {}}, {name: x, file: {}}]"), "streams.streams[0].exporters[1].name", "there twice"},
		"unknown key":       {one("sise: 1MiB"), "streams.streams[0].sise", "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.place+":") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s at %s", err, c.want, c.place)
			}
		})
	}
}

func TestCheckFindsWhatTheSectionAloneDoesNotShow(t *testing.T) {
	c, err := read(t, `
url: nats://127.0.0.1
prefix: "${vin}"
streams:
  - name: a
    feeds: [{recording: drive}]
    exporters: [{name: x, when: "Vehicle.Speed >", file: {}}]
`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, p := range Check(c, Vehicle{}, nil, vehicle.NewState()) {
		got[p.Text] = true
	}
	if len(got) != 3 {
		t.Errorf("got %v, want the prefix, the recording and the condition", got)
	}
	c.Streams[0].Exporters[0].When = "Vehicle.Speed > 5"
	if p := Check(c, Vehicle{VIN: "V"}, []string{"drive"}, vehicle.NewState()); len(p) != 0 {
		t.Errorf("got %v, want nothing", p)
	}
}

func TestWhatIsFixedIsRefusedAndTheRestIsNot(t *testing.T) {
	base := "streams: [{name: a, feeds: [{recording: r}]}]"
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"another size":      {"streams: [{name: a, size: 1MiB, feeds: [{recording: r}]}]", true},
		"another stream":    {base[:len(base)-1] + ", {name: b}]", true},
		"a rate":            {"rate: 1MiB\n" + base, true},
		"another interval":  {"interval: 1s\n" + base, false},
		"memory":            {"streams: [{name: a, storage: memory, size: 1MiB, feeds: [{recording: r}]}]", false},
		"another recording": {"streams: [{name: a, feeds: [{recording: s}]}]", false},
	} {
		before, err := read(t, base)
		if err != nil {
			t.Fatal(err)
		}
		after, err := read(t, c.text)
		if err != nil {
			t.Fatal(err)
		}
		if err := Fixed(before, after); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if Fixed(before, nil) == nil || Fixed(nil, after) == nil {
			t.Errorf("%s: the section as a whole came or went", name)
		}
	}
}

func TestPathsAreThoseOfTheFilesFolder(t *testing.T) {
	c, err := read(t, "dir: d\nstreams: [{name: a, feeds: [{socket: s}], exporters: [{name: x, file: {dir: f}}]}]")
	if err != nil {
		t.Fatal(err)
	}
	c.Resolve("/etc/fascia")
	if got := []string{c.Dir, c.Streams[0].Feeds[0].Socket, c.Streams[0].Exporters[0].File.Dir}; strings.Join(got, " ") != "/etc/fascia/d /etc/fascia/s /etc/fascia/f" {
		t.Errorf("got %v", got)
	}
}

// What docs/streams.md shows as YAML can be used.
func TestTheExamplesOfThePageCanBeUsed(t *testing.T) {
	t.Setenv("STREAM_TOKEN", "secret")
	page, err := os.ReadFile("../docs/streams.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for i, part := range strings.Split(string(page), "```") {
		text, isYAML := strings.CutPrefix(strings.TrimLeft(part, " "), "yaml\n")
		if i%2 == 0 || !isYAML {
			continue
		}
		from := strings.Index(text, "streams:\n")
		if from < 0 {
			continue
		}
		indent := len(text[:from]) - len(strings.TrimRight(text[:from], " "))
		text = strings.ReplaceAll(text[from:], "\n"+strings.Repeat(" ", indent), "\n")
		var file struct {
			Streams *Config `yaml:"streams"`
		}
		if _, err := config.Decode("streams.md", []byte(text), &file); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		examples++
	}
	if examples < 4 {
		t.Errorf("%d examples found, want 4 at least", examples)
	}
}
