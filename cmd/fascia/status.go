package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/gateway"
)

const defaultSocket = "/run/fascia/fascia.sock"

func newStatus() *cobra.Command {
	var (
		socket, file string
		watch        bool
		asJSON       bool
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a running gateway does",
		Long: `Show listeners, clients, buses and values of a running gateway, over its control
socket: --socket, else $FASCIA_SOCKET, else the one that the configuration -c
names, else ` + defaultSocket + `, else the demo's.`,
		Example: "  fascia status --watch\n  fascia status --json | jq .buses",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := findSocket(socket, file)
			if err != nil {
				return err
			}
			client := controlClient(path)
			for {
				status, err := fetchStatus(c.Context(), client, path)
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
	fs := c.Flags()
	fs.StringVar(&socket, "socket", "", "control socket of the gateway")
	fs.StringVarP(&file, "config", "c", "", "configuration that names the socket")
	fs.BoolVarP(&watch, "watch", "w", false, "show it again every second")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.MarkFlagFilename("socket")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	return c
}

func findSocket(flag, file string) (string, error) {
	switch {
	case flag != "":
		return flag, nil
	case os.Getenv("FASCIA_SOCKET") != "":
		return os.Getenv("FASCIA_SOCKET"), nil
	case file != "":
		c, _, err := gateway.Load(file)
		if err != nil {
			return "", explain(err)
		}
		return c.Control.Socket, nil
	}
	for _, path := range []string{defaultSocket, demoSocket()} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no gateway found: %s and %s are not there; say --socket or -c", defaultSocket, demoSocket())
}

func controlClient(path string) *http.Client {
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			},
		},
	}
}

func fetchStatus(ctx context.Context, client *http.Client, path string) (gateway.Status, error) {
	var status gateway.Status
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/v1/status", nil)
	if err != nil {
		return status, err
	}
	response, err := client.Do(request)
	if err != nil {
		return status, fmt.Errorf("no gateway answers on %s: %w", path, plainCause(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return status, fmt.Errorf("%s: %s", path, text)
	}
	return status, json.NewDecoder(response.Body).Decode(&status)
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
	fmt.Fprintf(t, "values\t%d\n", s.Values)
	for _, b := range s.Buses {
		fmt.Fprintf(t, "bus %s\t%s  %d frames: %d decoded, %d unused, %d unknown, %d short, %d remote or error%s\n",
			b.Name, b.State, b.Frames, b.Decoded, b.Unused, b.Unknown, b.Short, b.Other, trouble(b))
	}
	if n := len(s.Config.Warnings); n > 0 {
		fmt.Fprintf(t, "warnings\t%d (fascia check -c %s shows them)\n", n, s.Config.File)
	}
	return t.Flush()
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
