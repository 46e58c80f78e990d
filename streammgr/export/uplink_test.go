package export

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// taken starts to take a turn, and tells when it has it.
func taken(t *testing.T, c *claim, modest bool) <-chan struct{} {
	turn := make(chan struct{})
	go func() {
		if err := c.take(t.Context(), modest); err == nil {
			close(turn)
		}
	}()
	return turn
}

func has(turn <-chan struct{}) bool {
	select {
	case <-turn:
		return true
	default:
		return false
	}
}

func TestAHigherPrioritySendsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUplink(0)
		high, same, low := u.claim(1), u.claim(1), u.claim(LowestPriority)
		first := taken(t, high, false)
		synctest.Wait()
		beside, later := taken(t, same, false), taken(t, low, false)
		synctest.Wait()
		if !has(first) || !has(beside) || has(later) {
			t.Fatalf("first %t, of the same priority %t, of a lower one %t", has(first), has(beside), has(later))
		}
		same.leave()
		high.sent(100) // and has more to send
		synctest.Wait()
		if has(later) {
			t.Fatal("between two batches of a higher priority a lower one begins")
		}
		first = taken(t, high, false)
		synctest.Wait()
		high.leave()
		synctest.Wait()
		if !has(first) || !has(later) {
			t.Fatalf("the second batch %t, and the lower one after it %t", has(first), has(later))
		}
		low.leave()
	})
}

func TestOneThatFailsKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := NewUplink(0)
		ill, low := u.claim(1), u.claim(2)
		if err := ill.take(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		turn := taken(t, low, false)
		synctest.Wait()
		if !has(turn) {
			t.Error("a try that will fail keeps a lower priority waiting")
		}
		low.leave()
		ill.leave()
	})
}

func TestTheRateOfAllIsSharedInTurns(t *testing.T) {
	u := NewUplink(10_000)
	a, b, low := u.claim(1), u.claim(1), u.claim(2)
	sent := map[*claim]int{}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var sending, under sync.WaitGroup
	begin := func(c *claim, first func()) {
		sending.Go(func() {
			defer c.leave()
			for c.take(ctx, false) == nil {
				u.mu.Lock()
				sent[c]++
				u.mu.Unlock()
				c.sent(500)
				first()
			}
		})
	}
	under.Add(2)
	begin(a, sync.OnceFunc(under.Done))
	begin(b, sync.OnceFunc(under.Done))
	under.Wait()
	u.mu.Lock()
	clear(sent)
	u.mu.Unlock()
	begin(low, func() {})
	sending.Wait()
	total := sent[a] + sent[b] + sent[low]
	if most := 10_000*(time.Since(begun)+2*time.Duration(burst)).Seconds()/500 + 3; float64(total) > most {
		t.Errorf("%d batches, want at most %.0f", total, most)
	}
	if d := sent[a] - sent[b]; d < -1 || d > 1 {
		t.Errorf("of one priority %d and %d batches, want turns", sent[a], sent[b])
	}
	if sent[low] > 1 { // when the others have ended
		t.Errorf("%d batches of a lower priority, while higher ones had more", sent[low])
	}
}

func TestATurnCanBeGivenUp(t *testing.T) {
	u := NewUplink(1)
	c, d := u.claim(1), u.claim(1)
	if err := c.take(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	c.sent(1000)
	c.leave()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.take(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(u.claims) > 0 {
		t.Error("its claim is still there")
	}
	u.SetRate(0)
	if err := d.take(t.Context(), false); err != nil {
		t.Error(err)
	}
	var none *Uplink
	if err := none.claim(1).take(t.Context(), false); err != nil {
		t.Error(err)
	}
}
