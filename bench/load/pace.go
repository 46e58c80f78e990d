package load

import "time"

// pace spreads messages evenly over time. The zero value lets all go at once.
type pace struct {
	start int64
	step  float64 // nanoseconds between messages
	gone  uint64
}

// newPace gives rate messages a second, the first at start.
func newPace(rate float64, start int64) pace {
	return pace{start: start, step: float64(time.Second) / rate}
}

func (p *pace) steady() bool { return p.step > 0 }

// at is when the i-th message from now is due.
func (p *pace) at(i int) int64 { return p.start + int64(float64(p.gone+uint64(i))*p.step) }

// due is how many messages may go now, most at the most.
func (p *pace) due(now int64, most int) int {
	if !p.steady() {
		return most
	}
	if now < p.start {
		return 0
	}
	total := uint64(float64(now-p.start)/p.step) + 1
	if total <= p.gone { // rounding
		return 0
	}
	return int(min(total-p.gone, uint64(most)))
}
