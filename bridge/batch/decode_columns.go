package batch

import (
	"bytes"
	"math"
	"time"
)

// decodeColumns reads a batch of CBOR. Order, times and columns are read side by
// side; nothing but the streams is held in memory.
func decodeColumns(plain []byte, fn func(Item) error) error {
	r := reader{data: plain}
	if !bytes.HasPrefix(plain, []byte(selfDescribed)) {
		return r.errorf("want the tag %x, which begins a batch", selfDescribed)
	}
	r.at += len(selfDescribed)
	if err := r.array(6); err != nil {
		return err
	}
	if _, err := r.intWithin(version, version); err != nil {
		return err
	}
	ms, err := r.int()
	if err != nil {
		return err
	}
	streams, err := readStreams(&r)
	if err != nil {
		return err
	}

	order := r
	count, err := readOrder(&r, streams)
	if err != nil {
		return err
	}
	times := r
	if err := r.array(count); err != nil {
		return err
	}
	for range count {
		if _, err := r.int(); err != nil {
			return err
		}
	}
	if err := r.array(len(streams)); err != nil {
		return err
	}
	for i := range streams {
		if err := streams[i].find(&r); err != nil {
			return err
		}
	}
	if r.at != len(plain) {
		return r.errorf("%d bytes follow the batch", len(plain)-r.at)
	}

	_, _ = order.list()
	_, _ = times.list()
	var payload []byte
	for range count {
		n, _ := order.int()
		begin := times
		step, _ := times.int()
		ms += step // wraps around at worst, and is then out of range or not
		if !inRange(ms) {
			return begin.errorf("the time lies outside the years 0 to 9999")
		}
		s := &streams[n]
		v, err := s.next()
		if err != nil {
			return err
		}
		v.ms = ms
		it := Item{Topic: s.topic, Time: time.UnixMilli(ms).UTC(), ContentType: s.contentType, Payload: v.text}
		switch {
		case v.kind == kindBytes:
		case s.contentType == typeCBOR:
			payload = v.appendCBOR(payload[:0])
			it.Payload = payload
		default:
			payload = v.appendJSON(payload[:0])
			it.Payload = payload
		}
		if err := fn(it); err != nil {
			return err
		}
	}
	return nil
}

// source is a stream that is read.
type source struct {
	streamKey
	count  int    // messages that the order has of it
	values reader // where its next value stands

	places, base, step int64 // of numbers
	moves              bool
	k                  int64
}

func readStreams(r *reader) ([]source, error) {
	n, err := r.list()
	if err != nil {
		return nil, err
	}
	var streams []source
	for range n {
		begin := *r
		parts, err := r.head(majorArray)
		if err != nil {
			return nil, err
		}
		if parts != 2 && parts != 3 {
			return nil, begin.errorf("an array of %d: want topic, kind and at most a content type", parts)
		}
		topic, err := r.bytes(majorText)
		if err != nil {
			return nil, err
		}
		number, err := r.intWithin(0, int64(kinds)-1)
		if err != nil {
			return nil, err
		}
		s := source{streamKey: streamKey{topic: string(topic), kind: kind(number)}}
		s.contentType = usualType(s.kind)
		if parts == 3 {
			contentType, err := r.bytes(majorText)
			if err != nil {
				return nil, err
			}
			s.contentType = string(contentType)
		}
		if s.kind == kindInteger && s.contentType != typeCBOR {
			return nil, begin.errorf("kind %d: want it with content type %s alone", kindInteger, typeCBOR)
		}
		streams = append(streams, s)
	}
	return streams, nil
}

// readOrder counts the messages of each stream.
func readOrder(r *reader, streams []source) (count int, err error) {
	if count, err = r.list(); err != nil {
		return 0, err
	}
	for range count {
		n, err := r.intWithin(0, int64(len(streams))-1)
		if err != nil {
			return 0, err
		}
		streams[n].count++
	}
	return count, nil
}

// find reads the head of the stream's column and skips its values.
func (s *source) find(r *reader) error {
	switch s.kind {
	case kindInvalid:
		return r.array(0)
	case kindNumber, kindInteger:
		if err := s.findNumbers(r); err != nil {
			return err
		}
	}
	if err := r.array(s.count); err != nil {
		return err
	}
	s.values = *r
	for range s.count {
		var err error
		switch {
		case s.kind == kindBool:
			_, err = r.bool()
		case s.kind == kindText:
			err = s.checkText(r)
		case s.kind == kindBytes:
			_, err = r.bytes(majorBytes)
		case s.places == noPlaces:
			_, err = r.float()
		default:
			_, err = r.int()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses a text that would not be what a value in JSON is.
func (s *source) checkText(r *reader) error {
	begin := *r
	text, err := r.bytes(majorText)
	if err == nil && s.contentType != typeCBOR && !isPrintable(text) {
		return begin.errorf("a text with more than plain ASCII: want such a payload as bytes")
	}
	return err
}

func (s *source) findNumbers(r *reader) (err error) {
	begin := *r
	parts, err := r.list()
	if err != nil {
		return err
	}
	most := int64(maxPlaces)
	if s.kind == kindInteger {
		most = 0
	}
	if s.places, err = r.intWithin(noPlaces, most); err != nil {
		return err
	}
	if s.places == noPlaces {
		if parts != 2 || s.kind == kindInteger {
			return begin.errorf("an array of %d with %d places: want two items, and numbers with a fraction", parts, noPlaces)
		}
		return nil
	}
	if parts != 5 {
		return begin.errorf("an array of %d: want places, base, step, how and numbers", parts)
	}
	if s.base, err = r.intWithin(-exact, exact); err != nil {
		return err
	}
	if s.step, err = r.intWithin(1, 2*exact); err != nil {
		return err
	}
	s.moves, err = r.bool()
	return err
}

// next is the stream's next value. What find has read reads without error again.
func (s *source) next() (v value, err error) {
	v.kind = s.kind
	switch s.kind {
	case kindBool:
		v.truth, _ = s.values.bool()
	case kindText:
		v.text, _ = s.values.bytes(majorText)
	case kindBytes:
		v.text, _ = s.values.bytes(majorBytes)
	case kindNumber, kindInteger:
		v.num, err = s.nextNumber()
	}
	return v, err
}

func (s *source) nextNumber() (number, error) {
	begin := s.values
	if s.places == noPlaces {
		f, _ := s.values.float()
		if s.contentType != typeCBOR && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return number{}, begin.errorf("%v: want a finite number", f)
		}
		return number{int64(math.Float64bits(f)), noPlaces}, nil
	}
	k, _ := s.values.int()
	if s.moves {
		k += s.k
	}
	s.k = k
	// The bounds are those of whole numbers in a float64; the product of what lies
	// within them may overflow, which the division shows.
	product := k * s.step
	if product/s.step != k || product < -2*exact || product > 2*exact || s.base+product < -exact || s.base+product > exact {
		return number{}, begin.errorf("base + step × k: want at most 2^53 either way")
	}
	return number{s.base + product, int8(s.places)}, nil
}
