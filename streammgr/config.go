package streammgr

import (
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/streammgr/protocol"
	"github.com/fascia-edge/fascia/topic"
)

// Config is the section "streams". Without it there are none, and nothing of them
// runs.
type Config struct {
	// Address at which clients of the Stream Manager protocol are served, such as 127.0.0.1:8088; without it nowhere.
	Listen string `yaml:"listen"`
	// How these clients prove who they are: none, at loopback addresses only, or token.
	Auth string `yaml:"auth" default:"none" enum:"none,token"`
	// Tokens of which clients show one, best as ${env:NAME}.
	Tokens []string `yaml:"tokens"`
	// Whether listen may be an address off loopback, where tokens and messages can be overheard.
	Plaintext bool `yaml:"plaintext" default:"false"`
	// What becomes of exports that clients define to AWS IoT Analytics and AWS IoT SiteWise, which are not served: refuse the stream, or accept it and export nothing there.
	UnsupportedExports string `yaml:"unsupported_exports" default:"refuse" enum:"refuse,accept"`
	// How the exports that clients define reach their far sides.
	ClientExports ClientExports `yaml:"client_exports"`
	// Folder of the streams; without it "streams" in data_dir.
	Dir string `yaml:"dir"`
	// Bytes that all streams on disk may take together, beside the size of each; without it only free_space bounds them.
	Size config.Size `yaml:"size" min:"1MiB"`
	// Bytes of the file system that are left free: below it streams are as if full.
	FreeSpace config.Size `yaml:"free_space" default:"64MiB"`
	// Bytes that the streams in memory may be defined to take together.
	Memory config.Size `yaml:"memory" default:"64MiB"`
	// Longest message.
	MaxMessage config.Size `yaml:"max_message" default:"1MiB" min:"1KiB" max:"10MiB"`
	// When what is appended is fsynced: always, before it is acknowledged, so that it survives a power cut; or by interval, so that it survives the end of the process, and a power cut takes what came in the last interval. A stream's flush is always for one stream.
	Sync string `yaml:"sync" default:"interval" enum:"interval,always"`
	// Time between fsyncs.
	Interval config.Duration `yaml:"interval" default:"100ms" min:"1ms" max:"1h"`
	// Encrypts what is stored, best as ${env:NAME}. Once given it can't be changed or left out.
	Key string `yaml:"key" default:""`
	// NATS server with JetStream, or several with commas, that keeps the streams in place of this gateway, such as nats://hub:4222. It does the fsyncs, too.
	URL string `yaml:"url"`
	// Prefix of the streams' names at that server: the vehicle's own, where several use one.
	Prefix string `yaml:"prefix" template:"vin,thing"`
	// How many servers of its cluster keep each stream.
	Replicas int `yaml:"replicas" default:"1" min:"1" max:"5"`
	// Loopback address at which the streams can be reached as NATS, by everybody who gets there; without it nowhere.
	ListenNATS string `yaml:"listen_nats"`
	// Bytes a second that all exporters together send at most over the vehicle's links; without it any.
	Rate config.Size `yaml:"rate" min:"100"`
	// The streams; clients may define others.
	Streams []StreamConfig `yaml:"streams"`
}

// StreamConfig is one stream.
type StreamConfig struct {
	// Name of the stream in commands, metrics and topics (stream/<name>/state).
	Name string `yaml:"name" required:"true"`
	// Bytes that it may hold.
	Size config.Size `yaml:"size" default:"256MiB" min:"64KiB"`
	// Bytes that are removed at a time to make room, at least; at most a quarter of size.
	SegmentSize config.Size `yaml:"segment_size" default:"16MiB" min:"1KiB"`
	// Age that messages reach, exported or not; without it any. After a restart of the machine it needs a clock that was right then and is now.
	Age config.Duration `yaml:"age" min:"1s"`
	// Where it is kept: file, or memory, and then it is empty after a restart.
	Storage string `yaml:"storage" default:"file" enum:"file,memory"`
	// What happens when it has reached its size. First goes what all exporters have; then reject refuses what comes, and drop_oldest removes the oldest, exported or not.
	WhenFull string `yaml:"when_full" default:"reject" enum:"reject,drop_oldest"`
	// Whether each append is fsynced before it is acknowledged, whatever sync says.
	Flush bool `yaml:"flush" default:"false"`
	// What comes in by itself; clients and commands may append too.
	Feeds []FeedConfig `yaml:"feeds"`
	// Bytes of published messages that may wait in the store to be taken in. Beyond it, with when_full reject their publishers are refused with reason 0x97, else the oldest of them go.
	FeedQueue config.Size `yaml:"feed_queue" default:"16MiB" min:"64KiB"`
	// Where it goes.
	Exporters []ExporterConfig `yaml:"exporters"`
}

