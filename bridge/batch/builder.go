package batch

import (
	"bytes"
	"encoding/base64"
	"time"
)

// Builder gathers messages and makes a payload of them. It keeps its memory from
// batch to batch, so adding allocates nothing in the long run. It is not safe for
// concurrent use.
type Builder struct {
	config Config
	form   form
	plain  []byte // of the last batch, before it was compressed
}

// form is how a format gathers messages. What it holds stands for one batch.
type form interface {
	// add takes a message unless the batch would then be of more than limit bytes.
	add(topic string, ms int64, payload []byte, contentType string, limit int) bool
	len() int
	// size is what the batch takes at most, before compression.
	size() int
	// append writes the batch; marks are the places in it between which the bytes
	// are of one sort.
	append(dst []byte) (batch []byte, marks []int)
	reset()
}

// NewBuilder makes an empty builder for a validated configuration.
func NewBuilder(c Config) *Builder {
	b := &Builder{config: c, form: &rows{}}
	if c.Format == CBOR {
		b.form = newColumns()
	}
	return b
}

// Add adds a message that was accepted at that time, if it fits; if not, the batch
// stays as it was. A message that an empty batch does not take never fits: it goes
// by itself. The payload is copied. The time's year must be 0 to 9999.
func (b *Builder) Add(topic string, at time.Time, payload []byte, contentType string) bool {
	return b.form.len() < b.config.Count && inRange(at.UnixMilli()) &&
		b.form.add(topic, at.UnixMilli(), payload, contentType, int(b.config.Size))
}

// Len is how many messages there are.
func (b *Builder) Len() int { return b.form.len() }

// Size is what the payload takes at most, in bytes.
func (b *Builder) Size() int { return b.form.size() }

// Seal makes the payload of what was added, with its content type, and empties the
// builder. The payload is the caller's own, at most Size bytes; nil of an empty
// batch. A batch that does not become smaller is not compressed, whatever the
// configuration says.
func (b *Builder) Seal() (payload []byte, contentType string) {
	contentType = ContentTypeJSON
	if b.config.Format == CBOR {
		contentType = ContentTypeCBOR
	}
	if b.form.len() == 0 {
		return nil, contentType
	}
	plain, marks := b.form.append(b.plain[:0])
	b.plain = plain
	b.form.reset()
	if b.config.packs() {
		if small := pack(plain, marks); len(small) < len(plain) {
			return small, contentType + packed
		}
	}
	return bytes.Clone(plain), contentType
}

// Reset drops what was added.
func (b *Builder) Reset() { b.form.reset() }

// rows is the form of JSON.
type rows struct {
	text  []byte
	count int
}

func (f *rows) add(topic string, ms int64, payload []byte, contentType string, limit int) bool {
	// A row takes at least its payload, in base64 four thirds of it: what can't fit
	// isn't copied. The rest is told by writing the row, and taking it back.
	if len(f.text)+len(topic)+len(payload) > limit {
		return false
	}
	before := len(f.text)
	if before == 0 {
		f.text = append(f.text, '[')
	} else {
		f.text = append(f.text, ",\n"...)
	}
	f.text = appendRow(f.text, topic, ms, payload, contentType)
	if f.size() > limit {
		f.text = f.text[:before]
		return false
	}
	f.count++
	return true
}

func (f *rows) len() int { return f.count }

func (f *rows) size() int { return len(f.text) + len("]") }

func (f *rows) append(dst []byte) ([]byte, []int) {
	return append(append(dst, f.text...), ']'), nil
}

func (f *rows) reset() { f.text, f.count = f.text[:0], 0 }

// AppendRow appends a message as a row of a batch in JSON: topic, ts and one of
// value, payload, text and base64.
func AppendRow(dst []byte, it Item) []byte {
	return appendRow(dst, it.Topic, it.Time.UnixMilli(), it.Payload, it.ContentType)
}

func appendRow(dst []byte, topic string, ms int64, payload []byte, contentType string) []byte {
	usual := ""
	v, isValue := value{}, false
	if contentType != typeCBOR {
		v, isValue = parseJSON(payload)
	}
	if isValue {
		ms, usual = v.ms, typeJSON
	}
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, topic)
	dst = append(dst, `,"ts":"`...)
	dst = appendStamp(dst, ms)
	dst = append(dst, '"')
	switch {
	case isValue:
		dst = append(append(dst, `,"value":`...), v.token...)
		if v.kind == kindInvalid {
			dst = append(dst, `,"quality":"invalid"`...)
		}
	case isPlainJSON(payload):
		dst = append(append(dst, `,"payload":`...), payload...)
	case isText(payload):
		dst = append(dst, `,"text":`...)
		dst = appendString(dst, string(payload))
	default:
		dst = append(dst, `,"base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, payload)
		dst = append(dst, '"')
	}
	if contentType != usual {
		dst = append(dst, `,"content_type":`...)
		dst = appendString(dst, contentType)
	}
	return append(dst, '}')
}
