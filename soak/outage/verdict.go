package outage

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Promise is what a run may have lost by what its rules say.
type Promise struct {
	// TTL is the time to live; 0 for none.
	TTL time.Duration
	// Late is how much older than TTL an arrival may be: what it takes from the link
	// to the ledger of a busy machine.
	Late time.Duration
	// Dropped is how many messages the spool says its limits have dropped: the oldest.
	Dropped int
	// MessageIDs tells that the rule gives them.
	MessageIDs bool
}

// Verdict says what of a promise was broken, one line each; none if all was kept.
func (l *Ledger) Verdict(p Promise) (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	blame := func(topic, what string, numbers []int) {
		if len(numbers) > 0 {
			faults = append(faults, fmt.Sprintf("%s: %d %s: %s", topic, len(numbers), what, some(numbers)))
		}
	}
	if l.foreign > 0 {
		faults = append(faults, fmt.Sprintf("%d messages arrived that nobody had published", l.foreign))
	}
	missing := 0
	for _, topic := range slices.Sorted(maps.Keys(l.topics)) {
		page := l.topics[topic]
		lost, stale, anonymous := page.judge(p)
		missing += len(lost)
		if p.Dropped == 0 {
			blame(topic, "acknowledged and lost", lost)
		} else {
			blame(topic, "acknowledged and lost although newer than what was dropped", page.notOldest(lost))
		}
		blame(topic, fmt.Sprintf("older than %v when they arrived", p.TTL), stale)
		blame(topic, "out of order", page.reordered)
		if p.MessageIDs {
			blame(topic, "without a message id", anonymous)
			blame(topic, "twice, with two message ids", page.foreignID)
		}
	}
	if p.Dropped > 0 && missing != p.Dropped {
		faults = append(faults, fmt.Sprintf("%d acknowledged messages are missing, and the spool says it dropped %d", missing, p.Dropped))
	}
	return faults
}

func (p *pages) judge(promise Promise) (lost, stale, anonymous []int) {
	ttl, late := instant(promise.TTL), instant(promise.Late)
	var next instant // arrival of the nearest later message that has arrived
	for number := len(p.sent) - 1; number >= 0; number-- {
		arrived := p.arrived[number]
		if arrived == 0 {
			// Its turn came just before that one's.
			expired := ttl > 0 && next != 0 && next >= p.sent[number]+ttl-late
			if p.acked[number] && !expired {
				lost = append(lost, number)
			}
			continue
		}
		next = arrived
		if ttl > 0 && arrived-p.sent[number] > ttl+late {
			stale = append(stale, number)
		}
		if p.ids[number] == "" {
			anonymous = append(anonymous, number)
		}
	}
	slices.Reverse(lost)
	slices.Reverse(stale)
	slices.Reverse(anonymous)
	return lost, stale, anonymous
}

// notOldest are those of the lost numbers that don't follow the one before: a queue
// that drops its oldest loses one run, with nothing between that has arrived. What was
// in flight when the link was lost may have arrived before the run.
func (p *pages) notOldest(lost []int) (wrong []int) {
	for i, number := range lost {
		if i == 0 {
			continue
		}
		for between := lost[i-1] + 1; between < number; between++ {
			if p.acked[between] && p.arrived[between] != 0 {
				wrong = append(wrong, number)
				break
			}
		}
	}
	return wrong
}

// some is the first few numbers.
func some(numbers []int) string {
	const few = 12
	if len(numbers) > few {
		return fmt.Sprint(numbers[:few]) + "…"
	}
	return fmt.Sprint(numbers)
}
