package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fascia-edge/fascia/bridge"
)

// printLinks writes a line a link, and below it what an operator must know.
func printLinks(w io.Writer, list []bridge.LinkStatus, now time.Time) error {
	if len(list) == 0 {
		fmt.Fprintln(w, "no links: bridge.links of the configuration has none")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LINK\tSTATE\tSINCE\tRTT\tWAITING\tSIZE\tOLDEST\tDROPPED\tDEAD\tOUT\tIN\tENDPOINT")
	for _, s := range list {
		messages, bytes, oldest := s.Spooled()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", s.Name, s.State, ago(s.Since, now), rttText(s.RTT),
			messages, bytesText(bytes), oldest.Round(time.Second), dropped(s.Classes), s.Dead.Messages,
			bytesText(int64(s.BytesOut)), bytesText(int64(s.BytesIn)), orDash(endpointText(s)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range list {
		for _, note := range linkNotes(s) {
			fmt.Fprintf(w, "%s: %s\n", s.Name, note)
		}
	}
	return nil
}

// linkNotes is what is wrong with a link, held back or near a limit, a line each.
func linkNotes(s bridge.LinkStatus) (notes []string) {
	if s.LastError != "" && s.State != "up" {
		tries := ""
		if s.Attempts > 0 {
			tries = " (" + tryText(s.Attempts) + ")"
		}
		notes = append(notes, oneLine(s.LastError)+tries)
	}
	for _, c := range s.Classes {
		if c.Held != "" && c.Messages > 0 {
			notes = append(notes, fmt.Sprintf("class %s waits: %s", c.Name, c.Held))
		}
	}
	for _, filter := range s.Refused {
		notes = append(notes, fmt.Sprintf("the far side refuses the subscription to %s", printable(filter)))
	}
	for _, reason := range []struct{ key, text string }{
		{"no_rule", "no rule is for their topics"},
		{"no_room", "at QoS 0 they came faster than the vehicle takes them"},
	} {
		if n := s.Ignored[reason.key]; n > 0 {
			notes = append(notes, fmt.Sprintf("%s of the far side dropped: %s", count(int(n), "message"), reason.text))
		}
	}
	if n := s.Dead.Messages; n > 0 {
		notes = append(notes, fmt.Sprintf("%s: fascia link dead ls %s", count(n, "dead letter"), s.Name))
	}
	if b := s.Budget; b != nil {
		notes = append(notes, budgetText(b))
	}
	return notes
}

func tryText(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

func budgetText(b *bridge.BudgetStatus) string {
	text := fmt.Sprintf("%s of %s this month", bytesText(b.Used), bytesText(b.Month))
	if b.Since != "" {
		text += ", which began on " + b.Since
	}
	return text
}

// endpointText is where the link is connected to, and how.
func endpointText(s bridge.LinkStatus) string {
	if s.Endpoint == "" || s.Protocol == "" {
		return s.Endpoint
	}
	return s.Endpoint + " (MQTT " + s.Protocol + ")"
}

func rttText(milliseconds float64) string {
	if milliseconds == 0 {
		return "-"
	}
	if milliseconds < 10 {
		return fmt.Sprintf("%.1f ms", milliseconds)
	}
	return fmt.Sprintf("%.0f ms", milliseconds)
}

// bytesText is a number of bytes in three digits or so.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// ago is how long something has been so.
func ago(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return now.Sub(since).Round(time.Second).String()
}

func dropped(classes []bridge.ClassStatus) (n uint64) {
	for _, c := range classes {
		for _, by := range c.Dropped {
			n += by
		}
	}
	return n
}

func printClasses(w io.Writer, list []bridge.LinkStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LINK\tCLASS\tWAITING\tSIZE\tOLDEST\tSENT\tAGAIN\tDROPPED\tHELD")
	for _, s := range list {
		for _, c := range s.Classes {
			oldest := time.Duration(c.Oldest * float64(time.Second)).Round(time.Second)
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%d\t%d\t%s\t%s\n", s.Name, c.Name, c.Messages, bytesText(c.Bytes), oldest,
				c.Sent, c.Again, reasonsText(c.Dropped), orDash(c.Held))
		}
	}
	return t.Flush()
}

func printLinkRules(w io.Writer, list []bridge.LinkStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LINK\tRULE\tDIRECTION\tMESSAGES\tSIZE\tDROPPED")
	for _, s := range list {
		for _, r := range s.Rules {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Name, r.Rule, r.Direction, r.Messages, bytesText(int64(r.Bytes)), reasonsText(r.Dropped))
		}
	}
	return t.Flush()
}

// reasonsText is how many were dropped, by reason: "3 expired, 1 full".
func reasonsText(reasons map[string]uint64) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		if n := reasons[reason]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(reason, "_", " ")))
		}
	}
	return orDash(strings.Join(parts, ", "))
}
