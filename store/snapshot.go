package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/fascia-edge/fascia/store/seglog"
)

// A snapshot is the state in the form of a segment, whose first sequence number
// is that of the first record which it need not hold. It is fuzzy: taken piece
// by piece while the state changes, it may hold the effect of later records.
// Reading those again on top of it does no harm.
const (
	snapshotFile = "snapshot"
	snapshotOld  = "snapshot.old" // the one before, should the last one be damaged
	snapshotNew  = "snapshot.new"
)

// snapshotMin is the least growth of the log between two snapshots.
const snapshotMin = 16 << 20

// snapshot writes a snapshot. It blocks nobody but for moments.
func (s *Store) snapshot() error {
	since := s.sinceSnapshot.Load()
	first := s.applied.Load()
	tmp := filepath.Join(s.path, snapshotNew)
	seg, err := seglog.CreateFile(s.log.disk, tmp, 0, first)
	if err != nil {
		return fmt.Errorf("store: snapshot: %w", classify(err))
	}
	defer seg.Release()
	if err := s.writeSnapshot(seg); err != nil {
		_ = seg.Remove()
		return fmt.Errorf("store: snapshot: %w", classify(err))
	}
	// What it may hold the effect of must not be less durable than it is.
	if err := s.syncLog(); err != nil {
		_ = seg.Remove()
		return err
	}
	path := filepath.Join(s.path, snapshotFile)
	err = os.Rename(path, filepath.Join(s.path, snapshotOld))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = seglog.SyncDir(s.path)
	}
	if err != nil {
		return fmt.Errorf("store: snapshot: %w", classify(err))
	}
	s.covered = [2]uint64{first, s.covered[0]}
	s.snapshots.Add(1)
	s.written.Add(seg.Size())
	s.sinceSnapshot.Add(-since)
	s.measureSnapshots()
	return nil
}

// measureSnapshots notes what the snapshots take, and when the next one is due.
func (s *Store) measureSnapshots() {
	var both, last int64
	for _, name := range []string{snapshotOld, snapshotFile} {
		if info, err := os.Stat(filepath.Join(s.path, name)); err == nil {
			last = info.Size()
			both += last
		}
	}
	s.snapshotBytes.Store(both)
	s.snapshotAfter.Store(max(s.snapshotMin, 2*last))
}

func (s *Store) writeSnapshot(seg *seglog.Segment) error {
	w := &snapshotWriter{seg: seg}
	w.start()
	w.buf = append(w.buf, opIDs)
	w.buf = binary.AppendUvarint(w.buf, s.nextQueue.Load())
	s.Range("", func(key string, value []byte) bool {
		w.buf = append(w.buf, opPut)
		w.buf = appendString(w.buf, key)
		w.buf = binary.AppendUvarint(w.buf, uint64(len(value)))
		w.buf = append(w.buf, value...)
		return w.part()
	})
	s.Queues(func(_ string, q *Queue) bool {
		w.buf = q.appendState(w.buf)
		return w.part()
	})
	w.flush()
	w.buf = seglog.Start(w.buf[:0], kindEnd)
	w.flush()
	if w.err == nil {
		w.err = seg.Sync()
	}
	return w.err
}

// snapshotWriter collects operations into records.
type snapshotWriter struct {
	seg *seglog.Segment
	buf []byte
	err error
}

func (w *snapshotWriter) start() { w.buf = seglog.Start(w.buf[:0], kindTx) }

func (w *snapshotWriter) part() bool {
	if len(w.buf) > recordBytes {
		w.flush()
		w.start()
	}
	return w.err == nil
}

func (w *snapshotWriter) flush() {
	if w.err == nil {
		seglog.Finish(w.buf)
		w.err = w.seg.Write(w.buf)
	}
}

// What stands in a queue's state about a chunk.
const (
	chunkRefs = 1 << iota // references follow
	chunkBits             // bits follow
)

// appendState appends the operation that makes the queue as it is.
func (q *Queue) appendState(buf []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gone {
		return buf
	}
	buf = append(buf, opQueue)
	buf = binary.AppendUvarint(buf, q.id)
	buf = appendString(buf, q.name)
	buf = binary.AppendUvarint(buf, q.head)
	buf = binary.AppendUvarint(buf, q.tail)
	n := 0
	for _, c := range q.chunks {
		if c.live > 0 {
			n++
		}
	}
	buf = binary.AppendUvarint(buf, uint64(n))
	for _, c := range q.chunks {
		if c.live > 0 {
			buf = c.appendState(buf)
		}
	}
	return buf
}