// FeedConfig is one way into a stream: published messages, a recording or a socket.
type FeedConfig struct {
	// Filter of published messages, such as vss/#.
	Filter string `yaml:"filter"`
	// With filter: whether what is retained comes first, at each start.
	Retained bool `yaml:"retained" default:"false"`
	// With filter: what of a message goes in: payload alone, or envelope, a JSON object with topic, time, properties and payload.
	Form string `yaml:"form" default:"payload" enum:"payload,envelope"`
	// Name of a recording of can.record whose blocks go in; they go into no files then.
	Recording string `yaml:"recording"`
	// Path of a Unix socket at which programs hand in messages, each behind its length.
	Socket string `yaml:"socket"`
	// With socket: permissions of it.
	Mode string `yaml:"mode" default:"0660"`
	// With socket: users that may hand in, by number, beside root and the gateway's own; without uids and gids all whom mode lets.
	UIDs []int `yaml:"uids" min:"0"`
	// With socket: groups that may hand in, by number.
	GIDs []int `yaml:"gids" min:"0"`
}

// Values of the configuration.
const (
	syncAlways    = "always"
	storageMemory = "memory"
	authToken     = "token"
	formEnvelope  = "envelope"
)

// Validate checks what tags can't say, and names that are there twice.
func (c *Config) Validate(r *config.Reporter) {
	if c.Listen != "" {
		c.validateListen(r)
	}
	if c.URL != "" {
		for key, given := range map[string]bool{"key": c.Key != "", "listen_nats": c.ListenNATS != "", "size": c.Size != 0} {
			if given {
				r.At(key).Errorf("has no meaning with url: the server there keeps the streams")
			}
		}
	} else if c.Prefix != "" || c.Replicas != 1 {
		r.Errorf("prefix and replicas are for the server at url, which is not there")
	}
	if host, _, err := net.SplitHostPort(c.ListenNATS); c.ListenNATS != "" && (err != nil || !isLoopback(host)) {
		r.At("listen_nats").Errorf("want a loopback address with a port such as 127.0.0.1:4222, got %q", c.ListenNATS)
	}
	memory := config.Size(0)
	names, recordings, sockets := map[string]bool{}, map[string]bool{}, map[string]bool{}
	twice := func(seen map[string]bool, name string, what string, path ...any) {
		if name != "" && seen[name] {
			r.At(path...).Errorf("%s %q is there twice", what, name)
		}
		seen[name] = true
	}
	for i := range c.Streams {
		s := &c.Streams[i]
		twice(names, s.Name, "stream", "streams", i, "name")
		for k, f := range s.Feeds {
			twice(recordings, f.Recording, "recording", "streams", i, "feeds", k, "recording")
			twice(sockets, f.Socket, "socket", "streams", i, "feeds", k, "socket")
		}
		if s.Storage == storageMemory {
			memory += s.Size
		}
		if c.URL != "" && s.Flush {
			r.At("streams", i, "flush").Warnf("the server at url does the fsyncs, as it is set up")
		}
	}
	if memory > c.Memory {
		r.At("memory").Errorf("the streams in memory take %s: want at least that", memory)
	}
}

