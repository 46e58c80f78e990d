package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/gateway"
)

func newLinkDead() *cobra.Command {
	c := &cobra.Command{
		Use:   "dead",
		Short: "Show, send again or drop what the far side refused for good",
		Long: `Dead letters are messages that the far side refused for good, that are too large
for it, or after which it hung up again and again. They wait here with the reason,
so that they hold up nothing else.`,
		Example: "  fascia link dead ls cloud\n  fascia link dead retry cloud --all\n  fascia link dead purge cloud 17 18",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLinkDeadLs(), newLinkDeadRetry(), newLinkDeadPurge())
	return c
}

func newLinkDeadLs() *cobra.Command {
	var (
		gw     control
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "ls LINK",
		Short: "Show the dead letters of a link, oldest first",
		Long: `Show the dead letters of a link, oldest first: number, when and why each was given
up, by which rule it went and where to. --json prints one object a line, with the
payload in base64.`,
		Example: "  fascia link dead ls cloud\n  fascia link dead ls cloud --json | jq -r 'select(.id == 17).payload' | base64 -d",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			if asJSON {
				lines := json.NewEncoder(c.OutOrStdout())
				return client.deadLetters(c, args[0], true, func(d bridge.DeadLetter) error { return lines.Encode(d) })
			}
			var letters []bridge.DeadLetter
			if err := client.deadLetters(c, args[0], false, func(d bridge.DeadLetter) error {
				letters = append(letters, d)
				return nil
			}); err != nil {
				return err
			}
			return printDead(c.OutOrStdout(), letters)
		},
	}
	c.ValidArgsFunction = completeLink(&gw)
	gw.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON lines, with payloads")
	return c
}

func printDead(w io.Writer, letters []bridge.DeadLetter) error {
	if len(letters) == 0 {
		fmt.Fprintln(w, "no dead letters")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tRULE\tTOPIC\tTO\tSIZE\tREASON")
	for _, d := range letters {
		at := "-"
		if !d.Time.IsZero() {
			at = d.Time.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, at, printable(d.Rule), printable(d.Topic), orDash(printable(d.Remote)), bytesText(int64(d.Size)), oneLine(d.Reason))
	}
	return t.Flush()
}

func newLinkDeadRetry() *cobra.Command {
	var (
		gw  control
		all bool
	)
	c := &cobra.Command{
		Use:   "retry LINK ID… | LINK --all",
		Short: "Put dead letters back into the spool, to be sent again",
		Long: `Put dead letters back into the spool, at the end of the class they came from. Mend
first what the far side did not like, or they come back.`,
		Example: "  fascia link dead retry cloud 17 18\n  fascia link dead retry cloud --all",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			query, err := deadQuery(args[1:], all)
			if err != nil {
				return err
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			var moved gateway.Moved
			if err := client.call(c.Context(), http.MethodPost, linkPath(args[0], "dead", "retry")+"?"+query.Encode(), &moved); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s put back into the spool\n", count(moved.Messages, "dead letter"))
			return allMoved(args, moved, "are not there, or their rule or class is not configured any more")
		},
	}
	c.ValidArgsFunction = completeDead(&gw)
	gw.flags(c)
	c.Flags().BoolVar(&all, "all", false, "all dead letters of the link")
	return c
}

func newLinkDeadPurge() *cobra.Command {
	var (
		gw       control
		all, yes bool
	)
	c := &cobra.Command{
		Use:   "purge LINK ID… | LINK --all",
		Short: "Drop dead letters",
		Long: `Drop dead letters of a link. With --all and the name of a link that is not
configured any more, all that is still stored for it goes.`,
		Example: "  fascia link dead purge cloud 17 18 --yes\n  fascia link dead purge cloud --all",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			query, err := deadQuery(args[1:], all)
			if err != nil {
				return err
			}
			if !yes && !asksOnTerminal(c) {
				return usagef("no terminal to ask on whether to drop dead letters: say --yes")
			}
			what := "all dead letters"
			if !all {
				what = count(len(args)-1, "dead letter")
			}
			if !yes && !ask(c, fmt.Sprintf("Drop %s of link %s?", what, args[0])) {
				fmt.Fprintln(c.ErrOrStderr(), "nothing was done")
				return errQuiet
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			var moved gateway.Moved
			if err := client.call(c.Context(), http.MethodPost, linkPath(args[0], "dead", "purge")+"?"+query.Encode(), &moved); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s dropped\n", count(moved.Messages, "message"))
			return allMoved(args, moved, "are not there")
		},
	}
	c.ValidArgsFunction = completeDead(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVar(&all, "all", false, "all dead letters of the link")
	fs.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// allMoved fails where some of the dead letters that were named, behind their link,
// were not moved.
func allMoved(args []string, moved gateway.Moved, why string) error {
	if left := len(args) - 1 - moved.Messages; left > 0 {
		return fmt.Errorf("link %q: %d of the %d dead letters %s (fascia link dead ls %s shows them)", args[0], left, len(args)-1, why, args[0])
	}
	return nil
}

// deadQuery says which dead letters are meant.
func deadQuery(ids []string, all bool) (url.Values, error) {
	if all == (len(ids) > 0) {
		return nil, usagef("want the numbers of dead letters, or --all")
	}
	for _, id := range ids {
		if _, err := strconv.ParseUint(id, 10, 64); err != nil {
			return nil, usagef("%q: want the number of a dead letter, as link dead ls shows it", id)
		}
	}
	if all {
		return url.Values{"all": {"true"}}, nil
	}
	return url.Values{"id": ids}, nil
}

// deadLetters calls fn for each dead letter of a link; the gateway gives them in
// pages.
func (g *gatewayClient) deadLetters(c *cobra.Command, link string, payload bool, fn func(bridge.DeadLetter) error) error {
	query := url.Values{"from": {"0"}}
	if payload {
		query.Set("payload", "true")
	}
	for {
		var page []bridge.DeadLetter
		if err := g.call(c.Context(), http.MethodGet, linkPath(link, "dead")+"?"+query.Encode(), &page); err != nil || len(page) == 0 {
			return err
		}
		for _, d := range page {
			if err := fn(d); err != nil {
				return err
			}
		}
		query.Set("from", strconv.FormatUint(page[len(page)-1].ID+1, 10))
	}
}

// completeDead completes the name of a link, and then the numbers of its first dead
// letters.
func completeDead(gw *control) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) (ids []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			return completeLinks(gw)(c, args, word)
		}
		client, err := gw.dial()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var page []bridge.DeadLetter
		_ = client.call(c.Context(), http.MethodGet, linkPath(args[0], "dead"), &page) // a gateway that does not answer has none
		for _, d := range page {
			id := strconv.FormatUint(d.ID, 10)
			if !slices.Contains(args[1:], id) {
				ids = append(ids, id+"\t"+d.Reason)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
