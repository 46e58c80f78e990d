package transmit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rate is how many requests a rule lets through in which time.
type rate struct {
	count float64
	per   time.Duration
}

var ratePeriods = map[string]time.Duration{"s": time.Second, "min": time.Minute, "h": time.Hour}

// parseRate reads 5/s, 10/min or 2/h.
func parseRate(text string) (rate, error) {
	count, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(count, 64)
	per, known := ratePeriods[unit]
	if err != nil || !known || !(n > 0 && n <= 1000) {
		return rate{}, fmt.Errorf("rate %q: want a number above 0 up to 1000 and a time, such as 5/s, 10/min or 2/h", text)
	}
	return rate{n, per}, nil
}

func (r rate) String() string {
	for unit, per := range ratePeriods {
		if per == r.per {
			return number(r.count) + "/" + unit
		}
	}
	return ""
}

// bucket is a token bucket of one rule. It begins full; one goroutine uses it.
type bucket struct {
	rate   rate
	tokens float64
	at     int64 // boot time when tokens was true, 0 before the first
}

// ready fills the bucket up to the boot time now and reports whether it has a
// token.
func (b *bucket) ready(now int64) bool {
	full := max(1, b.rate.count)
	if b.at == 0 {
		b.tokens = full
	} else {
		b.tokens = min(full, b.tokens+float64(now-b.at)/float64(b.rate.per)*b.rate.count)
	}
	b.at = now
	return b.tokens >= 1
}

func (b *bucket) take() { b.tokens-- }
