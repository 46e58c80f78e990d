package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// row is a message in a batch of JSON.
type row struct {
	Topic       *string         `json:"topic"`
	TS          string          `json:"ts"`
	Value       json.RawMessage `json:"value"`
	Quality     string          `json:"quality"`
	Payload     json.RawMessage `json:"payload"`
	Text        *string         `json:"text"`
	Base64      []byte          `json:"base64"`
	ContentType *string         `json:"content_type"`
}

// decodeRows reads a batch of JSON. A member that it doesn't know is left alone.
func decodeRows(plain []byte, fn func(Item) error) error {
	d := json.NewDecoder(bytes.NewReader(plain))
	at := func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the batch is cut off")
		}
		return fmt.Errorf("byte %d: %w", d.InputOffset(), err)
	}
	if open, err := d.Token(); err != nil {
		return at(err)
	} else if open != json.Delim('[') {
		return at(fmt.Errorf("%v: want a list", open))
	}
	for count := 0; d.More(); count++ {
		if count == MaxCount {
			return at(fmt.Errorf("more messages follow: want at most %d", MaxCount))
		}
		var r row
		if err := d.Decode(&r); err != nil {
			return at(err)
		}
		it, err := r.item()
		if err != nil {
			return at(err)
		}
		if err := fn(it); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return at(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return at(errors.New("something follows the list"))
	}
	return nil
}

// item is the message that was added.
func (r *row) item() (Item, error) {
	if r.Topic == nil {
		return Item{}, errors.New("a message without topic")
	}
	ms, ok := parseStamp([]byte(r.TS))
	if !ok {
		return Item{}, fmt.Errorf("ts %q: want a time such as %s", r.TS, stampLayout)
	}
	it := Item{Topic: *r.Topic, Time: time.UnixMilli(ms).UTC()}
	given := 0
	if r.Value != nil {
		given++
		it.ContentType = typeJSON
		tail := jsonTail
		if r.Quality != "" {
			tail = jsonInvalid
		}
		it.Payload = append([]byte(jsonHead), r.Value...)
		it.Payload = append(it.Payload, jsonStamp...)
		it.Payload = append(append(it.Payload, r.TS...), tail...)
	}
	if r.Payload != nil {
		given++
		it.Payload = r.Payload
	}
	if r.Text != nil {
		given++
		it.Payload = []byte(*r.Text)
	}
	if r.Base64 != nil {
		given++
		it.Payload = r.Base64
	}
	if given != 1 {
		return Item{}, fmt.Errorf("%d of value, payload, text and base64: want one", given)
	}
	if r.ContentType != nil {
		it.ContentType = *r.ContentType
	}
	return it, nil
}
