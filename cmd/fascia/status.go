package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/gateway"
)

func newStatus() *cobra.Command {
	var (
		gw     control
		watch  bool
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a running gateway does",
		Long: `Show listeners, clients, buses, values and links of a running gateway, over its control
socket: --socket, else $FASCIA_SOCKET, else the one that the configuration -c
names, else ` + defaultSocket + `, else the demo's.`,
		Example: "  fascia status --watch\n  fascia status --json | jq .buses",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			for {
				status, err := client.status(c.Context())
				if err != nil {
					return err
				}
				if err := printStatus(c.OutOrStdout(), status, asJSON, watch); err != nil || !watch {
					return err
				}
				select {
				case <-c.Context().Done():
					return nil
				case <-time.After(time.Second):
				}
			}
		},
	}
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVarP(&watch, "watch", "w", false, "show it again every second")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

const clearScreen = "\x1b[H\x1b[2J"

func printStatus(w io.Writer, s gateway.Status, asJSON, watch bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	if watch {
		fmt.Fprint(w, clearScreen)
	}
	state := "starting"
	if s.Ready {
		state = "running"
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "fascia %s\t%s for %s, pid %d, %.1f MB\n", s.Version, state, uptime(s), s.PID, float64(s.MemoryBytes)/1e6)
	fmt.Fprintf(t, "vehicle\t%s\n", orNone(s.Vehicle.VIN))
	fmt.Fprintf(t, "config\t%s%s\n", s.Config.File, reloadText(s.Config))
	for _, l := range s.Listeners {
		fmt.Fprintf(t, "listener\t%s  %s %s\n", l.Name, l.Protocol, l.Address)
	}
	fmt.Fprintf(t, "clients\t%d connected, %d sessions, %d subscriptions\n", s.Clients.Connected, s.Clients.Sessions, s.Clients.Subscriptions)
	fmt.Fprintf(t, "messages\t%d in, %d out, %d dropped, %d refused\n", s.Messages.In, s.Messages.Out, s.Messages.Dropped, s.Messages.Refused)
	fmt.Fprintf(t, "store\t%s\n", storeText(s.Store))
	fmt.Fprintf(t, "values\t%d\n", s.Values)
	for _, b := range s.Buses {
		fmt.Fprintf(t, "bus %s\t%s  %d frames: %d decoded, %d unused, %d unknown, %d short, %d remote or error, %d own%s\n",
			b.Name, b.State, b.Frames, b.Decoded, b.Unused, b.Unknown, b.Short, b.Other, b.Own, trouble(b))
	}
	printHealth(t, s.Health)
	printRecordings(t, s.Recordings)
	printLinkStatus(t, s.Links, time.Now())
	printStreamStatus(t, s.Streams)
	if n := len(s.Config.Warnings); n > 0 {
		fmt.Fprintf(t, "warnings\t%d (fascia check -c %s shows them)\n", n, s.Config.File)
	}
	return t.Flush()
}

func storeText(s gateway.StoreStatus) string {
	text := fmt.Sprintf("ok, %s of %s, %s", sizeText(s.Bytes), sizeText(s.Size), s.Sync)
	if s.Sync == "interval" {
		text += " " + s.Interval
	}
	if s.Refuses != "" {
		text = fmt.Sprintf("REFUSES since %s: %s\n\tmessages that must be stored are refused; it goes on by itself when the cause is gone",
			s.Since.Local().Format(time.DateTime), s.Refuses)
	}
	if s.Corrupt+s.Lost > 0 {
		text += fmt.Sprintf("\n\t%d damaged records were found, which cost %d waiting messages", s.Corrupt, s.Lost)
	}
	return text
}

func sizeText(bytes int64) string {
	if bytes >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
}

func uptime(s gateway.Status) time.Duration {
	return time.Duration(s.UptimeSeconds * float64(time.Second)).Round(time.Second)
}

func reloadText(c gateway.ConfigStatus) string {
	switch {
	case c.LastReload.At.IsZero():
		return ""
	case c.LastReload.Error != "":
		return "  (last reload refused: " + c.LastReload.Error + ")"
	}
	return "  (reloaded " + c.LastReload.At.Format(time.TimeOnly) + ")"
}

// trouble is what is wrong with a bus, "" if nothing is.
func trouble(b canbus.BusStatus) string {
	var text string
	if b.Reason != "" {
		text += "\n\t" + b.Reason
	}
	if b.Invalid > 0 {
		text += fmt.Sprintf("\n\t%d invalid values", b.Invalid)
	}
	if b.Skipped > 0 {
		text += fmt.Sprintf("\n\t%d values skipped by the mapping", b.Skipped)
	}
	if len(b.Errors) > 0 {
		text += "\n\terror frames told:"
		for _, kind := range canbus.ErrorKinds {
			if n := b.Errors[kind]; n > 0 {
				text += fmt.Sprintf(" %s %d", kind, n)
			}
		}
	}
	if b.FirstFault != "" {
		text += fmt.Sprintf("\n\t%d torn lines, %d clock jumps, %d bad datagrams, %d dropped; first: %s",
			b.TornLines, b.ClockJumps, b.BadDatagrams, b.Dropped, b.FirstFault)
	}
	return text
}

func orNone(s string) string {
	if s == "" {
		return "(no VIN configured)"
	}
	return s
}