// validateListen checks the address, and who may come there.
func (c *Config) validateListen(r *config.Reporter) {
	host, port, err := net.SplitHostPort(c.Listen)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
		r.At("listen").Errorf("want host:port such as %s, got %q", protocol.DefaultListen, c.Listen)
		return
	}
	switch {
	case c.Auth == authToken && len(c.Tokens) == 0:
		r.At("tokens").Errorf("auth: token wants one at least")
	case !isLoopback(host) && c.Auth != authToken:
		r.At("auth").Errorf("none is for loopback addresses only: want token at %s", c.Listen)
	case !isLoopback(host) && !c.Plaintext:
		r.At("listen").Errorf("%s is off loopback, and the protocol has no encryption: want plaintext: true if that is meant", c.Listen)
	}
	for i, token := range c.Tokens {
		if token == "" {
			r.At("tokens", i).Errorf("is empty")
		}
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// maxName is how long the name of a stream in the configuration may be.
const maxName = 64

// Validate checks names, and that the exporters can be told apart.
func (c *StreamConfig) Validate(r *config.Reporter) {
	if !isName(c.Name) {
		r.At("name").Errorf("%q: want up to %d letters, digits, hyphens and underscores: it is part of topics", c.Name, maxName)
	}
	if c.Storage == storageMemory && c.Flush {
		r.At("flush").Errorf("memory can't be fsynced")
	}
	seen := map[string]bool{}
	for i, e := range c.Exporters {
		if seen[e.Name] {
			r.At("exporters", i, "name").Errorf("exporter %q is there twice", e.Name)
		}
		seen[e.Name] = true
	}
}

// isName reports whether a name can be part of a topic and an argument.
func isName(name string) bool {
	strange := strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
	return name != "" && len(name) <= maxName && strange == ""
}

// Validate checks that the feed has one source.
func (c *FeedConfig) Validate(r *config.Reporter) {
	given := slices.DeleteFunc([]string{c.Filter, c.Recording, c.Socket}, func(s string) bool { return s == "" })
	if len(given) != 1 {
		r.Errorf("want one of filter, recording and socket")
		return
	}
	if c.Filter != "" {
		if group, _, _ := topic.Shared(c.Filter); group != "" || !topic.ValidFilter(c.Filter) {
			r.At("filter").Errorf("%q: want a filter such as vss/# or ivi/+/state, and no shared one", c.Filter)
		}
	} else if c.Retained || c.Form == formEnvelope {
		r.Errorf("retained and form are for a filter")
	}
	if c.Socket == "" && len(c.UIDs)+len(c.GIDs) > 0 {
		r.Errorf("uids and gids are for a socket")
	}
	if _, err := c.mode(); err != nil {
		r.At("mode").Errorf(`want permissions in octal such as "0660", got %q`, c.Mode)
	}
}

// mode is the permissions of the socket.
func (c *FeedConfig) mode() (fs.FileMode, error) {
	mode, err := strconv.ParseUint(c.Mode, 8, 9)
	return fs.FileMode(mode), err
}

// Resolve makes the paths of files relative to dir, the folder of the configuration
// file.
func (c *Config) Resolve(dir string) {
	resolve := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	resolve(&c.Dir)
	c.ClientExports.resolve(dir)
	for i := range c.Streams {
		for k := range c.Streams[i].Feeds {
			resolve(&c.Streams[i].Feeds[k].Socket)
		}
		for k := range c.Streams[i].Exporters {
			c.Streams[i].Exporters[k].resolve(dir)
		}
	}
}

// definition is the stream as the log has it.
func (c *StreamConfig) definition(always bool) log.Definition {
	return log.Definition{
		Name:        c.Name,
		MaxSize:     int64(c.Size),
		SegmentSize: int64(c.SegmentSize),
		Age:         time.Duration(c.Age),
		Memory:      c.Storage == storageMemory,
		WhenFull:    c.WhenFull,
		Flush:       (c.Flush || always) && c.Storage != storageMemory,
	}
}

// Recordings are the recordings that streams take, each with its stream's name.
func (c *Config) Recordings() map[string]string {
	taken := map[string]string{}
	for i := range c.Streams {
		for _, f := range c.Streams[i].Feeds {
			if f.Recording != "" {
				taken[f.Recording] = c.Streams[i].Name
			}
		}
	}
	return taken
}
