package spool

import (
	"math"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// sweep drops what has become too old at the head of each class, where a link that
// is down would leave it. It says when it wants to be called again.
func (s *Sender) sweep(now clock.Time) time.Duration {
	if wait := s.swept + sweepEvery - now; s.swept != 0 && wait > 0 {
		return time.Duration(wait)
	}
	s.swept = now
	for _, c := range s.classes {
		from := max(c.next, c.queue.Head())
		_, err := c.queue.Read(from, math.MaxInt, func(it Item) bool {
			meta, up, _ := s.ruleOf(it.Meta)
			if it.Err != nil || up == nil {
				return false // for when its turn comes
			}
			end := s.endOf(c, up, meta, it.Expires)
			if end == 0 || now < end {
				return false
			}
			s.discard(c, up, []span{{it.Pos, it.Pos}}, Expired)
			c.next, c.read = it.Pos+1, nil
			return true
		})
		if err != nil {
			s.options.Log.Error("the spool can't be read, trying again", "class", c.name, "error", err)
		}
	}
	return time.Duration(sweepEvery)
}

// makeRoom drops the oldest of the lowest class for each that may take its room.
func (s *Sender) makeRoom() {
	for i, c := range s.classes {
		if c.config.WhenFull != DropLowest {
			continue
		}
		group := s.classes[i:]
		var room, taken int64
		for _, g := range group {
			room += int64(g.config.Size)
			taken += g.queue.Bytes()
		}
		for lowest := len(group) - 1; lowest >= 0 && taken > room; {
			q := group[lowest].queue
			if q.Len() == 0 || lowest == 0 && q.Len() == 1 {
				lowest--
				continue
			}
			before := q.Bytes()
			q.Done(q.Head())
			taken -= before - q.Bytes()
			group[lowest].drop(Full, 1)
		}
	}
}

// Room is what the queue of a class may hold at most, in bytes: its own size, and
// with drop_lowest that of the classes below it too.
func Room(classes []ClassConfig, i int) int {
	if classes[i].WhenFull != DropLowest {
		return int(classes[i].Size)
	}
	room := 0
	for _, c := range classes[i:] {
		room += int(c.Size)
	}
	return room
}
