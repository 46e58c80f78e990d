package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/fascia-edge/fascia/store/seglog"
)

// recover makes the state from the newest whole snapshot and the log since.
func (s *Store) recover() error {
	if err := os.MkdirAll(s.path, 0o700); err != nil {
		return err
	}
	if _, err := os.ReadDir(s.path); err != nil {
		return err
	}
	for _, left := range []string{snapshotNew, carryFile, compactFile} {
		_ = os.Remove(filepath.Join(s.path, left))
	}
	first, err := s.loadSnapshot()
	if err != nil {
		return err
	}
	if err := s.openSegments(); err != nil {
		return err
	}
	if err := s.replay(first); err != nil {
		return err
	}
	for _, q := range s.byID {
		q.next = q.tail
	}
	s.applied.Store(s.log.next)
	s.log.marked = s.log.durable()
	s.measureSnapshots()
	return nil
}

// loadSnapshot tells the sequence number from which the log is to be read.
func (s *Store) loadSnapshot() (first uint64, err error) {
	found := false
	for i, name := range []string{snapshotFile, snapshotOld} {
		path := filepath.Join(s.path, name)
		first, whole, err := readSnapshot(s.log.disk, path, func(rec seglog.Record) error { return s.apply(rec.Seq, rec.Body) })
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && whole {
			s.covered[i] = first
			if i == 1 {
				s.covered[0] = first
			} else if old, err := seglog.Open(s.log.disk, filepath.Join(s.path, snapshotOld)); err == nil {
				s.covered[1] = old.First
				old.Release()
			}
			return first, nil
		}
		if err != nil && !errors.Is(err, seglog.ErrHead) {
			return 0, err
		}
		found = true
		s.corrupt.Add(1)
		s.o.Log.Error("store: snapshot is damaged", "file", path, "error", err)
		s.reset()
	}
	if !found {
		return 0, nil
	}
	// Neither is whole: what can be read of the last one is better than nothing.
	path := filepath.Join(s.path, snapshotFile)
	first, _, err = readSnapshot(s.log.disk, path, func(rec seglog.Record) error { return s.apply(rec.Seq, rec.Body) })
	s.quarantine(path, 0, math.MaxInt64)
	if err != nil {
		return 0, nil //nolint:nilerr // then all there is to go by is the log
	}
	return first, nil
}

// reset forgets the state that a damaged snapshot gave.
func (s *Store) reset() {
	s.keys = keys{}
	clear(s.byID)
	clear(s.queues)
	s.spills = nil
}

func (s *Store) openSegments() error {
	names, err := filepath.Glob(filepath.Join(s.path, "*.log"))
	if err != nil {
		return err
	}
	for _, name := range names {
		seg, err := seglog.Open(s.log.disk, name)
		if errors.Is(err, seglog.ErrHead) {
			// An empty one was being made when the power went.
			if info, err := os.Stat(name); err != nil || info.Size() > seglog.FileHead {
				s.corrupt.Add(1)
				s.o.Log.Error("store: segment can't be read", "file", name)
				s.quarantine(name, 0, math.MaxInt64)
			}
			_ = os.Remove(name)
			continue
		}
		if err != nil {
			return err
		}
		s.log.segments = append(s.log.segments, seg)
		s.log.num = max(s.log.num, seg.Num)
	}
	slices.SortFunc(s.log.segments, func(a, b *seglog.Segment) int { return int(int64(a.Num) - int64(b.Num)) })
	return nil
}

// replay applies the records from sequence number first on.
func (s *Store) replay(first uint64) error {
	r := &replay{store: s, next: max(first, 1), first: first}
	list := s.log.segments
	for i := 0; i < len(list); i++ {
		bound := uint64(math.MaxUint64)
		for _, later := range list[i+1:] {
			bound = min(bound, later.First)
		}
		if bound <= first {
			list[i].SetSynced() // before the snapshot was
			continue
		}
		cut, err := r.segment(i, bound)
		if err != nil {
			return err
		}
		if cut {
			for _, seg := range list[i+1:] {
				s.quarantine(seg.Path(), 0, math.MaxInt64)
				_ = seg.Remove()
				seg.Release()
			}
			s.log.segments = list[:i+1]
			break
		}
	}
	s.log.next = max(r.next, 1)
	if last := s.log.last(); last != nil {
		if last.First > s.log.next {
			s.log.next = last.First
		}
		last.Continue(s.log.next)
	}
	s.sinceSnapshot.Store(r.bytes)
	return nil
}

