package store

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	"github.com/fascia-edge/fascia/store/seglog"
)

// journal is the files of a store's log. The committer writes it; the syncer
// syncs it; any goroutine reads records.
//
// A record of a segment is void if a later segment begins with its sequence
// number or a lower one. So the log can be wound back without trusting the disk
// to cut a file.
type journal struct {
	dir         string
	disk        seglog.Disk
	segmentSize int64

	mu       sync.RWMutex      // guards segments
	segments []*seglog.Segment // oldest first; never changed in place

	// The committer's.
	next   uint64 // sequence number of the next record
	num    uint32 // of the newest segment
	marked offset // what the last opSynced told
}

// newJournal is an empty log for up to size bytes: files small enough that the
// oldest is soon free, and not more than some 130 of them.
func newJournal(disk seglog.Disk, dir string, size int64) *journal {
	return &journal{dir: dir, disk: disk, segmentSize: max(min(size/16, 8<<20), size/128, 1<<20), next: 1}
}

// offset is a place in the log.
type offset struct {
	num uint32
	off int64
}

func (o offset) before(p offset) bool { return o.num < p.num || o.num == p.num && o.off < p.off }

// list is the segments now, oldest first.
func (j *journal) list() []*seglog.Segment {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.segments
}

// last is the segment that is written; nil: none yet.
func (j *journal) last() *seglog.Segment {
	if list := j.list(); len(list) > 0 {
		return list[len(list)-1]
	}
	return nil
}

// of is the segment that may hold record seq, retained; nil: there is none.
func (j *journal) of(seq uint64) *seglog.Segment {
	j.mu.RLock()
	defer j.mu.RUnlock()
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].First > seq })
	if i == 0 {
		return nil
	}
	j.segments[i-1].Retain()
	return j.segments[i-1]
}

// between is the segments that may hold records first to last, retained.
func (j *journal) between(first, last uint64) (some []*seglog.Segment) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for i, seg := range j.segments {
		if seg.First <= last && (i+1 == len(j.segments) || j.segments[i+1].First > first) {
			seg.Retain()
			some = append(some, seg)
		}
	}
	return some
}

// size is the bytes of all segments.
func (j *journal) size() (n int64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, seg := range j.segments {
		n += seg.Size()
	}
	return n
}

// append writes finished records and tells the sequence number of the first.
// On an error none of them is in the log.
func (j *journal) append(buf []byte, records int) (first uint64, err error) {
	seg := j.last()
	if seg == nil || !seg.Room(records, int64(len(buf)), j.segmentSize) {
		if seg, err = j.roll(); err != nil {
			return 0, err
		}
	}
	if err := seg.Write(buf); err != nil {
		return 0, err
	}
	first = j.next
	j.next += uint64(records)
	return first, nil
}

// roll begins a new segment. At most the one before it is not durable yet: more
// than that and the disk is too slow for what is written, so the writer waits.
func (j *journal) roll() (*seglog.Segment, error) {
	if list := j.list(); len(list) > 1 {
		if err := list[len(list)-2].Sync(); err != nil {
			return nil, err
		}
	}
	seg, err := seglog.Create(j.disk, j.dir, j.num+1, j.next)
	if err != nil {
		return nil, err
	}
	j.num++
	j.mu.Lock()
	j.segments = append(slices.Clip(j.segments), seg)
	j.mu.Unlock()
	return seg, nil
}

// unsynced is the segments that are not durable as a whole, retained.
func (j *journal) unsynced() []*seglog.Segment {
	j.mu.RLock()
	defer j.mu.RUnlock()
	n := len(j.segments)
	for n > 0 && j.segments[n-1].Synced() < j.segments[n-1].Size() {
		n--
	}
	rest := append([]*seglog.Segment(nil), j.segments[n:]...)
	for _, seg := range rest {
		seg.Retain()
	}
	return rest
}

// sync makes durable what was written before.
func (j *journal) sync() error {
	var err error
	for _, seg := range j.unsynced() {
		if err == nil {
			err = seg.Sync()
		}
		seg.Release()
	}
	return err
}

// durable is the place up to which the log is known to be on disk.
func (j *journal) durable() offset {
	var o offset
	list := j.list()
	for i := len(list) - 1; i >= 0; i-- {
		o = offset{list[i].Num, list[i].Synced()}
		if i == 0 || list[i-1].Synced() == list[i-1].Size() {
			break
		}
	}
	return o
}

