package main

import (
	"fmt"
	"io"

	"github.com/fascia-edge/fascia/canbus/record"
)

// printRecordings prints a line a recording, and more where frames are lost.
func printRecordings(w io.Writer, list []record.Status) {
	for _, r := range list {
		fmt.Fprintf(w, "recording %s\t%s  %d frames in %d blocks, %.1f MB kept\n",
			r.Name, r.State, r.Frames, r.Blocks, float64(r.Kept.Bytes)/1e6)
		if r.Dropped() > 0 {
			fmt.Fprintf(w, "\t%d frames dropped: %d came too fast, %d had no memory before an event, %d could not be kept\n",
				r.Dropped(), r.Late, r.Crowded, r.Refused)
		}
		if r.Fault != "" {
			fmt.Fprintf(w, "\tblocks are dropped: %s\n", r.Fault)
		}
	}
}
