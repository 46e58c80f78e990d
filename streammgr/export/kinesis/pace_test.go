package kinesis

import (
	"testing"
	"time"
)

// shard is one of Kinesis as it counts: so many bytes a second.
type shard struct {
	limit int
	from  time.Time
	taken int
}

func (s *shard) put(now time.Time, bytes int) bool {
	if now.Sub(s.from) >= time.Second {
		s.from, s.taken = now, 0
	}
	if s.taken+bytes > s.limit {
		return false
	}
	s.taken += bytes
	return true
}

// drive sends records of 64 KiB for some time, 10 ms a call, and tells what passed a
// second and the share of calls that were throttled.
func drive(p *pace, s *shard, now *time.Time, lasts time.Duration) (rate, refused float64) {
	const size, took = 64 << 10, 10 * time.Millisecond
	passed, calls, failed := 0, 0, 0
	for end := now.Add(lasts); now.Before(end); {
		*now = now.Add(p.reserve(*now, size) + took)
		calls++
		if s.put(*now, size) {
			passed += size
			p.result(*now, took, size, 0)
		} else {
			failed++
			p.result(*now, took, 0, size)
		}
	}
	return float64(passed) / lasts.Seconds(), float64(failed) / float64(calls)
}

func TestTheRateFollowsWhatTheShardsTake(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := pace{call: firstCall, least: leastRate}
	s := &shard{limit: 1 << 20}
	drive(&p, s, &now, 10*time.Second)
	for _, limit := range []int{1 << 20, 4 << 20, 512 << 10} {
		s.limit = limit
		drive(&p, s, &now, 60*time.Second) // it finds the new rate
		rate, refused := drive(&p, s, &now, 60*time.Second)
		t.Logf("limit %d kB/s: %.0f kB/s pass, %.1f %% of the calls are throttled", limit>>10, rate/1024, 100*refused)
		if rate < 0.6*float64(limit) || refused > 0.2 {
			t.Errorf("limit %d: %.0f bytes/s pass, %.2f of the calls are throttled", limit, rate, refused)
		}
	}
}

func TestWithoutThrottlingNothingIsHeldBack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := pace{call: firstCall, least: leastRate}
	for range 100 {
		if wait := p.reserve(now, 10<<20); wait != 0 {
			t.Fatalf("held back for %v", wait)
		}
		p.result(now, time.Millisecond, 10<<20, 0)
	}
	if p.call != maxCall {
		t.Errorf("a call may have %d bytes, want %d", p.call, maxCall)
	}
}

func TestCallsShrinkOnASlowLink(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := pace{call: maxCall, least: leastRate}
	p.result(now, 10*time.Second, maxCall, 0)
	if p.call != maxCall/2 {
		t.Errorf("after a slow call: %d bytes, want %d", p.call, maxCall/2)
	}
	for range 20 {
		p.cut()
	}
	if p.call != leastCall {
		t.Errorf("after cuts: %d bytes, want %d", p.call, leastCall)
	}
}
