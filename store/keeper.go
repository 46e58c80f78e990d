package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fascia-edge/fascia/store/seglog"
)

const (
	carryFile   = "carry.new"
	compactFile = "compact.new"
	// compactFrom is the size of a log below which dead records may lie.
	compactFrom = 64 << 20
	// deadShare of 8 parts of a segment must be dead for rewriting it to pay.
	deadShare = 4
	// tidyEvery is how often the keeper looks by itself.
	tidyEvery = time.Minute
	// recordCost is what a record takes besides its message, about.
	recordCost = 40
)

// runKeeper takes snapshots and frees what the log no longer needs.
func (s *Store) runKeeper() {
	defer close(s.keeper.done)
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.keeper.wake:
		case <-tick.C:
		case <-s.keeper.stop:
			return
		}
		if err := s.tidy(); err != nil && !errors.Is(err, ErrClosed) {
			s.o.Log.Error("store: keeping house", "path", s.path, "error", err)
			s.poke() // should it be a sync that failed, the committer mends it
		}
	}
}

// tidy brings the log back to what is needed, if it is due.
func (s *Store) tidy() error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if s.blocked() != nil {
		return nil
	}
	short := s.Refuses() != nil
	since := s.sinceSnapshot.Load()
	if since > s.snapshotAfter.Load() || short && since > 1<<20 {
		if err := s.snapshot(); err != nil {
			return err
		}
	}
	live, err := s.liveShare()
	if err != nil {
		return err
	}
	if err := s.deleteDead(live); err != nil {
		return err
	}
	size, used := s.log.size(), int64(0)
	for _, n := range live {
		used += n
	}
	if s.deadUnsealed(live) > 3*s.snapshotAfter.Load() {
		// Two more snapshots and what is dead can go.
		return s.snapshot()
	}
	if short || size > min(compactFrom, s.o.Size/2) && used*8 < size*deadShare {
		return s.compact(live)
	}
	return nil
}

// settleDone makes durable what is done: a message must not leave the disk while
// a crash would bring its entry back.
func (s *Store) settleDone() error {
	s.doneWanted.Store(true)
	settled := make(signal, 1)
	s.Begin().Commit(SyncAlways, settled)
	return <-settled
}

// signal is a Waiter that passes the result on.
type signal chan error

// Committed must find room in the channel.
func (c signal) Committed(err error) { c <- err }

// liveShare estimates how many bytes of each segment are needed, by the chunks
// that reach into it. A segment without any is not in the result.
func (s *Store) liveShare() (map[*seglog.Segment]int64, error) {
	list := s.log.list()
	live := map[*seglog.Segment]int64{}
	add := func(from, to uint64, bytes int64) {
		i, found := slices.BinarySearchFunc(list, from, func(seg *seglog.Segment, seq uint64) int { return cmp.Compare(seg.First, seq) })
		if !found {
			i--
		}
		for i = max(i, 0); i < len(list) && list[i].First <= to; i++ {
			begin, end := max(from, list[i].First), to
			if i+1 < len(list) {
				end = min(to, list[i+1].First-1)
			}
			live[list[i]] += int64(float64(bytes) * float64(end-begin+1) / float64(to-from+1))
			live[list[i]]++
		}
	}
	s.Queues(func(_ string, q *Queue) bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		for i, c := range q.chunks {
			if c.live == 0 {
				continue
			}
			from, to := c.base, c.base
			switch {
			case c.refs != nil:
				from += uint64(c.refs[max(q.head, c.first)-c.first].delta)
				to += uint64(c.refs[c.n-1].delta)
				if from > to {
					from = c.base // the first entry's record is not known
				}
			case i+1 < len(q.chunks):
				to = q.chunks[i+1].base
			default:
				to = c.at
			}
			add(from, to, c.bytes+int64(c.live)*recordCost)
			if c.at != 0 {
				add(c.at, c.at, int64(c.n)*4)
			}
		}
		return true
	})
	return live, nil
}

// sealed is the segments that hold nothing but messages and spilled chunks that
// queues may need: all else in them both snapshots cover.
func (s *Store) sealed() []*seglog.Segment {
	covered := s.covered[1]
	list := s.log.list()
	n := 0
	for n+1 < len(list) && list[n+1].First <= covered {
		n++
	}
	return list[:n]
}

// deadUnsealed estimates the dead bytes that a snapshot is in the way of. While
// messages come and go it is two snapshots' worth; more after a long queue was drained.
func (s *Store) deadUnsealed(live map[*seglog.Segment]int64) (n int64) {
	list := s.log.list()
	for _, seg := range list[len(s.sealed()):max(len(s.sealed()), len(list)-1)] {
		n += max(0, seg.Size()-live[seg])
	}
	return n
}

