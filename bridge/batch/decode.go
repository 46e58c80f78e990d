package batch

import (
	"bytes"
	"fmt"
	"strings"
)

// Decode unpacks a batch and passes each message to fn, in order, until fn returns
// an error, which it returns as it is. An item's payload is good until fn returns.
// With an empty content type the batch's first bytes tell its form.
//
// A batch that is not as docs/batch.md says is an error that names the place in the
// unpacked batch; the messages before that place may have been passed. Whoever made
// the batch, it takes no more memory than 16 MiB unpacked and what its topics take.
func Decode(payload []byte, contentType string, fn func(Item) error) error {
	form, isPacked := strings.CutSuffix(contentType, packed)
	switch {
	case contentType == "":
		isPacked = bytes.HasPrefix(payload, []byte(zstdMagic))
	case form != ContentTypeJSON && form != ContentTypeCBOR:
		return fmt.Errorf("batch: content type %q: want %s or %s, with or without %s", contentType, ContentTypeJSON, ContentTypeCBOR, packed)
	}
	if len(payload) > MaxSize {
		return fmt.Errorf("batch: %w", errLarge)
	}
	if isPacked {
		var err error
		if payload, err = unpack(payload); err != nil {
			return fmt.Errorf("batch: %w", err)
		}
	}
	if contentType == "" {
		form = ContentTypeJSON
		if bytes.HasPrefix(payload, []byte(selfDescribed)) {
			form = ContentTypeCBOR
		}
	}
	// fn's own error goes through as it is.
	var stopped error
	pass := func(it Item) error {
		stopped = fn(it)
		return stopped
	}
	decode := decodeRows
	if form == ContentTypeCBOR {
		decode = decodeColumns
	}
	if err := decode(payload, pass); err != nil && stopped == nil {
		return fmt.Errorf("batch: %w", err)
	}
	return stopped
}