func (c *chunk) appendState(buf []byte) []byte {
	flags := byte(0)
	if c.at == 0 {
		flags |= chunkRefs
	}
	if c.bits != nil {
		flags |= chunkBits
	}
	buf = append(buf, flags)
	if c.at == 0 {
		buf = c.append(buf)
	} else {
		buf = binary.AppendUvarint(buf, c.first)
		buf = binary.AppendUvarint(buf, uint64(c.n))
		buf = binary.AppendUvarint(buf, c.base)
		buf = binary.AppendUvarint(buf, c.at)
		buf = binary.AppendUvarint(buf, uint64(c.bytes))
	}
	if c.bits != nil {
		for i := range c.bits.done {
			buf = binary.LittleEndian.AppendUint64(buf, c.bits.done[i])
			buf = binary.LittleEndian.AppendUint64(buf, c.bits.marked[i])
		}
	}
	return buf
}

func parseChunkState(d *body) (c *chunk, err error) {
	flags := d.op()
	if flags&chunkRefs != 0 {
		if c, err = parseChunk(d); err != nil {
			return nil, err
		}
	} else {
		c = &chunk{first: d.uvarint()}
		n := d.uvarint()
		c.base, c.at = d.uvarint(), d.uvarint()
		c.bytes = int64(d.uvarint())
		if n == 0 || n > chunkSize || c.at == 0 || c.bytes < 0 || c.first > math.MaxUint64-chunkSize {
			return nil, errForm
		}
		c.n = int(n)
	}
	if flags&chunkBits != 0 {
		c.needBits()
		for i := range c.bits.done {
			c.bits.done[i], c.bits.marked[i] = d.uint64(), d.uint64()
		}
	}
	if d.bad {
		return nil, errForm
	}
	return c, nil
}

// applyQueue makes a queue as it was when the snapshot was taken.
func (s *Store) applyQueue(d *body) error {
	q := &Queue{store: s, id: d.uvarint(), name: string(d.string()), head: d.uvarint(), tail: d.uvarint()}
	chunks := d.uvarint()
	if d.bad || q.name == "" || q.head > q.tail || chunks > uint64(len(d.b)) {
		return errForm
	}
	for range chunks {
		c, err := parseChunkState(d)
		if err != nil {
			return err
		}
		if last := q.last(); c.end() > q.tail || last != nil && c.first < last.end() {
			return errForm
		}
		q.adopt(c)
	}
	q.advance()
	if s.byID[q.id] != nil {
		return nil
	}
	s.applyDrop(s.queues[q.name])
	s.state.Lock()
	s.byID[q.id] = q
	s.queues[q.name] = q
	s.state.Unlock()
	s.raiseID(q.id + 1)
	return nil
}

// adopt takes a chunk as the queue's last and counts what is in it.
func (q *Queue) adopt(c *chunk) {
	bytes := int64(0)
	c.live = 0
	for i := range c.n {
		if c.first+uint64(i) < q.head || c.isDone(i) {
			continue
		}
		c.live++
		if c.refs != nil {
			bytes += int64(c.refs[i].size)
		}
	}
	if c.refs != nil {
		c.bytes = bytes
	}
	q.len += c.live
	q.bytes += c.bytes
	q.chunks = append(q.chunks, c)
}

// readSnapshot calls fn for each record and tells the first sequence number
// that the snapshot does not cover. whole is false if some of it can't be read.
func readSnapshot(disk seglog.Disk, path string, fn func(seglog.Record) error) (first uint64, whole bool, err error) {
	seg, err := seglog.Open(disk, path)
	if err != nil {
		return 0, false, err
	}
	defer seg.Release()
	sc := seglog.NewScanner(seg)
	defer sc.Close()
	whole, ended := true, false
	for {
		rec, err := sc.Next()
		var damage *seglog.Damage
		switch {
		case err == nil:
			if ended = rec.Kind == kindEnd; !ended && fn(rec) != nil {
				whole = false
			}
		case errors.Is(err, io.EOF):
			return seg.First, whole && ended, nil
		case errors.As(err, &damage):
			whole = false
		default:
			return 0, false, err
		}
	}
}
