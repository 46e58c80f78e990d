package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/gateway"
	"github.com/fascia-edge/fascia/streammgr"
	"github.com/fascia-edge/fascia/streammgr/npmtest"
)

const streamsConfig = `
data_dir: data
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0", auth: [anonymous]}
can:
  buses: [{name: can0, source: "replay://drive.candump?speed=max"}]
  record: [{name: drive, block: 1s}]
streams:
  streams:
    - name: telemetry
      feeds: [{filter: "ivi/#", form: envelope}]
      exporters: [{name: disk, batch_interval: 100ms, file: {}}]
    - name: handed
      feeds: [{socket: handed.sock}]
      exporters: [{name: disk, batch_interval: 100ms, file: {}}]
    - name: frames
      feeds: [{recording: drive}]
`

const drive = "(1600279140.020108) can0 440#4800FF5BBBBB6500\n(1600279140.030108) can0 440#4800FF5BBBBB6500\n"

// stream is a stream as the gateway tells of it.
func (p *process) stream(name string) (s streammgr.StreamStatus) {
	if st, ok := p.status(); ok && st.Streams != nil {
		for _, s = range st.Streams.Streams {
			if s.Name == name {
				return s
			}
		}
	}
	return streammgr.StreamStatus{}
}

// exported is what an exporter to files has written.
func (p *process) exported(stream, exporter string) string {
	files, _ := filepath.Glob(filepath.Join(p.dir, "data", streammgr.ExportFolder, stream, exporter, "*"))
	var all bytes.Buffer
	for _, name := range files { // in order, by their names
		text, _ := os.ReadFile(name)
		all.Write(text)
	}
	return all.String()
}

func TestWhatIsPublishedGoesThroughItsStreamIntoFilesAcrossKill(t *testing.T) {
	dir := configured(t, map[string]string{"fascia.yaml": streamsConfig, "drive.candump": drive})
	p := start(t, dir)
	publish := func(from, to int) {
		var lines strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&lines, "{\"n\":%d}\n", i)
		}
		if r := runIn(t, lines.String(), "pub", "--url", p.url(), "-q", "1", "--lines", "ivi/counter"); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	publish(0, 200)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
	p = start(t, dir)
	publish(200, 300)
	numbers := func() (list []int) {
		for line := range strings.Lines(p.exported("telemetry", "disk")) {
			var e streammgr.Envelope
			var v struct{ N int }
			if json.Unmarshal([]byte(line), &e) == nil && json.Unmarshal(e.JSON, &v) == nil && e.Topic == "ivi/counter" {
				list = append(list, v.N)
			}
		}
		return list
	}
	within(t, "the last message is in a file", func() bool {
		list := numbers()
		return len(list) > 0 && list[len(list)-1] == 299
	})
	seen := map[int]bool{}
	for i, n := range numbers() {
		if n > 0 && !seen[n-1] {
			t.Fatalf("message %d of the files is %d, and %d was not before", i, n, n-1)
		}
		seen[n] = true
	}
	if len(seen) != 300 {
		t.Errorf("%d of 300 messages are in the files", len(seen))
	}
}

func TestAProgramHandsInAtASocketAndHearsWhatIsStored(t *testing.T) {
	dir := configured(t, map[string]string{"fascia.yaml": streamsConfig, "drive.candump": drive})
	p := start(t, dir)
	c, err := net.Dial("unix", filepath.Join(dir, "handed.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	const messages = 5000
	go func() {
		for i := range messages {
			m := []byte(fmt.Sprint(i))
			_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...))
		}
		_ = c.(*net.UnixConn).CloseWrite()
	}()
	var last uint64
	for {
		var told [8]byte
		if _, err := io.ReadFull(c, told[:]); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		n := binary.BigEndian.Uint64(told[:])
		if n < last || n > messages {
			t.Fatalf("told %d after %d", n, last)
		}
		last = n
	}
	if last != messages {
		t.Fatalf("the program was told of %d of %d messages at last", last, messages)
	}
	if s := p.stream("handed"); s.Messages != messages {
		t.Errorf("the stream has %d messages, want %d", s.Messages, messages)
	}
	var want strings.Builder
	for i := range messages {
		fmt.Fprintln(&want, i)
	}
	within(t, "all of it is in a file", func() bool { return p.exported("handed", "disk") == want.String() })

	// A message that no stream takes ends the connection.
	bad, err := net.Dial("unix", filepath.Join(dir, "handed.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bad.Close() }()
	if _, err := bad.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF}); err != nil {
		t.Fatal(err)
	}
	if n, err := bad.Read(make([]byte, 8)); err == nil {
		t.Errorf("a message that is too long: got %d bytes, want the end", n)
	}
}

