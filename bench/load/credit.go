package load

import "sync/atomic"

// credit bounds the messages of one publisher that are on their way to
// subscribers. A message takes one for each of its receivers and each gives one
// back.
type credit struct {
	limit    int64 // 0 for no limit
	receives int64 // how many subscribers hear the publisher
	taken    atomic.Int64
	returned atomic.Int64
}

// free is how many messages may go now.
func (c *credit) free(most int) int {
	if c.limit == 0 || c.receives == 0 {
		return most
	}
	under := c.taken.Load() - c.returned.Load()
	return min(most, int((c.limit*c.receives-under)/c.receives))
}

func (c *credit) take(n int) { c.taken.Add(int64(n) * c.receives) }

func (c *credit) giveBack(n int) { c.returned.Add(int64(n)) }

// writeOff takes what is under way for lost: at QoS 0 it may be, and the
// publisher would wait for ever.
func (c *credit) writeOff() { c.taken.Store(c.returned.Load()) }
