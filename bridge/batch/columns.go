package batch

// The form of CBOR. All messages of one topic, content type and kind are a stream;
// its values stand together, as small integers where they can: a signal of a bus
// has steps, and moves few of them at a time.

// version is the first item of a batch in CBOR.
const version = 1

// selfDescribed is the tag that begins a batch in CBOR (RFC 8949 §3.4.6).
const selfDescribed = "\xd9\xd9\xf7"

// What stands around the columns: tag, array of six, version, first time, and the
// heads of four arrays.
const fixedSize = len(selfDescribed) + 1 + 1 + 9 + 4*5

// Places of numbers in a column; noPlaces says that the numbers are floats.
const (
	maxPlaces = 15
	noPlaces  = -1
)

// streamKey tells streams apart.
type streamKey struct {
	topic       string
	contentType string
	kind        kind
}

// stream is the messages of one key.
type stream struct {
	streamKey
	numbers []number
	truths  []bool
	texts   []span // of bytes and texts, in the columns' text
	count   int
}

type span struct{ from, to int }

// columns is the form of CBOR. Streams are used again by the next batch, with the
// memory they have.
type columns struct {
	index   map[streamKey]int
	streams []stream // len is those in use
	order   []uint32 // each message's stream
	times   []int64  // each message's time since the one before, in ms
	text    []byte
	first   int64 // time of the first message, in ms since 1970
	last    int64
	bound   int

	mantissas []int64 // of the column that is written
}

func newColumns() *columns { return &columns{index: map[streamKey]int{}, bound: fixedSize} }

func (f *columns) add(topic string, ms int64, payload []byte, contentType string, limit int) bool {
	read := parseJSON
	if contentType == typeCBOR {
		read = parseCBOR
	}
	v, ok := read(payload)
	if ok {
		ms = v.ms
	} else {
		v = value{kind: kindBytes, text: payload}
	}
	key := streamKey{topic: topic, contentType: contentType, kind: v.kind}
	if len(f.order) == 0 {
		f.first, f.last = ms, ms
	}
	at, known := f.index[key]
	size := 0
	if !known {
		at = len(f.streams)
		size = streamSize(key)
	}
	size += headSize(uint64(at)) + intSize(ms-f.last) + v.size()
	if f.bound+size > limit {
		return false
	}
	if !known {
		f.index[key] = at
		f.open(key)
	}
	f.bound += size
	f.order = append(f.order, uint32(at))
	f.times = append(f.times, ms-f.last)
	f.last = ms

	s := &f.streams[at]
	s.count++
	switch v.kind {
	case kindNumber, kindInteger:
		s.numbers = append(s.numbers, v.num)
	case kindBool:
		s.truths = append(s.truths, v.truth)
	case kindText, kindBytes:
		from := len(f.text)
		f.text = append(f.text, v.text...)
		s.texts = append(s.texts, span{from, len(f.text)})
	}
	return true
}

// open adds a stream, in the memory of one of a batch before.
func (f *columns) open(key streamKey) {
	n := len(f.streams)
	if n < cap(f.streams) {
		f.streams = f.streams[:n+1]
	} else {
		f.streams = append(f.streams, stream{})
	}
	s := &f.streams[n]
	*s = stream{streamKey: key, numbers: s.numbers[:0], truths: s.truths[:0], texts: s.texts[:0]}
}

// size is what a value takes in its column at most.
func (v *value) size() int {
	switch v.kind {
	case kindNumber, kindInteger:
		return 9
	case kindBool:
		return 1
	case kindText, kindBytes:
		return headSize(uint64(len(v.text))) + len(v.text)
	}
	return 0
}

// streamSize is what a stream takes beside its values at most: its topic, kind and
// content type, and the head of its column.
func streamSize(key streamKey) int {
	return 1 + 5 + len(key.topic) + 1 + 5 + len(key.contentType) + columnHead
}

// columnHead is the head of a column of numbers: array, places, base, step, how,
// array.
const columnHead = 1 + 1 + 9 + 9 + 1 + 5

func (f *columns) len() int { return len(f.order) }

func (f *columns) size() int { return f.bound }

func (f *columns) reset() {
	clear(f.index)
	f.streams, f.order, f.times, f.text = f.streams[:0], f.order[:0], f.times[:0], f.text[:0]
	f.bound = fixedSize
}

