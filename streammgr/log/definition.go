package log

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"
)

// What a definition gets where it says nothing, and its bounds.
const (
	DefaultMaxSize     = 256 << 20 // as clients of the Stream Manager expect it
	DefaultSegmentSize = 16 << 20
	MinMaxSize         = 1 << 10
	MaxName            = 255 // bytes
	MinAge             = time.Second
)

// Ways of a stream that has reached its size.
const (
	// Reject refuses what comes with ErrFull, once nothing is left that all
	// exporters have.
	Reject = "reject"
	// DropOldest removes the oldest messages, whoever has them or not.
	DropOldest = "drop_oldest"
)

// Definition is what a stream is to be. It is kept with the stream.
type Definition struct {
	// Name of the stream: 1 to 255 bytes of UTF-8 without control characters.
	Name string `json:"name"`
	// MaxSize in bytes that the stream may hold, with what is stored beside the
	// payloads; 256 MiB.
	MaxSize int64 `json:"max_size,omitempty"`
	// SegmentSize in bytes that are removed at a time to make room, at least; 16
	// MiB, at most a quarter of MaxSize. On disk whole files of 8 MB go, of 2 MB in
	// an encrypted one.
	SegmentSize int64 `json:"segment_size,omitempty"`
	// Age that messages reach, exported or not; 0 for any. After a restart of the
	// machine it needs a clock that was right then and is now: what has no known age
	// stays.
	Age time.Duration `json:"age,omitempty"`
	// Memory keeps the stream in memory: it is empty after a restart.
	Memory bool `json:"memory,omitempty"`
	// WhenFull is Reject or DropOldest; Reject.
	WhenFull string `json:"when_full,omitempty"`
	// Flush has each append fsynced before it is acknowledged. Otherwise it is in
	// the kernel's hands then, and synced some Options.SyncInterval later.
	Flush bool `json:"flush,omitempty"`
	// Meta is for whoever made the stream: kept, handed back, not looked at. 64 KiB.
	Meta map[string]string `json:"meta,omitempty"`
}

const maxMeta = 64 << 10

// complete fills in what is not said and tells what can't be.
func (d *Definition) complete() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("streams: %w definition of %q: %s", ErrInvalid, d.Name, fmt.Sprintf(format, args...))
	}
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if d.Name == "" || len(d.Name) > MaxName || !utf8.ValidString(d.Name) || strings.ContainsFunc(d.Name, control) {
		return bad("want a name of 1 to %d bytes of UTF-8 without control characters", MaxName)
	}
	if d.MaxSize == 0 {
		d.MaxSize = DefaultMaxSize
	}
	if d.MaxSize < MinMaxSize {
		return bad("max size %d: want at least %d", d.MaxSize, MinMaxSize)
	}
	if d.SegmentSize == 0 {
		d.SegmentSize = min(DefaultSegmentSize, d.MaxSize/4)
	}
	if d.SegmentSize < 0 {
		return bad("segment size %d: want at least 0", d.SegmentSize)
	}
	if d.Age != 0 && d.Age < MinAge {
		return bad("age %v: want at least %v, or 0", d.Age, MinAge)
	}
	if d.WhenFull == "" {
		d.WhenFull = Reject
	}
	if d.WhenFull != Reject && d.WhenFull != DropOldest {
		return bad("when full %q: want %s or %s", d.WhenFull, Reject, DropOldest)
	}
	size := 0
	for k, v := range d.Meta {
		size += len(k) + len(v)
	}
	if size > maxMeta {
		return bad("meta of %d bytes: want at most %d", size, maxMeta)
	}
	d.Meta = maps.Clone(d.Meta)
	return nil
}

// segment is how many bytes are removed at a time.
func (d *Definition) segment() int64 { return max(1, min(d.SegmentSize, d.MaxSize/4)) }

// metadata is where JetStream keeps a definition.
const metadata = "fascia-stream"

func (d *Definition) encode() map[string]string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return map[string]string{metadata: string(b)}
}

// definitionOf is the definition in a stream's metadata; false if the stream is
// not one of this package.
func definitionOf(meta map[string]string) (d Definition, ok bool) {
	text, ok := meta[metadata]
	if !ok || json.Unmarshal([]byte(text), &d) != nil || d.complete() != nil {
		return Definition{}, false
	}
	return d, true
}