// replay is the reading of a log.
type replay struct {
	store   *Store
	first   uint64 // records before it are in the snapshot
	next    uint64 // sequence number of the next record
	hole    bool   // records before the next one are known to be damaged
	bytes   int64
	durable *offset // up to which the log was on disk once, if it was looked up
}

// segment applies one segment. cut tells that the log ends in it: what follows
// never was durable, and is not what follows.
func (r *replay) segment(i int, bound uint64) (cut bool, err error) {
	s := r.store
	seg := s.log.segments[i]
	sc := seglog.NewScanner(seg)
	defer sc.Close()
	for {
		rec, err := sc.Next()
		var damage *seglog.Damage
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case errors.As(err, &damage):
			if !r.wasDurable(i, damage.From) {
				return true, r.cut(seg, damage.From, "torn")
			}
			r.hole = true
			s.corrupt.Add(1)
			s.o.Log.Error("store: log is damaged", "file", damage.Path, "offset", damage.From, "bytes", damage.To-damage.From)
			s.quarantine(damage.Path, damage.From, damage.To)
			continue
		case err != nil:
			return false, err
		}
		if rec.Seq >= bound {
			return false, nil
		}
		if rec.Seq < r.first {
			continue
		}
		if rec.Seq > r.next && !r.hole {
			if !r.wasDurable(i, rec.Off) {
				return true, r.cut(seg, rec.Off, "records before it are missing")
			}
			s.corrupt.Add(int64(rec.Seq - r.next))
			s.o.Log.Error("store: records are missing", "file", seg.Path(), "offset", rec.Off, "records", rec.Seq-r.next)
		}
		if err := s.apply(rec.Seq, rec.Body); err != nil {
			s.corrupt.Add(1)
			s.o.Log.Error("store: record is damaged", "file", seg.Path(), "offset", rec.Off, "error", err)
			s.quarantine(seg.Path(), rec.Off, rec.End())
		}
		r.next, r.hole = rec.Seq+1, false
		r.bytes += rec.End() - rec.Off
	}
}

// cut ends the log at offset off of seg.
func (r *replay) cut(seg *seglog.Segment, off int64, why string) error {
	s := r.store
	s.o.Log.Warn("store: end of the log cut off", "file", seg.Path(), "offset", off, "bytes", seg.Size()-off, "why", why)
	s.quarantine(seg.Path(), off, seg.Size())
	if err := seg.Cut(off, r.next); err != nil {
		s.refuse(fmt.Errorf("store: %w", classify(err)), true)
	}
	return nil
}

// wasDurable reports whether a record behind offset off of segment i tells that
// the log was durable beyond it.
func (r *replay) wasDurable(i int, off int64) bool {
	if r.durable == nil {
		r.durable = &offset{}
		for _, seg := range r.store.log.segments[i:] {
			from := int64(0)
			if seg == r.store.log.segments[i] {
				from = off
			}
			r.lookFor(seg, from)
		}
	}
	return offset{r.store.log.segments[i].Num, off}.before(*r.durable)
}

// lookFor finds the furthest opSynced in the rest of a segment.
func (r *replay) lookFor(seg *seglog.Segment, from int64) {
	sc := seglog.NewScannerAt(seg, from)
	defer sc.Close()
	for {
		rec, err := sc.Next()
		var damage *seglog.Damage
		if errors.As(err, &damage) {
			continue
		}
		if err != nil {
			return
		}
		d := &body{b: rec.Body}
		if d.op() == opSynced {
			if o := (offset{d.uint32(), int64(d.uint64())}); !d.bad && r.durable.before(o) {
				*r.durable = o
			}
		}
	}
}

const (
	quarantineDir = "quarantine"
	// quarantineSize bounds what is kept of damaged bytes, all together.
	quarantineSize = 16 << 20
)

// quarantine keeps a copy of bytes that can't be used, for whoever wants to
// find out why, as long as there is room.
func (s *Store) quarantine(path string, from, to int64) {
	dir := filepath.Join(s.path, quarantineDir)
	room := int64(quarantineSize)
	if kept, err := os.ReadDir(dir); err == nil {
		for _, e := range kept {
			if info, err := e.Info(); err == nil {
				room -= info.Size()
			}
		}
	}
	if err := s.copyPart(dir, path, from, min(to-from, room)); err != nil {
		s.o.Log.Warn("store: quarantine", "error", err)
	}
}

func (s *Store) copyPart(dir, path string, from, n int64) error {
	if n <= 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d", filepath.Base(path), from)))
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.NewSectionReader(in, from, n))
	return errors.Join(err, out.Close())
}
