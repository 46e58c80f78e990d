package transmit

import (
	"fmt"
	"time"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/vehicle"
)

// refusalsRecorded is how many refusals in a second get an entry of their own.
// More are told of in one entry with their number: who asks without end must not
// wash what matters out of a log of bounded size, nor wear out its flash.
var refusalsRecorded = rate{50, time.Second}

// books is what the clerk knows: the one goroutine that writes outcomes.
type books struct {
	gate     *Gate
	refusals bucket
	unsaid   uint64 // refusals that no entry tells of yet
	lost     uint64 // of Gate.lost, told of
}

// keepBooks writes outcomes to the audit and answers who asked, until ended is
// closed.
func (g *Gate) keepBooks() {
	b := &books{gate: g, refusals: bucket{rate: refusalsRecorded}}
	summing := time.NewTicker(time.Second)
	defer summing.Stop()
	for {
		select {
		case e, open := <-g.ended:
			if !open {
				b.sum()
				return
			}
			b.write(&e)
		case <-summing.C:
			b.sum()
		}
	}
}

func (b *books) write(e *ended) {
	if e.rule != nil {
		e.answer.Rule = e.rule.name
	}
	if !e.job.dry {
		b.record(e)
	}
	e.job.reply(e.answer)
}

func (b *books) record(e *ended) {
	if e.rule != nil {
		e.rule.history.add(Last{Answer: e.answer, At: time.Now(), Value: clip(valueText(&e.job)), Role: e.job.Origin.Role})
	}
	if e.answer.Status == Refused && e.of == 0 {
		if !b.refusals.ready(vehicle.BootNow()) {
			b.unsaid++
			return
		}
		b.refusals.take()
	}
	entry := e.job.entry(e.rule, string(e.answer.Status), e.answer.Reason)
	entry.Of = e.of
	b.append(entry)
}

// sum tells of what has no entry of its own.
func (b *books) sum() {
	lost := b.gate.lost.Load()
	if n := b.unsaid + lost - b.lost; n > 0 {
		b.append(audit.Entry{Kind: "act", Outcome: string(Refused),
			Reason: fmt.Sprintf("%d more requests were refused in quick succession, %d of them without an answer", n, lost-b.lost)})
	}
	b.unsaid, b.lost = 0, lost
}

func (b *books) append(entry audit.Entry) {
	if _, err := b.gate.options.Record(entry); err != nil {
		b.gate.options.Log.Error("what became of requests is not in the audit", "path", entry.Path, "outcome", entry.Outcome, "reason", entry.Reason, "error", err)
	}
}