func TestARecordingGoesIntoItsStreamAndNotIntoFiles(t *testing.T) {
	dir := configured(t, map[string]string{"fascia.yaml": streamsConfig, "drive.candump": drive})
	p := start(t, dir)
	within(t, "the recording's block is in the stream", func() bool { return p.stream("frames").Messages == 1 })
	r := run(t, "streams", "read", "--socket", p.socket, "--json", "frames")
	var m gateway.StreamMessage
	if err := json.Unmarshal([]byte(r.stdout), &m); err != nil || !bytes.HasPrefix(m.Payload, []byte(block.Magic)) {
		t.Errorf("got %q, %v, want a block", r.stdout, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", gateway.RecordingsFolder, "drive")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the recording has a folder: %v", err)
	}
}

func TestStreamsCommands(t *testing.T) {
	p := start(t, configured(t, map[string]string{"fascia.yaml": streamsConfig, "drive.candump": drive}))
	within(t, "ready", func() bool { return p.stream("telemetry").State == streammgr.StreamOK })
	do := func(stdin string, args ...string) string {
		t.Helper()
		r := runIn(t, stdin, append(append([]string{"streams"}, args...), "--socket", p.socket)...)
		if r.code != 0 {
			t.Fatalf("streams %v: exit code %d: %s", args, r.code, r.stderr)
		}
		return r.stdout
	}
	do("one\ntwo\nthree\n", "append", "telemetry", "--lines")
	if got := do("", "append", "telemetry", "four", "--json"); got != "{\"first\":3,\"messages\":1}\n" {
		t.Errorf("append: %q", got)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"read", "telemetry"}, "one\ntwo\nthree\nfour\n"},
		{[]string{"read", "telemetry", "--from", "1", "-n", "2"}, "two\nthree\n"},
		{[]string{"read", "telemetry", "--since", "1h"}, "one\ntwo\nthree\nfour\n"},
		{[]string{"read", "telemetry", "--since", "2999-01-01T00:00:00Z"}, ""},
		{[]string{"tail", "telemetry", "-n", "1"}, "four\n"},
		{[]string{"export", "telemetry", "--from", "1", "--to", "3"}, "two\nthree\n"},
	} {
		if got := do("", c.args...); got != c.want {
			t.Errorf("streams %v: got %q, want %q", c.args, got, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "telemetry.jsonl")
	do("", "export", "telemetry", "--format", "json", "-o", file)
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 4 {
		t.Errorf("exported %q, %v", text, err)
	}
	within(t, "the exporter has all", func() bool { return p.stream("telemetry").Exporters[0].Checkpoint == 4 })
	do("", "pause", "telemetry", "disk")
	if x := p.stream("telemetry").Exporters[0]; x.State != "paused" {
		t.Errorf("paused: %+v", x)
	}
	if got := do("", "ls", "--exporters"); !strings.Contains(got, "paused") {
		t.Errorf("ls --exporters: %s", got)
	}
	do("", "resume", "telemetry", "disk")
	do("", "purge", "telemetry", "--before", "3", "--yes")
	if got := do("", "read", "telemetry"); got != "four\n" {
		t.Errorf("after the purge: %q", got)
	}
	if got := do("", "describe", "telemetry"); !strings.Contains(got, "1, from 3 to before 4") {
		t.Errorf("describe: %s", got)
	}
	if got := do("", "ls"); !strings.Contains(got, "telemetry") || !strings.Contains(got, "handed") {
		t.Errorf("ls: %s", got)
	}
	if got := run(t, "status", "--socket", p.socket).stdout; !strings.Contains(got, "stream telemetry") {
		t.Errorf("status: %s", got)
	}
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"read", "nothing"}, 1, `stream "nothing": no such stream`},
		{[]string{"pause", "telemetry", "cloud"}, 1, "no such exporter"},
		{[]string{"purge", "telemetry", "--delete", "--yes"}, 1, "stands in the configuration"},
		{[]string{"purge", "telemetry", "--yes"}, 2, "want one of --before, --all and --delete"},
		{[]string{"purge", "telemetry", "--all"}, 2, "say --yes"},
		{[]string{"read", "telemetry", "--since", "yesterday"}, 2, "want a time"},
		{[]string{"export", "telemetry", "--format", "xml"}, 2, "want lines or frames"},
	} {
		r := run(t, append(append([]string{"streams"}, c.args...), "--socket", p.socket)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("streams %v: exit code %d, want %d; stderr %q, want %q in it", c.args, r.code, c.code, r.stderr, c.stderr)
		}
	}
}

