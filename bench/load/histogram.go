package load

import (
	"math/bits"
	"time"
)

// A histogram's classes are less than 1 % wide: 128 for each power of two above
// the first 256 ns. The last holds everything from 36 minutes on.
const (
	classBits = 7
	classes   = (41-classBits)<<classBits + 1<<classBits
)

// Histogram counts durations by their size. The zero value is ready to use; one
// goroutine at a time.
type Histogram struct {
	counts  [classes]uint64
	total   uint64
	longest int64
}

func (h *Histogram) add(ns int64) {
	ns = max(ns, 0)
	h.counts[class(ns)]++
	h.total++
	h.longest = max(h.longest, ns)
}

func class(ns int64) int {
	shift := max(0, bits.Len64(uint64(ns))-classBits-1)
	return min(shift<<classBits+int(ns>>shift), classes-1)
}

// middleOf is the duration that a class stands for.
func middleOf(class int) int64 {
	if class < 2<<classBits {
		return int64(class)
	}
	shift := class>>classBits - 1
	return int64(class-shift<<classBits)<<shift + 1<<shift/2
}

func (h *Histogram) merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.longest = max(h.longest, other.longest)
}

// quantile is the duration that the share q of all, 0 to 1, is not above.
func (h *Histogram) quantile(q float64) int64 {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range &h.counts {
		if seen += n; seen > rank {
			return min(middleOf(i), h.longest)
		}
	}
	return h.longest
}

// Latency is a distribution of times, in microseconds.
type Latency struct {
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

// latency is nil when nothing was counted.
func (h *Histogram) latency() *Latency {
	if h.total == 0 {
		return nil
	}
	at := func(q float64) float64 { return micros(h.quantile(q)) }
	return &Latency{at(.5), at(.9), at(.99), at(.999), micros(h.longest)}
}

func micros(ns int64) float64 { return float64(ns) / float64(time.Microsecond) }