func (f *columns) append(dst []byte) (batch []byte, marks []int) {
	dst = append(dst, selfDescribed...)
	dst = appendHead(dst, majorArray, 6)
	dst = appendInt(dst, version)
	dst = appendInt(dst, f.first)
	dst = appendHead(dst, majorArray, uint64(len(f.streams)))
	for i := range f.streams {
		dst = f.streams[i].appendKey(dst)
	}
	marks = append(marks, len(dst))
	dst = appendHead(dst, majorArray, uint64(len(f.order)))
	for _, s := range f.order {
		dst = appendHead(dst, majorUint, uint64(s))
	}
	dst = appendHead(dst, majorArray, uint64(len(f.times)))
	for _, ms := range f.times {
		dst = appendInt(dst, ms)
	}
	marks = append(marks, len(dst))
	dst = appendHead(dst, majorArray, uint64(len(f.streams)))
	for i := range f.streams {
		dst = f.appendColumn(dst, &f.streams[i])
	}
	return dst, marks
}

// usualType is the content type that a stream of that kind has without saying so.
func usualType(k kind) string {
	if k == kindBytes {
		return ""
	}
	return typeJSON
}

func (k *streamKey) appendKey(dst []byte) []byte {
	unusual := k.contentType != usualType(k.kind)
	if unusual {
		dst = appendHead(dst, majorArray, 3)
	} else {
		dst = appendHead(dst, majorArray, 2)
	}
	dst = appendText(dst, k.topic)
	dst = appendInt(dst, int64(k.kind))
	if unusual {
		dst = appendText(dst, k.contentType)
	}
	return dst
}

func (f *columns) appendColumn(dst []byte, s *stream) []byte {
	switch s.kind {
	case kindNumber, kindInteger:
		return f.appendNumbers(dst, s.numbers)
	case kindBool:
		dst = appendHead(dst, majorArray, uint64(s.count))
		for _, b := range s.truths {
			dst = appendBool(dst, b)
		}
		return dst
	case kindInvalid:
		return appendHead(dst, majorArray, 0)
	}
	major := byte(majorText)
	if s.kind == kindBytes {
		major = majorBytes
	}
	dst = appendHead(dst, majorArray, uint64(s.count))
	for _, at := range s.texts {
		dst = appendHead(dst, major, uint64(at.to-at.from))
		dst = append(dst, f.text[at.from:at.to]...)
	}
	return dst
}

// appendNumbers writes a column of numbers: [places, base, step, how, [k…]], where a
// number is (base + step × k) ÷ 10^places, and k is written as it is or, if how is
// true, as the difference to the one before; or [-1, [float…]].
func (f *columns) appendNumbers(dst []byte, numbers []number) []byte {
	places, ok := f.scale(numbers)
	if !ok {
		dst = appendHead(dst, majorArray, 2)
		dst = appendInt(dst, noPlaces)
		dst = appendHead(dst, majorArray, uint64(len(numbers)))
		for _, n := range numbers {
			dst = appendFloat(dst, n.float())
		}
		return dst
	}
	ks := f.mantissas
	base, step := ks[0], int64(0)
	for i := range ks {
		ks[i] -= base
		step = divisor(step, ks[i])
	}
	step = max(step, 1)
	whole, moves, before := 0, 0, int64(0)
	for i := range ks {
		ks[i] /= step
		whole += intBits(ks[i])
		moves += intBits(ks[i] - before)
		before = ks[i]
	}
	how := moves < whole
	dst = appendHead(dst, majorArray, 5)
	dst = appendInt(dst, int64(places))
	dst = appendInt(dst, base)
	dst = appendInt(dst, step)
	dst = appendBool(dst, how)
	dst = appendHead(dst, majorArray, uint64(len(ks)))
	before = 0
	for _, k := range ks {
		dst = appendInt(dst, k-before)
		if how {
			before = k
		}
	}
	return dst
}

// scale brings the numbers to the most places that one of them has. It is not ok if
// a float64 could not hold one of them then.
func (f *columns) scale(numbers []number) (places int8, ok bool) {
	least := places
	for _, n := range numbers {
		places, least = max(places, n.places), min(least, n.places)
	}
	if least == noPlaces || places > maxPlaces {
		return 0, false
	}
	f.mantissas = f.mantissas[:0]
	for _, n := range numbers {
		for range places - n.places {
			n.mantissa *= 10
			if n.mantissa < -exact || n.mantissa > exact {
				return 0, false
			}
		}
		f.mantissas = append(f.mantissas, n.mantissa)
	}
	return places, true
}

// divisor is the greatest common divisor of a, at least 0, and b.
func divisor(a, b int64) int64 {
	if b < 0 {
		b = -b
	}
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