func TestTheStateOfAStreamIsTold(t *testing.T) {
	p := start(t, configured(t, map[string]string{"fascia.yaml": streamsConfig, "drive.candump": drive}))
	states := make(chan string, 100)
	p.subscribe("stream/telemetry/state", 1, func(m *paho.Publish) { states <- string(m.Payload) })
	var s struct {
		State     string
		Messages  int
		Exporters []struct{ Name, State string }
	}
	for deadline := time.After(20 * time.Second); ; {
		select {
		case text := <-states:
			if err := json.Unmarshal([]byte(text), &s); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if s.State == "ok" && len(s.Exporters) == 1 && s.Exporters[0].Name == "disk" {
				if r := run(t, "streams", "pause", "telemetry", "disk", "--socket", p.socket); r.code != 0 {
					t.Fatal(r.stderr)
				}
			}
			if len(s.Exporters) == 1 && s.Exporters[0].State == "paused" {
				return
			}
		case <-deadline:
			t.Fatalf("the exporter was paused and nobody told; last: %+v", s)
		}
	}
}

func TestAReloadChangesStreamsAndKeepsWhatIsInThem(t *testing.T) {
	dir := configured(t, map[string]string{"fascia.yaml": streamsConfig, "drive.candump": drive})
	p := start(t, dir)
	append := func(stream, message string) {
		t.Helper()
		if r := run(t, "streams", "append", stream, message, "--socket", p.socket); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	reload := func(config string) {
		t.Helper()
		before, _ := p.status()
		if err := os.WriteFile(filepath.Join(dir, "fascia.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		p.signal(syscall.SIGHUP)
		p.await("reloaded", func(s gateway.Status) bool { return s.Config.LastReload.At.After(before.Config.LastReload.At) })
	}
	append("telemetry", "kept")
	changed := strings.NewReplacer(
		`feeds: [{filter: "ivi/#", form: envelope}]`, `feeds: [{filter: "other/#"}, {socket: new.sock}]`,
		"exporters: [{name: disk, batch_interval: 100ms, file: {}}]\n    - name: handed", "exporters: [{name: again, batch_interval: 100ms, file: {}}]\n    - name: fresh\n      feeds: [{filter: \"fresh/#\"}]\n    - name: handed").Replace(streamsConfig)
	reload(changed)
	if s, _ := p.status(); s.Config.LastReload.Error != "" {
		t.Fatal(s.Config.LastReload.Error)
	}
	for _, topic := range []string{"ivi/x", "other/x", "fresh/x"} {
		if r := run(t, "pub", "--url", p.url(), "-q", "1", topic, topic); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	within(t, "the new exporter has all from the oldest on", func() bool { return p.exported("telemetry", "again") == "kept\nother/x\n" })
	within(t, "the new stream has its message", func() bool { return p.stream("fresh").Messages == 1 })
	if c, err := net.Dial("unix", filepath.Join(dir, "new.sock")); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}

	// A stream that has gone from the configuration keeps its messages until it is deleted.
	reload(streamsConfig)
	if s := p.stream("fresh"); s.Owner != "none" || s.Messages != 1 {
		t.Errorf("the stream that is not configured any more: %+v", s)
	}
	if r := run(t, "streams", "purge", "fresh", "--delete", "--yes", "--socket", p.socket); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if s := p.stream("fresh"); s.Name != "" {
		t.Errorf("deleted: %+v", s)
	}
	reload(strings.Replace(streamsConfig, "    - name: handed", "    - name: handed\n      storage: memory\n      size: 1MiB", 1))
	if s, _ := p.status(); !strings.Contains(s.Config.LastReload.Error, `stream "handed": its storage can't be changed`) {
		t.Errorf("another storage: %q", s.Config.LastReload.Error)
	}
}

func TestWhatALinkFindsTooLargeGoesIntoAStream(t *testing.T) {
	far := startFarSide(t, "topic readwrite #")
	dir := configured(t, map[string]string{"fascia.yaml": `
data_dir: data
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0", auth: [anonymous]}
bridge:
  links:
    - name: cloud
      url: ` + far.url() + `
      profile: aws-iot-core
      client_id: car
      rules:
        - {direction: up, local: "ivi/+", remote: "dt/${1}", qos: 1, oversize: "stream:large"}
streams:
  streams: [{name: large}]
`})
	p := start(t, dir)
	big := strings.Repeat("x", 200<<10) // AWS IoT Core takes 128 KiB
	if r := runIn(t, big, "pub", "--url", p.url(), "-q", "1", "ivi/picture"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	within(t, "the message is in the stream", func() bool { return p.stream("large").Messages == 1 })
	r := run(t, "streams", "read", "large", "--socket", p.socket)
	var e streammgr.Envelope
	if err := json.Unmarshal([]byte(r.stdout), &e); err != nil || e.Topic != "ivi/picture" || e.Text == nil || *e.Text != big {
		t.Errorf("got %.100q, %v, want the message as an envelope", r.stdout, err)
	}
	if s, _ := p.status(); s.Links[0].Dead.Messages != 0 {
		t.Errorf("%d dead letters, want none", s.Links[0].Dead.Messages)
	}
}

// A stream that a client has made, with its export, is there after a restart; those of
// the configuration are not a client's to change.
func TestClientsOfTheStreamManagerKeepTheirStreamsOverARestart(t *testing.T) {
	port := freePort(t)
	dir := configured(t, map[string]string{"fascia.yaml": `
data_dir: data
broker:
  listeners:
    - {name: local, address: "127.0.0.1:0", auth: [anonymous]}
streams:
  listen: "127.0.0.1:` + port + `"
  client_exports: {region: eu-central-1, kinesis_endpoint: "http://127.0.0.1:1", credentials: {access_key: a, secret_key: b}}
  streams: [{name: telemetry}]
`})
	for _, when := range []string{"before", "after"} {
		p := start(t, dir)
		script := npmtest.Script(t, "testdata/streams.js", port)
		script.Args = append(script.Args, when)
		if out, err := script.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "ok" {
			t.Fatalf("%s the restart: %v:\n%s", when, err, out)
		}
		if when == "before" {
			within(t, "the export is told to fail", func() bool {
				s := p.stream("drive log")
				return len(s.Exporters) == 1 && s.Exporters[0].Errors > 0 && s.Exporters[0].LagMessages == 10
			})
		}
		p.stop()
	}
}
