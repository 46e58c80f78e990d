package s3

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// object is what S3 has of an object, as it is written down after each part. Between
// two objects it says only up to where all is done: the stream's own checkpoint is
// written less often.
type object struct {
	Bucket string `json:"bucket"`
	pack.Config
	Key    string `json:"key,omitempty"`
	Upload string `json:"upload,omitempty"`
	Epoch  uint32 `json:"epoch"` // of its messages
	First  uint64 `json:"first"` // of them
	Next   uint64 `json:"next"`  // behind those in S3
	Size   int64  `json:"size,omitempty"`
	Parts  []Part `json:"parts,omitempty"`
	Whole  bool   `json:"whole,omitempty"` // it has all its parts, and is to be completed
}

// journal keeps one value over restarts. Without a keeper it keeps nothing.
type journal struct {
	keeper export.Keeper
	key    string
}

func (j journal) write(value any) error {
	if j.keeper == nil {
		return nil
	}
	text, err := json.Marshal(value)
	if err == nil {
		err = j.keeper.Put(j.key, text)
	}
	if err != nil {
		return fmt.Errorf("s3: what was sent can't be written down: %w", err)
	}
	return nil
}

// read fills value; false if there is nothing, or nothing that can be read.
func (j journal) read(value any) bool {
	if j.keeper == nil {
		return false
	}
	text := j.keeper.Get(j.key)
	return len(text) > 0 && json.Unmarshal(text, value) == nil
}

// resume goes on with the object that an earlier target has left, if its messages are
// those of the stream, and it is to go where it went.
func (t *Target) resume(ctx context.Context) {
	var o object
	if !t.journal.read(&o) {
		return
	}
	if o.Bucket != t.config.Bucket || o.Config != t.config.Config || !t.follows(ctx, &o) {
		if o.Upload != "" {
			t.left = append(t.left, o)
		}
		return
	}
	t.object, t.taken, t.resumed = o, o.Next, true
	t.unsure = o.Whole
	t.until = t.end()
}

// follows reports whether the stream still is the one that an object was made of: its
// last message there is the stream's. One that was made anew has the same sequences,
// and another epoch. What was sent was synced, so it need not be so again.
func (t *Target) follows(ctx context.Context, o *object) bool {
	if o.Next == o.First && len(o.Parts) == 0 && o.Upload != "" || o.Next == 0 {
		return false // begun, and nothing more
	}
	same := false
	_, err := t.env.Stream.Read(ctx, o.Next-1, 1, 1, func(m log.Message) bool {
		same = m.Seq == o.Next-1 && m.Epoch == o.Epoch
		return false
	})
	return err == nil && same
}
