package s3

import (
	"bytes"
	"context"
	"io"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// chunkBytes of payloads are compressed together, chunkMessages at most.
const (
	chunkBytes    = 1 << 20
	chunkMessages = 20_000
)

// work sends what is to be sent now.
func (t *Target) work(ctx context.Context) error {
	for {
		over := t.until > 0 && clock.Now() >= t.until
		switch o := &t.object; {
		case o.Whole:
			if err := t.complete(ctx); err != nil {
				return err
			}
			continue
		case t.taken == o.First:
			return nil
		case t.taken == o.Next && !over, !over && float64(t.waiting)*t.ratio < float64(t.room()):
			return nil
		case t.taken == o.Next:
			o.Whole = true // after a restart: nothing more has come
			continue
		}
		p, err := t.build(ctx)
		if err != nil {
			return err
		}
		if err := t.upload(ctx, &p, over); err != nil {
			return err
		}
		t.body = t.body[:0]
		if t.taken == t.object.First { // nothing waits, perhaps for long
			t.body, t.chunk = nil, nil
		}
	}
}

// room is how long the next part is to be.
func (t *Target) room() int64 {
	return min(int64(t.config.PartSize), max(1, int64(t.config.Size)-t.object.Size))
}

// built is a part that was read from the stream; its bytes are in Target.body.
type built struct {
	key   string // of the object, if it begins with the part
	epoch uint32
	first uint64 // of its messages
	next  uint64 // behind them
	read  int64  // bytes of them, as Target.waiting counts
	ends  bool   // what follows does not belong into this object
}

// build reads messages from the stream until a part is full or all of them are read.
func (t *Target) build(ctx context.Context) (built, error) {
	o := &t.object
	p := built{epoch: o.Epoch, first: o.Next, next: o.Next}
	t.body = t.body[:0]
	for room := t.room(); int64(len(t.body)) < room && p.next < t.taken && !p.ends; {
		if err := t.readChunk(ctx, p.next); err != nil {
			return p, err
		}
		switch {
		case len(t.chunk) == 0:
			t.tellMissing(p.next, t.taken)
			p.skip(o, t.taken)
			continue
		case t.chunk[0].Seq != p.next || t.chunk[0].Epoch != p.epoch && !p.begins(o):
			if t.chunk[0].Seq != p.next {
				t.tellMissing(p.next, t.chunk[0].Seq)
			}
			p.skip(o, t.chunk[0].Seq)
			if p.ends {
				continue
			}
		}
		if p.begins(o) {
			p.epoch, p.key = t.chunk[0].Epoch, t.keys.of(&t.chunk[0], o.Extension())
		}
		run := t.chunk[:pack.Run(t.chunk)]
		t.body = t.packer.Append(t.body, run)
		for i := range run {
			p.read += int64(len(run[i].Payload)) + messageOverhead
		}
		p.next = run[len(run)-1].Seq + 1
	}
	clear(t.chunk)
	return p, nil
}

// begins reports whether nothing is in the object and the part yet.
func (p *built) begins(o *object) bool { return len(o.Parts) == 0 && p.next == p.first }

// skip leaves out messages that are not there: an object ends before them, or begins
// behind them.
func (p *built) skip(o *object, seq uint64) {
	if p.begins(o) {
		p.first, p.next = seq, seq
	} else {
		p.ends = true
	}
}

// readChunk reads messages that were handed over.
func (t *Target) readChunk(ctx context.Context, from uint64) error {
	t.chunk = t.chunk[:0]
	_, err := t.env.Stream.ReadSynced(ctx, from, chunkMessages, chunkBytes, func(m log.Message) bool {
		if m.Seq >= t.taken {
			return false
		}
		t.chunk = append(t.chunk, m)
		return true
	})
	return err
}

func (t *Target) tellMissing(from, to uint64) {
	t.log.Error("messages were removed or lost before they were exported", "messages", to-from, "before", to)
}

// upload sends a part, or the whole object if it is its only one. A part that is too
// small goes only if the object ends with it.
func (t *Target) upload(ctx context.Context, p *built, over bool) error {
	o := &t.object
	size := int64(len(t.body))
	if p.next == p.first {
		if o.Whole = len(o.Parts) > 0; !o.Whole { // nothing is left of what was handed over
			o.First, o.Next, t.waiting = p.next, p.next, 0
		}
		return nil
	}
	t.ratio = float64(size) / float64(p.read)
	last := p.ends || over && p.next == t.taken || o.Size+size >= int64(t.config.Size)
	if !last && size < int64(t.config.PartSize) { // it became smaller than was thought
		t.waiting = p.read
		return nil
	}
	if len(o.Parts) == 0 {
		o.First, o.Next, o.Epoch, o.Key = p.first, p.first, p.epoch, p.key
	}
	body := func() io.ReadSeeker { return bytes.NewReader(t.body) }
	at := t.place()
	if last && len(o.Parts) == 0 && o.Upload == "" {
		if err := t.store.put(ctx, at, body, size); err != nil {
			return err
		}
		return t.done(p)
	}
	if o.Upload == "" {
		upload, err := t.store.begin(ctx, at)
		if err != nil {
			return err
		}
		o.Upload = upload
		if err := t.journal.write(o); err != nil {
			return err
		}
	}
	part, err := t.store.part(ctx, at, o.Upload, len(o.Parts)+1, body, size)
	if gone.is(err) {
		t.again(err)
		return nil
	}
	if err != nil {
		return err
	}
	o.Parts = append(o.Parts, part)
	o.Size += size
	o.Next, o.Whole = p.next, last
	t.waiting = max(0, t.waiting-p.read)
	return t.journal.write(o)
}

func (t *Target) place() *place {
	return &place{bucket: t.object.Bucket, key: t.object.Key, contentType: t.config.ContentType}
}

// complete makes the object of its parts.
func (t *Target) complete(ctx context.Context) error {
	o := &t.object
	if !t.unsure || !t.store.has(ctx, t.place(), o.Size) {
		t.unsure = true
		err := t.store.complete(ctx, t.place(), o.Upload, o.Parts)
		if gone.is(err) && !t.store.has(ctx, t.place(), o.Size) {
			t.again(err)
			return nil
		}
		if err != nil && !gone.is(err) {
			return err
		}
	}
	return t.done(&built{epoch: o.Epoch, next: o.Next})
}

// done writes down that all before a message is in S3, and begins the next object. What
// was handed over for it waits already.
func (t *Target) done(p *built) error {
	taken, waiting := t.taken, max(0, t.waiting-p.read)
	t.object.Upload = ""
	t.startAt(p.next)
	t.object.Epoch = p.epoch
	t.taken = taken
	if taken > p.next {
		t.waiting = waiting
	}
	return t.journal.write(&t.object)
}

// again begins the object anew, from the stream: its upload is there no more.
func (t *Target) again(reason error) {
	o := &t.object
	t.log.Warn("an upload is gone: its object is sent again", "key", o.Key, "upload", o.Upload, "error", reason)
	t.waiting += int64(float64(o.Size) / t.ratio)
	o.Upload, o.Parts, o.Size, o.Next, o.Whole = "", nil, 0, o.First, false
	t.unsure = false
}
