package store

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/fascia-edge/fascia/store/seglog"
)

// ErrCorrupt says that an entry is in the queue and its record can't be read any more.
var ErrCorrupt = errors.New("record is damaged")

// Entry is a message in a queue. It is valid during the call that it is passed to.
type Entry struct {
	Pos     uint64
	Marked  bool
	Meta    []byte
	Message []byte
	// Err tells why Meta and Message could not be read. The caller decides what
	// becomes of such an entry; until it is Done it is read again.
	Err error
}

// readAhead is how many references are copied under the queue's lock at once.
const readAhead = 64

// want is one entry to be read.
type want struct {
	pos, seq uint64
	marked   bool
}

// Read calls fn for up to limit entries that are not done, in order, from
// position from on, until fn returns false. next is the position to go on from.
// It may read the disk and so block. The error is of a disk that can't be read,
// where trying again may help; a damaged entry has one of its own.
func (q *Queue) Read(from uint64, limit int, fn func(Entry) bool) (next uint64, err error) {
	r := reader{store: q.store}
	defer r.close()
	var wants [readAhead]want
	for limit > 0 {
		n, spilled := q.collect(from, wants[:min(limit, readAhead)])
		if spilled != nil {
			if err := q.load(spilled, &r); err != nil {
				return from, fmt.Errorf("store: queue %q: %w", q.name, err)
			}
			continue
		}
		if n == 0 {
			return max(from, q.Tail()), nil
		}
		for _, w := range wants[:n] {
			e := r.entry(q, w)
			if e.Err != nil && !errors.Is(e.Err, ErrCorrupt) {
				return from, fmt.Errorf("store: queue %q: %w", q.name, e.Err)
			}
			from = w.pos + 1
			if e.Err != nil && q.isDone(w.pos) {
				continue // and its record may be gone with it
			}
			if !fn(e) {
				return from, nil
			}
		}
		limit -= n
	}
	return from, nil
}

// collect notes the entries from position from on. spilled is a chunk that must
// be loaded first.
func (q *Queue) collect(from uint64, wants []want) (n int, spilled *chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	from = max(from, q.head)
	for i, c := q.chunkOf(from); c != nil; {
		from = max(from, c.first)
		if c.refs == nil && from < c.end() {
			if n > 0 {
				return n, nil
			}
			return 0, c
		}
		for ; from < c.end(); from++ {
			at := int(from - c.first)
			if c.isDone(at) {
				continue
			}
			wants[n] = want{from, c.base + uint64(c.refs[at].delta), c.isMarked(at)}
			if n++; n == len(wants) {
				return n, nil
			}
		}
		if i++; i == len(q.chunks) {
			break
		}
		c = q.chunks[i]
	}
	return n, nil
}

