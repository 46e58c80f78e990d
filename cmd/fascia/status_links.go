package main

import (
	"fmt"
	"io"
	"time"

	"github.com/fascia-edge/fascia/bridge"
)

// printLinkStatus writes a line a link, and more where something is wrong.
func printLinkStatus(w io.Writer, list []bridge.LinkStatus, now time.Time) {
	for _, s := range list {
		messages, bytes, oldest := s.Spooled()
		fmt.Fprintf(w, "link %s\t%s for %s", s.Name, s.State, ago(s.Since, now))
		if s.RTT > 0 {
			fmt.Fprintf(w, ", answers in %s", rttText(s.RTT))
		}
		if messages == 0 {
			fmt.Fprint(w, ", nothing waits")
		} else {
			fmt.Fprintf(w, ", %s (%s) wait, the oldest for %s", count(messages, "message"), bytesText(bytes), oldest.Round(time.Second))
		}
		if n := dropped(s.Classes); n > 0 {
			fmt.Fprintf(w, ", %d dropped", n)
		}
		fmt.Fprintln(w)
		for _, note := range linkNotes(s) {
			fmt.Fprintf(w, "\t%s\n", note)
		}
	}
}
