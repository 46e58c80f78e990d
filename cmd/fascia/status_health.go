package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/canbus/health"
)

// troublesShown is how many messages and signals the status names; --json has
// all.
const troublesShown = 20

// printHealth writes a line of numbers, and one for each message or signal that
// is not ok unless its bus or message is what failed.
func printHealth(w io.Writer, s health.Status) {
	if len(s.Buses) == 0 {
		return
	}
	messages, signals := map[health.State]int{}, map[health.State]int{}
	for _, b := range s.Buses {
		for state, n := range b.Messages {
			messages[state] += n
		}
		for state, n := range b.Signals {
			signals[state] += n
		}
	}
	fmt.Fprintf(w, "health\tmessages: %s; signals: %s\n", countsText(messages, health.MessageStates), countsText(signals, health.SignalStates))
	shown, more := 0, 0
	for _, t := range s.Troubles {
		if t.Cause != "" {
			continue
		}
		if shown == troublesShown {
			more++
			continue
		}
		shown++
		fmt.Fprintf(w, "\t%s %s since %s: %s\n", t.Name, t.State, t.Since.Local().Format(time.DateTime), t.Reason)
	}
	if more > 0 {
		fmt.Fprintf(w, "\tand %d more: --json has them\n", more)
	}
}

func countsText(counts map[health.State]int, order []health.State) string {
	var parts []string
	for _, state := range order {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