// failed reports whether a sync failed, and the log is to be mended by replace.
func (j *journal) failed() bool {
	list := j.list()
	return slices.ContainsFunc(list[max(0, len(list)-2):], (*seglog.Segment).Failed)
}

// rewind takes the records from offset off of the last segment back.
func (j *journal) rewind(off int64, next uint64) {
	_ = j.last().Cut(off, next)
	j.next = next
}

// replace mends the log after a sync that failed: what is not known to be
// durable is read back, which as a rule still works, and written to a new
// segment. lost is the number of records that could not be read.
func (j *journal) replace() (lost uint64, err error) {
	list := j.list()
	i := len(list) - 1
	for i > 0 && list[i-1].Synced() < list[i-1].Size() {
		i--
	}
	old := list[i]
	from := old.Synced()
	seg, lost, err := j.carry(list[i:], from)
	if err != nil {
		return 0, err
	}
	j.num++
	_ = old.Cut(from, seg.First)
	old.SetSynced()
	old.Forgive()
	gone := list[i+1:]
	j.mu.Lock()
	kept := slices.DeleteFunc(slices.Clone(j.segments), func(s *seglog.Segment) bool { return slices.Contains(gone, s) })
	j.segments = append(kept, seg)
	j.mu.Unlock()
	for _, g := range gone {
		_ = g.Remove()
		g.Release()
	}
	return lost, nil
}

// carry copies the records from offset from of the first of list on into a new segment.
func (j *journal) carry(list []*seglog.Segment, from int64) (seg *seglog.Segment, lost uint64, err error) {
	tmp := filepath.Join(j.dir, carryFile)
	next := j.next
	defer func() {
		if err != nil && seg != nil {
			seg.Release()
			_ = os.Remove(tmp)
		}
	}()
	for ; len(list) > 0; list, from = list[1:], 0 {
		sc := seglog.NewScannerAt(list[0], from)
		for {
			rec, err := sc.Next()
			var damage *seglog.Damage
			if errors.As(err, &damage) {
				continue
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				sc.Close()
				return seg, 0, err
			}
			if seg == nil {
				if seg, err = seglog.CreateFile(j.disk, tmp, j.num+1, rec.Seq); err != nil {
					sc.Close()
					return nil, 0, err
				}
				next = rec.Seq
			}
			lost += rec.Seq - next
			seg.Continue(rec.Seq)
			next = rec.Seq + 1
			if err := seg.Write(rec.Again()); err != nil {
				sc.Close()
				return seg, 0, err
			}
		}
		sc.Close()
	}
	if seg == nil {
		if seg, err = seglog.CreateFile(j.disk, tmp, j.num+1, j.next); err != nil {
			return nil, 0, err
		}
	}
	lost += j.next - next
	seg.Continue(j.next)
	if err := seg.Sync(); err != nil {
		return seg, 0, err
	}
	return seg, lost, seg.Rename(j.dir)
}

// synced is the record that tells how far the log is durable. Recovery cuts a
// log at its first bad record; but one in front of such a place was whole on the
// disk once, so the disk is damaged there and what follows it is good.
const syncedSize = seglog.HeadSize + 1 + 4 + 8

func appendSynced(buf []byte, o offset) []byte {
	start := len(buf)
	buf = seglog.Start(buf, kindTx)
	buf = append(buf, opSynced)
	buf = binary.LittleEndian.AppendUint32(buf, o.num)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(o.off))
	seglog.Finish(buf[start:])
	return buf
}

// remove takes a segment out of the log. Who reads it goes on.
func (j *journal) remove(seg *seglog.Segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = slices.DeleteFunc(slices.Clone(j.segments), func(s *seglog.Segment) bool { return s == seg })
}

// swap puts fresh in the place of seg.
func (j *journal) swap(seg, fresh *seglog.Segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = slices.Clone(j.segments)
	for i := range j.segments {
		if j.segments[i] == seg {
			j.segments[i] = fresh
		}
	}
}

// after is the first sequence number behind a sealed segment.
func (j *journal) after(seg *seglog.Segment) uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, s := range j.segments {
		if s.Num > seg.Num {
			return s.First
		}
	}
	return math.MaxUint64
}
