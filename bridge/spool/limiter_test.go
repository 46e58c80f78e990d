package spool

import (
	"testing"

	"github.com/fascia-edge/fascia/clock"
)

// Each half of a rate holds by itself, in any second; a silence saves up no more than
// a tenth of a second.
func TestRateHoldsInEverySecond(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  Rate
		bytes int
		want  int // packets in ten seconds
	}{
		{"messages", Rate{Messages: 100}, 1000, 1000},
		{"bytes", Rate{Bytes: 10_000}, 1000, 100},
		{"the less of both", Rate{Messages: 100, Bytes: 10_000}, 1000, 100},
		{"packets above the rate", Rate{Bytes: 1000}, 5000, 2},
		{"none", Rate{}, 1000, 10_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l limiter
			l.use(c.rate)
			begin := 1000 * clock.Second
			sent := 0
			for now := begin; now < begin+10*clock.Second && sent < c.want; {
				if wait := l.wait(now); wait > 0 {
					now += clock.Time(wait)
					continue
				}
				l.spend(c.bytes, now)
				sent++
			}
			if c.rate != (Rate{}) && sent < c.want*9/10 || sent < min(c.want, 100) && sent != c.want {
				t.Errorf("%d packets in ten seconds, want %d", sent, c.want)
			}
			if c.rate == (Rate{}) {
				return
			}
			now := begin + 10*clock.Second
			for now < begin+20*clock.Second {
				if wait := l.wait(now); wait > 0 {
					now += clock.Time(wait)
					continue
				}
				l.spend(c.bytes, now)
				sent++
			}
			if sent > 2*c.want+c.want/50+1 {
				t.Errorf("%d packets in twenty seconds, want %d", sent, 2*c.want)
			}
		})
	}
}