// deleteDead deletes the segments that nobody needs.
func (s *Store) deleteDead(live map[*seglog.Segment]int64) error {
	dead := slices.Clone(s.sealed())
	dead = slices.DeleteFunc(dead, func(seg *seglog.Segment) bool { return live[seg] > 0 })
	if len(dead) == 0 {
		return nil
	}
	if err := s.settleDone(); err != nil {
		return err
	}
	for _, seg := range dead {
		s.log.remove(seg)
		if err := seg.Remove(); err != nil {
			return fmt.Errorf("store: %w", classify(err))
		}
		seg.Release()
	}
	return nil
}

// compact rewrites the sealed segments of which enough is dead.
func (s *Store) compact(live map[*seglog.Segment]int64) error {
	for _, seg := range s.sealed() {
		if live[seg]*8 > seg.Size()*deadShare {
			continue
		}
		if err := s.rewrite(seg); err != nil {
			return fmt.Errorf("store: compaction: %w", classify(err))
		}
	}
	return nil
}

// rewrite puts a segment with only the records that are needed in the place of
// seg. They keep their sequence numbers.
func (s *Store) rewrite(seg *seglog.Segment) error {
	need, err := s.needed(seg)
	if err != nil {
		return err
	}
	fresh, err := seglog.CreateFile(s.log.disk, filepath.Join(s.path, compactFile), seg.Num, seg.First)
	if err != nil {
		return err
	}
	err = copyRecords(fresh, seg, need)
	if err == nil {
		err = fresh.Sync()
	}
	if err == nil && fresh.Size() >= seg.Size() {
		_ = fresh.Remove()
		fresh.Release()
		return nil
	}
	if err == nil {
		err = s.settleDone()
	}
	if err == nil {
		err = fresh.Rename(s.path)
	}
	if err != nil {
		_ = os.Remove(filepath.Join(s.path, compactFile))
		fresh.Release()
		return err
	}
	s.log.swap(seg, fresh)
	seg.Release()
	s.written.Add(fresh.Size())
	s.compactions.Add(1)
	return nil
}

func copyRecords(to, from *seglog.Segment, need []uint64) error {
	sc := seglog.NewScanner(from)
	defer sc.Close()
	for len(need) > 0 {
		rec, err := sc.Next()
		var damage *seglog.Damage
		switch {
		case errors.As(err, &damage):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		for len(need) > 0 && need[0] < rec.Seq {
			need = need[1:]
		}
		if len(need) == 0 || need[0] != rec.Seq {
			continue
		}
		to.Continue(rec.Seq)
		if err := to.Write(rec.Again()); err != nil {
			return err
		}
	}
	return nil
}

// needed is the sequence numbers in seg that queues refer to, in order.
func (s *Store) needed(seg *seglog.Segment) (list []uint64, err error) {
	last := s.log.after(seg)
	r := reader{store: s}
	defer r.close()
	s.Queues(func(_ string, q *Queue) bool {
		list, err = q.appendNeeded(list, seg.First, last, &r)
		return err == nil
	})
	slices.Sort(list)
	return slices.Compact(list), err
}

// appendNeeded appends the queue's sequence numbers from first to before end.
func (q *Queue) appendNeeded(list []uint64, first, end uint64, r *reader) ([]uint64, error) {
	var spilled []chunk
	q.mu.Lock()
	for i, c := range q.chunks {
		if c.at >= first && c.at < end {
			list = append(list, c.at)
		}
		switch {
		case c.live == 0 || c.base >= end || i+1 < len(q.chunks) && q.chunks[i+1].base < first:
		case c.refs == nil:
			spilled = append(spilled, chunk{first: c.first, n: c.n, base: c.base, at: c.at})
		default:
			list = q.appendLive(list, c, c.refs, first, end)
		}
	}
	q.mu.Unlock()
	for i := range spilled {
		c := &spilled[i]
		rec, err := r.record(c.at)
		if errors.Is(err, seglog.ErrMissing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		refs := findSpill(rec.Body, q.id, c)
		q.mu.Lock()
		if _, now := q.chunkOf(c.first); now != nil && now.first == c.first {
			list = q.appendLive(list, now, refs, first, end)
		}
		q.mu.Unlock()
	}
	return list, nil
}

// appendLive appends those of a chunk's sequence numbers that are not done. q.mu is held.
func (q *Queue) appendLive(list []uint64, c *chunk, refs []ref, first, end uint64) []uint64 {
	for i, ref := range refs {
		seq := c.base + uint64(ref.delta)
		if seq >= first && seq < end && c.first+uint64(i) >= q.head && !c.isDone(i) {
			list = append(list, seq)
		}
	}
	return list
}