// load reads the references of a chunk back.
func (q *Queue) load(c *chunk, r *reader) error {
	rec, err := r.record(c.at)
	var refs []ref
	if err == nil {
		refs = findSpill(rec.Body, q.id, c)
	} else if !errors.Is(err, seglog.ErrMissing) {
		return err
	}
	if refs == nil {
		if refs, err = q.rebuild(c, r); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, have := q.chunkOf(c.first); have != c || c.refs != nil {
		return nil // drained or loaded meanwhile
	}
	c.refs = refs
	q.bytes -= c.bytes
	c.bytes = 0
	for i := range refs {
		if c.first+uint64(i) >= q.head && !c.isDone(i) {
			c.bytes += int64(refs[i].size)
		}
	}
	q.bytes += c.bytes
	q.loaded = append(q.loaded, c)
	if len(q.loaded) > keepLoaded {
		old := q.loaded[0]
		q.loaded = append(q.loaded[:0], q.loaded[1:]...)
		if i, at := q.chunkOf(old.first); at == old && i >= keepChunks {
			old.refs = nil
		}
	}
	return nil
}

// rebuild finds the entries of a chunk again whose record of references is
// damaged, by reading the log from its first entry on. Of an entry that is not
// found the reference leads nowhere.
func (q *Queue) rebuild(c *chunk, r *reader) ([]ref, error) {
	refs := make([]ref, c.n)
	for i := range refs {
		refs[i].delta = math.MaxUint32
	}
	var failed error
	for _, seg := range q.store.log.between(c.base, c.at) {
		err := eachRecord(seg, func(rec seglog.Record) {
			if rec.Seq < c.base || rec.Seq > c.at {
				return
			}
			for nth := 0; ; nth++ {
				a, ok := findAppend(rec.Body, q.id, nth)
				if !ok {
					return
				}
				if i := a.low - uint32(c.first); i < uint32(c.n) {
					refs[i] = ref{uint32(rec.Seq - c.base), uint32(len(a.message))}
				}
			}
		})
		seg.Release()
		failed = errors.Join(failed, err)
	}
	return refs, failed
}

// eachRecord calls fn for what can be read of a segment.
func eachRecord(seg *seglog.Segment, fn func(seglog.Record)) error {
	sc := seglog.NewScanner(seg)
	defer sc.Close()
	for {
		rec, err := sc.Next()
		var damage *seglog.Damage
		switch {
		case err == nil:
			fn(rec)
		case errors.Is(err, io.EOF):
			return nil
		case !errors.As(err, &damage):
			return err
		}
	}
}

// findSpill is the references of chunk c in a record.
func findSpill(record []byte, id uint64, c *chunk) []ref {
	d := &body{b: record}
	for !d.bad && d.op() == opSpill {
		queue := d.uvarint()
		have, err := parseChunk(d)
		if err != nil {
			return nil
		}
		if queue == id && have.first == c.first && have.n == c.n {
			return have.refs
		}
	}
	return nil
}

// reader finds records by their sequence numbers; those that rise cost no search.
type reader struct {
	store *Store
	scan  *seglog.Scanner
}

func (r *reader) close() {
	if r.scan != nil {
		r.scan.Segment().Release()
		r.scan.Close()
		r.scan = nil
	}
}

func (r *reader) record(seq uint64) (seglog.Record, error) {
	seg := r.store.log.of(seq)
	if seg == nil {
		return seglog.Record{}, fmt.Errorf("sequence %d: %w", seq, seglog.ErrMissing)
	}
	if r.scan != nil && r.scan.Segment() == seg {
		seg.Release()
	} else {
		r.close()
		r.scan = seglog.NewScanner(seg)
	}
	return r.scan.Find(seq)
}

func (r *reader) entry(q *Queue, w want) Entry {
	e := Entry{Pos: w.pos, Marked: w.marked}
	rec, err := r.record(w.seq)
	if err != nil {
		if errors.Is(err, seglog.ErrMissing) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		e.Err = err
		return e
	}
	for nth := 0; ; nth++ {
		a, ok := findAppend(rec.Body, q.id, nth)
		if !ok {
			e.Err = fmt.Errorf("%w: sequence %d: no message for the queue", ErrCorrupt, w.seq)
			return e
		}
		if e.Meta, e.Message = a.meta, a.message; a.low == uint32(w.pos) {
			return e
		}
	}
}

// appended is a message as it is in a record, for one queue.
type appended struct {
	low           uint32 // of its position, the lower bits
	meta, message []byte
}

// findAppend is the message in a record for queue id: the nth of them, from 0 on,
// where it went to the queue more than once.
func findAppend(record []byte, id uint64, nth int) (a appended, ok bool) {
	d := &body{b: record}
	for !d.bad {
		switch d.op() {
		case opPut:
			d.string()
			d.string()
		case opDelete:
			d.string()
		case opCreate:
			d.uvarint()
			d.string()
		case opDrop:
			d.uvarint()
		case opMark:
			d.uvarint()
			d.uvarint()
		case opAppend:
			for range d.uvarint() {
				to, low, meta := d.uvarint(), d.uint32(), d.string()
				if d.bad {
					return appended{}, false
				}
				if to == id {
					if nth == 0 {
						a.low, a.meta, ok = low, meta, true
					}
					nth--
				}
			}
			a.message = d.b
			return a, ok
		default:
			return appended{}, false
		}
	}
	return appended{}, false
}
