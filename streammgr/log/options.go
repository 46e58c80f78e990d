package log

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/fascia-edge/fascia/clock"
)

// What options are where they say nothing, and their bounds.
const (
	DefaultSyncInterval = 100 * time.Millisecond
	DefaultMaxMessage   = 1 << 20 // as the Stream Manager's clients have it
	DefaultMaxMemory    = 64 << 20
	DefaultReserve      = 64 << 20
	// DefaultCheckpointInterval is a page of 4 kB written a second, at most.
	DefaultCheckpointInterval = time.Second

	maxMaxMessage = 10 << 20 // the largest record that Kinesis takes
)

// Options of an engine; zero values mean the defaults.
type Options struct {
	// Dir is the folder of the streams, made if it is missing; nobody else may use
	// it meanwhile.
	Dir string
	// URL of a NATS server with JetStream, or several with commas, that keeps the
	// streams in place of this process. What it acknowledges counts as synced. In
	// Dir are the checkpoints then.
	URL string
	// Connect are further options of the connection to URL: credentials, certificates.
	Connect []nats.Option
	// Prefix of the streams' names at the server, for several vehicles at one.
	Prefix string
	// Replicas of a stream at a cluster; 1.
	Replicas int
	// Key encrypts what is stored in this process. Given for the first time it
	// encrypts what is there; it can't be changed or left out afterwards.
	Key string
	// SyncInterval between fsyncs; 100 ms.
	SyncInterval time.Duration
	// CheckpointInterval between writes of checkpoints, at least; 1 s. A crash takes
	// back what an exporter set in it, and it exports that again.
	CheckpointInterval time.Duration
	// MaxStore in bytes that all streams on disk may take; 0 for no bound but
	// Reserve and their own.
	MaxStore int64
	// MaxMemory in bytes that the streams in memory may be defined to take; 64 MiB.
	MaxMemory int64
	// Reserve in bytes is left free on the file system; 64 MiB. Below it streams are
	// as if full.
	Reserve int64
	// MaxMessage in bytes is the longest message; 1 MiB, at most 10 MiB.
	MaxMessage int
	// Listen opens a NATS port at a loopback address, for everybody who reaches it;
	// none.
	Listen string
	// Log is told what an operator should know; slog.Default().
	Log *slog.Logger
	// Clock judges ages; one that trusts the kernel.
	Clock *clock.Clock
}

func (o *Options) complete() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("streams: %w options: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	setDefault(&o.SyncInterval, DefaultSyncInterval)
	setDefault(&o.CheckpointInterval, DefaultCheckpointInterval)
	setDefault(&o.MaxMemory, DefaultMaxMemory)
	setDefault(&o.Reserve, DefaultReserve)
	setDefault(&o.MaxMessage, DefaultMaxMessage)
	setDefault(&o.Replicas, 1)
	setDefault(&o.Log, slog.Default())
	if o.Clock == nil {
		o.Clock = clock.New(clock.TrustKernel)
	}
	switch {
	case o.Dir == "":
		return bad("want a folder")
	case o.MaxMessage < 1 || o.MaxMessage > maxMaxMessage:
		return bad("messages of %d bytes: want 1 to %d", o.MaxMessage, maxMaxMessage)
	case o.SyncInterval < 0 || o.CheckpointInterval < 0 || o.MaxMemory < 0 || o.Reserve < 0 || o.MaxStore < 0:
		return bad("want no negative sizes and times")
	case o.Key != "" && o.URL != "":
		return bad("a key encrypts what is stored here, and at %s it is not", redacted(o.URL))
	case strings.ContainsFunc(o.Prefix, func(r rune) bool { return r != '-' && r != '_' && (r < '0' || r > '9') && (r|32 < 'a' || r|32 > 'z') }):
		return bad("prefix %q: want letters, digits, hyphens and underscores", o.Prefix)
	}
	if o.Listen != "" {
		_, _, err := loopback(o.Listen)
		return err
	}
	return nil
}

func setDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// redacted is a list of URLs without the passwords in them.
func redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		if at := strings.LastIndexByte(u, '@'); at >= 0 {
			list[i] = "…" + u[at:]
		}
	}
	return strings.Join(list, ",")
}
