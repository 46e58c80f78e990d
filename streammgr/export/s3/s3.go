// Package s3 exports streams to objects in Amazon S3, and uploads the files that tasks
// of the Stream Manager name.
//
// An object holds messages that follow one another without a gap, and is complete after
// a time or a size. Until then its messages stay in the stream: the target counts what
// it is handed, and reads a part's worth from the stream again when it sends it. What S3
// has of an object is written down after each part, so that a gateway which was killed
// goes on behind it. Messages are done when S3 has the whole object.
//
// An upload that is begun and never ended costs money: a lifecycle rule of the bucket
// (AbortIncompleteMultipartUpload) should end those of vehicles that are no more.
package s3

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// BatchBytes is what suits as a batch of a Target: it is only counted.
const BatchBytes = 1 << 20

// Env is what a target is told of where it runs.
type Env struct {
	Stream   *log.Stream
	Exporter string
	Keeper   export.Keeper // nil forgets at a restart what S3 has of an object
	awscreds.Vehicle
	Log *slog.Logger // slog.Default()
}

// logger is Log with who writes.
func (e *Env) logger() *slog.Logger {
	l := e.Log
	if l == nil {
		l = slog.Default()
	}
	return l.With("stream", e.Stream.Name(), "exporter", e.Exporter)
}

// Target makes objects of messages. Its methods are for one goroutine at a time.
type Target struct {
	config  Config
	env     Env
	log     *slog.Logger
	store   *store
	keys    keyTemplate
	packer  *pack.Packer
	journal journal

	object  object
	unsure  bool       // it may be complete already: the answer was lost, or the gateway was killed
	resumed bool       // from the journal, and nothing was sent since
	taken   uint64     // first message that was not handed over
	waiting int64      // bytes of messages handed over and not sent, before compression, about
	ratio   float64    // of what they are packed to that
	until   clock.Time // when the object is complete, however small; 0 for never
	tended  clock.Time // when Send went well last
	left    []object   // uploads of earlier configurations, to be given up

	chunk []log.Message
	body  []byte
}

// New makes a target that goes on with what an earlier one has left. It does not go
// over the network: that there is no such bucket is what Send says.
func New(ctx context.Context, c Config, env Env) (*Target, error) {
	keys, err := parseKey(c.Key, map[string]string{"vin": env.VIN, "thing": env.Thing, "stream": env.Stream.Name()})
	if err != nil {
		return nil, fmt.Errorf("s3: key: %w", err)
	}
	packer, err := pack.New(c.Config)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	store, err := newStore(ctx, &c.Service, env.Vehicle)
	if err != nil {
		return nil, err
	}
	t := &Target{
		config: c, env: env, log: env.logger(), store: store, keys: keys, packer: packer,
		journal: journal{env.Keeper, "s3/" + env.Stream.Name() + "/" + env.Exporter},
		ratio:   1,
	}
	t.resume(ctx)
	return t, nil
}

// Held tells of the object that is open.
func (t *Target) Held() (checkpoint, next uint64) {
	if t.taken == t.object.First && !t.resumed {
		return 0, 0
	}
	return t.object.First, t.taken
}

// Send takes a batch, after it has sent a part or completed an object if it was time.
// Messages that the stream removes before they are sent are missing in S3, and logged.
func (t *Target) Send(ctx context.Context, batch []log.Message) (export.Sent, error) {
	if len(batch) > 0 && batch[0].Seq < t.taken {
		t.startAt(batch[0].Seq) // the stream is exported anew
	}
	t.giveUp(ctx)
	t.resumed = false
	err := t.work(ctx)
	sent := export.Sent{Bytes: t.store.spent()}
	if err != nil {
		return sent, err
	}
	t.tended = clock.Now()
	t.take(batch)
	sent.Done = len(batch)
	return sent, nil
}

// messageOverhead is about what a message takes beside its payload.
const messageOverhead = 8

// take counts a batch.
func (t *Target) take(batch []log.Message) {
	if len(batch) == 0 {
		return
	}
	if t.taken == t.object.First {
		t.startAt(batch[0].Seq)
	}
	for i := range batch {
		t.waiting += int64(len(batch[i].Payload)) + messageOverhead
	}
	t.taken = batch[len(batch)-1].Seq + 1
}

// startAt begins an object, and leaves the open one, if there is one, to be given up.
func (t *Target) startAt(seq uint64) {
	if t.object.Upload != "" {
		t.left = append(t.left, t.object)
	}
	t.object = object{Bucket: t.config.Bucket, Config: t.config.Config, First: seq, Next: seq}
	t.taken, t.waiting, t.unsure = seq, 0, false
	t.until = t.end()
}

// end is when an object that begins now is complete.
func (t *Target) end() clock.Time {
	if t.config.Every == 0 {
		return 0
	}
	return clock.Now() + clock.Time(t.config.Every)
}

// giveUp gives up uploads that nobody goes on with.
func (t *Target) giveUp(ctx context.Context) {
	for ; len(t.left) > 0; t.left = t.left[1:] {
		o := &t.left[0]
		err := t.store.abort(ctx, &place{bucket: o.Bucket, key: o.Key}, o.Upload)
		if transient.is(err) || throttled.is(err) || ctx.Err() != nil {
			return
		}
		if err != nil {
			t.log.Warn("an upload is left behind: the bucket's lifecycle rule may end it", "bucket", o.Bucket, "key", o.Key, "upload", o.Upload, "error", err)
		}
	}
}

// lately is how long after a Send that went well the target may still send something
// by itself: longer ago, the exporter is held or the link is down.
const lately = 5 * clock.Second

// Close completes the object, if the exporter may send just now; else the next target
// goes on with it.
func (t *Target) Close(ctx context.Context) error {
	defer t.store.close()
	if t.taken == t.object.First || clock.Now()-t.tended > lately {
		return nil
	}
	t.until = clock.Now()
	if err := t.work(ctx); err != nil {
		return fmt.Errorf("an object is completed later: %w", err)
	}
	return nil
}
