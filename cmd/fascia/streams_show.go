package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fascia-edge/fascia/streammgr"
	"github.com/fascia-edge/fascia/streammgr/export"
)

// printStreams writes a line a stream, and below it what an operator must know.
func printStreams(w io.Writer, all streammgr.Status, list []streammgr.StreamStatus) error {
	if all.Problem != "" {
		fmt.Fprintln(w, oneLine(all.Problem))
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "no streams: streams.streams of the configuration has none, and no client has made one")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STREAM\tSTATE\tMESSAGES\tSIZE\tOF\tOLDEST\tIN\tREFUSED\tDROPPED\tEXPORTERS\tBEHIND")
	for i := range list {
		s := &list[i]
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", printable(s.Name), s.State, s.Messages, bytesText(s.Bytes), bytesText(s.Size),
			secondsText(s.Oldest), s.Appended, s.Refused, s.Dropped, len(s.Exporters), behindText(s))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range list {
		for _, note := range streamNotes(&list[i]) {
			fmt.Fprintf(w, "%s: %s\n", printable(list[i].Name), note)
		}
	}
	return nil
}

// behindText is how far the slowest exporter is behind.
func behindText(s *streammgr.StreamStatus) string {
	var messages uint64
	var age float64
	for _, x := range s.Exporters {
		messages, age = max(messages, x.LagMessages), max(age, x.LagSeconds)
	}
	switch {
	case len(s.Exporters) == 0:
		return "-"
	case messages == 0:
		return "0"
	}
	return fmt.Sprintf("%d (%s)", messages, secondsText(age))
}

// streamNotes is what is wrong with a stream or held back, a line each.
func streamNotes(s *streammgr.StreamStatus) (notes []string) {
	if s.Problem != "" {
		notes = append(notes, oneLine(s.Problem))
	}
	if s.Owner == "none" {
		notes = append(notes, "it is not configured any more: fascia streams purge --delete "+printable(s.Name))
	}
	if s.Lost > 0 {
		notes = append(notes, fmt.Sprintf("the disk lost %d messages", s.Lost))
	}
	for i := range s.Feeds {
		f := &s.Feeds[i]
		if f.Problem != "" {
			notes = append(notes, fmt.Sprintf("%s: %d messages wait: %s", printable(f.Name()), f.Waiting, oneLine(f.Problem)))
		}
		if len(f.Dropped) > 0 {
			notes = append(notes, fmt.Sprintf("%s: not taken in: %s", printable(f.Name()), reasonsText(f.Dropped)))
		}
	}
	for i := range s.Exporters {
		if note := exporterNote(&s.Exporters[i]); note != "" {
			notes = append(notes, fmt.Sprintf("exporter %s: %s", s.Exporters[i].Name, note))
		}
	}
	return notes
}

// exporterNote is why an exporter does not send, "" if it does.
func exporterNote(x *streammgr.ExporterStatus) string {
	switch {
	case x.Problem != "":
		return oneLine(x.Problem)
	case x.State == export.Retrying || x.State == export.Refused:
		return fmt.Sprintf("%s: %s", x.State, oneLine(x.LastError))
	case x.State == export.Held && x.LagMessages > 0:
		return "waits for " + oneLine(x.Held)
	case x.State == export.Paused || x.State == export.Disabled:
		return string(x.State)
	case x.Missed > 0:
		return fmt.Sprintf("%d messages were removed or lost before they were exported", x.Missed)
	}
	return ""
}

func printExporters(w io.Writer, list []streammgr.StreamStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STREAM\tEXPORTER\tTO\tSTATE\tBEHIND\tSIZE\tAGE\tSENT\tIN\tOUT\tERRORS\tNOTE")
	for i := range list {
		for k := range list[i].Exporters {
			x := &list[i].Exporters[k]
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\t%s\t%s\t%d\t%s\n", printable(list[i].Name), x.Name, x.Kind, x.State, x.LagMessages,
				bytesText(x.LagBytes), secondsText(x.LagSeconds), x.Messages, bytesText(int64(x.BytesIn)), bytesText(int64(x.BytesOut)), x.Errors, orDash(exporterNote(x)))
		}
	}
	return t.Flush()
}

// describeStream writes all about a stream.
func describeStream(w io.Writer, s streammgr.StreamStatus) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "stream\t%s\n", printable(s.Name))
	fmt.Fprintf(t, "state\t%s\n", s.State)
	fmt.Fprintf(t, "made by\t%s\n", s.Owner)
	fmt.Fprintf(t, "kept in\t%s, %s of %s\n", orDash(s.Storage), bytesText(s.Bytes), bytesText(s.Size))
	fmt.Fprintf(t, "when full\t%s\n", orDash(s.WhenFull))
	fmt.Fprintf(t, "fsync\t%s\n", map[bool]string{true: "before each acknowledgement", false: "by interval"}[s.Flush])
	if s.Age != "" {
		fmt.Fprintf(t, "age\tat most %s\n", s.Age)
	}
	fmt.Fprintf(t, "messages\t%d, from %d to before %d, epoch %d\n", s.Messages, s.First, s.Next, s.Epoch)
	fmt.Fprintf(t, "synced\tto before %d\n", s.Synced)
	fmt.Fprintf(t, "oldest\t%s\n", secondsText(s.Oldest))
	fmt.Fprintf(t, "came in\t%d messages, %s\n", s.Appended, bytesText(int64(s.AppendedBytes)))
	fmt.Fprintf(t, "went\t%d refused, %d removed, %d of these not exported, %d lost\n", s.Refused, s.Removed, s.Dropped, s.Lost)
	for i := range s.Feeds {
		f := &s.Feeds[i]
		text := printable(f.Name())
		if len(f.Filters) > 0 {
			text = "filters " + printable(strings.Join(f.Filters, ", "))
		}
		fmt.Fprintf(t, "feed\t%s: %d programs, %d messages, %d wait\n", text, f.Programs, f.Messages, f.Waiting)
	}
	for i := range s.Exporters {
		x := &s.Exporters[i]
		fmt.Fprintf(t, "exporter %s\t%s, %s, %d sent (%s), %d behind (%s)\n", x.Name, x.Kind, x.State, x.Messages, bytesText(int64(x.BytesOut)), x.LagMessages, secondsText(x.LagSeconds))
	}
	for _, note := range streamNotes(&s) {
		fmt.Fprintf(t, "note\t%s\n", note)
	}
	return t.Flush()
}

func secondsText(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// printStreamStatus writes a line a stream of the status.
func printStreamStatus(w io.Writer, st *streammgr.Status) {
	if st == nil {
		return
	}
	if !st.Ready() {
		fmt.Fprintf(w, "streams\t%s\n", strings.TrimSpace(st.State+" "+oneLine(st.Problem)))
	}
	for i := range st.Streams {
		s := &st.Streams[i]
		fmt.Fprintf(w, "stream %s\t%s, %d messages (%s of %s)", printable(s.Name), s.State, s.Messages, bytesText(s.Bytes), bytesText(s.Size))
		if len(s.Exporters) > 0 {
			fmt.Fprintf(w, ", exporters behind by %s", behindText(s))
		}
		fmt.Fprintln(w)
		for _, note := range streamNotes(s) {
			fmt.Fprintf(w, "\t%s\n", note)
		}
	}
}
