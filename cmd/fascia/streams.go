package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/streammgr"
)

func newStreams() *cobra.Command {
	c := &cobra.Command{
		Use:   "streams",
		Short: "Show, fill, read and purge streams, and pause their exporters",
		Example: `  fascia streams ls
  fascia streams tail -f telemetry
  fascia streams export telemetry -o telemetry.jsonl --format json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newStreamsLs(), newStreamsDescribe(), newStreamsAppend(), newStreamsRead(), newStreamsTail(), newStreamsExport(), newStreamsPurge())
	c.AddCommand(newExporterCommands()...)
	return c
}

func newStreamsLs() *cobra.Command {
	var (
		gw                control
		exporters, asJSON bool
	)
	c := &cobra.Command{
		Use:   "ls [STREAM…]",
		Short: "Show the streams: what is in them, and how their exporters stand",
		Long: `Show the streams of a running gateway: state, messages and bytes, the age of the
oldest message, what came in, and how far the slowest exporter is behind.
--exporters shows each exporter.`,
		Example: "  fascia streams ls\n  fascia streams ls --exporters\n  fascia streams ls --json | jq '.[].exporters[].lag_s'",
		RunE: func(c *cobra.Command, names []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			st, err := client.streams(c.Context())
			if err != nil {
				return err
			}
			list, err := chooseStreams(st.Streams, names)
			switch {
			case err != nil:
				return err
			case asJSON:
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			case exporters:
				return printExporters(c.OutOrStdout(), list)
			}
			return printStreams(c.OutOrStdout(), st, list)
		},
	}
	c.ValidArgsFunction = completeStreams(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVar(&exporters, "exporters", false, "a line an exporter")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("exporters", "json")
	return c
}

// chooseStreams gives the streams of those names, or all without names.
func chooseStreams(list []streammgr.StreamStatus, names []string) ([]streammgr.StreamStatus, error) {
	if len(names) == 0 {
		return list, nil
	}
	chosen := make([]streammgr.StreamStatus, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(list, func(s streammgr.StreamStatus) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("stream %q: there is no such stream (%s)", name, streamNames(list))
		}
		chosen = append(chosen, list[i])
	}
	return chosen, nil
}

func streamNames(list []streammgr.StreamStatus) string {
	if len(list) == 0 {
		return "there are none"
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = printable(s.Name)
	}
	return "there are " + strings.Join(names, ", ")
}

func newStreamsDescribe() *cobra.Command {
	var (
		gw     control
		asJSON bool
	)
	c := &cobra.Command{
		Use:     "describe STREAM",
		Short:   "Show all about one stream",
		Example: "  fascia streams describe telemetry",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			var s streammgr.StreamStatus
			if err := client.call(c.Context(), http.MethodGet, streamPath(args[0]), &s); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(s)
			}
			return describeStream(c.OutOrStdout(), s)
		},
	}
	c.ValidArgsFunction = completeStream(&gw)
	gw.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// newExporterCommands are the commands that do something with one exporter.
func newExporterCommands() (list []*cobra.Command) {
	for _, do := range []struct{ what, short, long, done string }{
		{"pause", "Pause an exporter, over restarts too",
			"Pause an exporter: it begins no batch, over restarts of the gateway too, until it is\nresumed. The stream keeps what the exporter does not have as long as it has room.", "is paused"},
		{"resume", "Let a paused exporter go on", "Let a paused exporter go on where it was.", "goes on"},
		{"retry", "Let an exporter that waits after a failure try at once",
			"Let an exporter that waits after a failure, or a refusal that somebody has mended,\ntry at once.", "tries again"},
	} {
		var gw control
		c := &cobra.Command{
			Use:     do.what + " STREAM EXPORTER",
			Short:   do.short,
			Long:    do.long,
			Example: "  fascia streams " + do.what + " telemetry cloud",
			Args:    cobra.ExactArgs(2),
			RunE: func(c *cobra.Command, args []string) error {
				client, err := gw.dial()
				if err != nil {
					return err
				}
				if err := client.call(c.Context(), http.MethodPost, streamPath(args[0], "exporters", args[1], do.what), &struct{}{}); err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "exporter %s of %s %s\n", args[1], printable(args[0]), do.done)
				return nil
			},
		}
		c.ValidArgsFunction = completeExporter(&gw)
		gw.flags(c)
		list = append(list, c)
	}
	return list
}

// streamPath is the path of a stream on the control socket.
func streamPath(name string, rest ...string) string {
	path := "/v1/streams/" + url.PathEscape(name)
	for _, part := range rest {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func (g *gatewayClient) streams(ctx context.Context) (st streammgr.Status, err error) {
	err = g.call(ctx, http.MethodGet, "/v1/streams", &st)
	return st, err
}

// completeStreams completes the names of the streams of the running gateway.
func completeStreams(gw *control) cobra.CompletionFunc {
	return func(c *cobra.Command, already []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		client, err := gw.dial()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		st, _ := client.streams(c.Context()) // a gateway that does not answer has none
		for _, s := range st.Streams {
			if !slices.Contains(already, s.Name) {
				names = append(names, s.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeStream completes the name of one stream.
func completeStream(gw *control) cobra.CompletionFunc {
	all := completeStreams(gw)
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return all(c, args, word)
	}
}

// completeExporter completes the name of a stream, and then of one of its exporters.
func completeExporter(gw *control) cobra.CompletionFunc {
	one := completeStream(gw)
	return func(c *cobra.Command, args []string, word string) (names []string, _ cobra.ShellCompDirective) {
		if len(args) != 1 {
			return one(c, args, word)
		}
		if client, err := gw.dial(); err == nil {
			st, _ := client.streams(c.Context()) // a gateway that does not answer has none
			for _, s := range st.Streams {
				for _, x := range s.Exporters {
					if s.Name == args[0] {
						names = append(names, x.Name)
					}
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
