package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/gateway"
)

func newSessions() *cobra.Command {
	c := &cobra.Command{
		Use:     "sessions",
		Short:   "List, disconnect and end the sessions of MQTT clients",
		Example: "  fascia sessions ls --sort queued\n  fascia sessions kick tablet\n  fascia sessions purge --older 24h",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newSessionsLs(), newSessionsKick(), newSessionsPurge())
	return c
}

func newSessionsLs() *cobra.Command {
	var (
		gw                         control
		connected, offline, asJSON bool
		order                      string
	)
	c := &cobra.Command{
		Use:   "ls [PATTERN…]",
		Short: "Show the sessions, connected or kept for absent clients",
		Long: `Show the sessions of MQTT clients, connected or kept for absent ones. A pattern
such as 'tablet-*' shows those whose client id it matches.`,
		Example: "  fascia sessions ls --offline --sort queued\n  fascia sessions ls --json 'rear-*' | jq '.[].queued'",
		RunE: func(c *cobra.Command, patterns []string) error {
			if connected && offline {
				return usagef("--connected and --offline: want one of them")
			}
			compare, known := sessionOrders[order]
			if !known {
				return usagef("--sort %s: want client, since, queued, bytes or dropped", order)
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			list, err := client.sessions(c.Context())
			if err != nil {
				return err
			}
			for _, pattern := range patterns {
				if _, err := path.Match(pattern, ""); err != nil {
					return usagef("pattern %q: %v", pattern, err)
				}
			}
			list = slices.DeleteFunc(list, func(s edgebroker.ClientInfo) bool {
				return connected && !s.Connected || offline && s.Connected || !matchesAny(patterns, s.ID)
			})
			slices.SortStableFunc(list, compare)
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			return printSessions(c.OutOrStdout(), list, time.Now())
		},
	}
	c.ValidArgsFunction = completeClients(&gw, func(edgebroker.ClientInfo) bool { return true })
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVar(&connected, "connected", false, "only clients that are connected")
	fs.BoolVar(&offline, "offline", false, "only clients that are not")
	fs.StringVar(&order, "sort", "client", "by client, since, queued, bytes or dropped")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions([]string{"client", "since", "queued", "bytes", "dropped"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// sessionOrders put what an operator looks for first; all begin with the order of
// client ids.
var sessionOrders = map[string]func(a, b edgebroker.ClientInfo) int{
	"client":  func(a, b edgebroker.ClientInfo) int { return strings.Compare(a.ID, b.ID) },
	"since":   func(a, b edgebroker.ClientInfo) int { return a.Since.Compare(b.Since) },
	"queued":  func(a, b edgebroker.ClientInfo) int { return cmp.Compare(b.Queued, a.Queued) },
	"bytes":   func(a, b edgebroker.ClientInfo) int { return cmp.Compare(b.QueueBytes, a.QueueBytes) },
	"dropped": func(a, b edgebroker.ClientInfo) int { return cmp.Compare(b.Dropped, a.Dropped) },
}

// matchesAny reports whether a pattern matches, or there are none. Patterns are
// well formed.
func matchesAny(patterns []string, client string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, client)
		return ok || pattern == client // an id may hold what has a meaning in a pattern
	})
}

func printSessions(w io.Writer, list []edgebroker.ClientInfo, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CLIENT\tIDENTITY\tROLE\tSTATE\tSINCE\tINFLIGHT\tQUEUED\tBYTES\tDROPPED\tEXPIRES")
	for _, s := range list {
		state, expires := "offline", seconds(s.ExpirySeconds)
		if s.Connected {
			state, expires = "connected", "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", printable(s.ID), printable(s.Identity), s.Role, state,
			now.Sub(s.Since).Round(time.Second), s.Inflight, s.Queued, s.QueueBytes, s.Dropped, expires)
	}
	return t.Flush()
}

func seconds(n int64) string { return (time.Duration(n) * time.Second).String() }

// printable is a client id as one line: a client may put anything into it, what
// moves a terminal's cursor too.
func printable(id string) string {
	if quoted := fmt.Sprintf("%q", id); quoted != `"`+id+`"` {
		return quoted
	}
	return id
}

func newSessionsKick() *cobra.Command {
	var gw control
	c := &cobra.Command{
		Use:   "kick CLIENT…",
		Short: "Disconnect clients; their sessions stay",
		Long: `Disconnect clients with reason 0x98 (administrative action). Their sessions and
what waits in them stay, and they may come back at once.`,
		Example: "  fascia sessions kick tablet",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, clients []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			for _, id := range clients {
				path := "/v1/sessions/kick?" + url.Values{"client": {id}}.Encode()
				if err := client.call(c.Context(), http.MethodPost, path, &struct{}{}); err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "%s is disconnected; its session stays\n", printable(id))
			}
			return nil
		},
	}
	c.ValidArgsFunction = completeClients(&gw, func(s edgebroker.ClientInfo) bool { return s.Connected })
	gw.flags(c)
	return c
}

func newSessionsPurge() *cobra.Command {
	var (
		gw              control
		allOffline, yes bool
		older           time.Duration
	)
	c := &cobra.Command{
		Use:   "purge CLIENT… | --all-offline | --older TIME",
		Short: "End sessions with all that waits in them",
		Long: `End sessions, connected or not, with their subscriptions and all messages that
wait in them; wills are sent. --all-offline ends those of all absent clients,
--older those of clients that have been absent for that time.`,
		Example: "  fascia sessions purge tablet\n  fascia sessions purge --older 24h --yes",
		RunE: func(c *cobra.Command, clients []string) error {
			bulk := allOffline || c.Flags().Changed("older")
			switch {
			case bulk == (len(clients) > 0):
				return usagef("want client ids, or --all-offline or --older")
			case older < 0:
				return usagef("--older %v: want 0s or more", older)
			case !yes && !asksOnTerminal(c):
				return usagef("no terminal to ask on whether to drop sessions: say --yes")
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			list, err := client.sessions(c.Context())
			if err != nil {
				return err
			}
			chosen, err := choose(list, clients, time.Now().Add(-older))
			if err != nil || len(chosen) == 0 && !bulk {
				return err
			}
			if len(chosen) > 0 && !yes && !confirm(c, chosen) {
				fmt.Fprintln(c.ErrOrStderr(), "nothing was done")
				return errQuiet
			}
			return client.purge(c, chosen, bulk)
		},
	}
	c.ValidArgsFunction = completeClients(&gw, func(edgebroker.ClientInfo) bool { return true })
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVar(&allOffline, "all-offline", false, "the sessions of all clients that are not connected")
	fs.DurationVar(&older, "older", 0, "the sessions of clients that have not been connected for this long")
	fs.BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// choose gives the sessions of clients, or of all that have been absent since
// before.
func choose(list []edgebroker.ClientInfo, clients []string, before time.Time) (chosen []edgebroker.ClientInfo, err error) {
	if len(clients) == 0 {
		return slices.DeleteFunc(list, func(s edgebroker.ClientInfo) bool { return s.Connected || s.Since.After(before) }), nil
	}
	for _, id := range clients {
		i := slices.IndexFunc(list, func(s edgebroker.ClientInfo) bool { return s.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("client %q: there is no such session (fascia sessions ls shows them)", id)
		}
		chosen = append(chosen, list[i])
	}
	return chosen, nil
}

func asksOnTerminal(c *cobra.Command) bool {
	in, ok := c.InOrStdin().(*os.File)
	return ok && gateway.IsTerminal(in)
}

// confirm asks on the terminal.
func confirm(c *cobra.Command, chosen []edgebroker.ClientInfo) bool {
	messages, connected := 0, 0
	for _, s := range chosen {
		messages += s.Queued + s.Inflight
		if s.Connected {
			connected++
		}
	}
	return ask(c, fmt.Sprintf("End %s, %d of them connected, and drop %s?", count(len(chosen), "session"), connected, count(messages, "message")))
}

// ask asks a question on the terminal; the answer is no unless it is yes.
func ask(c *cobra.Command, question string) bool {
	fmt.Fprint(c.ErrOrStderr(), question+" [y/N] ")
	answer, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n') // without an answer it is no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// purge ends the sessions one by one. Of many, those whose client came back
// meanwhile, or that ended by themselves, are left alone.
func (g *gatewayClient) purge(c *cobra.Command, chosen []edgebroker.ClientInfo, absent bool) error {
	ended, messages := 0, 0
	for _, s := range chosen {
		query := url.Values{"client": {s.ID}}
		if absent {
			query.Set("absent", "true")
		}
		var purged gateway.Purged
		err := g.call(c.Context(), http.MethodPost, "/v1/sessions/purge?"+query.Encode(), &purged)
		if refused := (*refusedError)(nil); absent && errors.As(err, &refused) {
			fmt.Fprintln(c.ErrOrStderr(), "left alone: "+refused.text)
			continue
		}
		if err != nil {
			return err
		}
		ended++
		messages += purged.Messages
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s ended, %s dropped\n", count(ended, "session"), count(messages, "message"))
	return nil
}

func (g *gatewayClient) sessions(ctx context.Context) (list []edgebroker.ClientInfo, err error) {
	err = g.call(ctx, http.MethodGet, "/v1/sessions", &list)
	return list, err
}

// completeClients completes client ids of those sessions of the running gateway
// that fit.
func completeClients(gw *control, fits func(edgebroker.ClientInfo) bool) cobra.CompletionFunc {
	return func(c *cobra.Command, already []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
		client, err := gw.dial()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, _ := client.sessions(c.Context()) // a gateway that does not answer has none
		for _, s := range list {
			if fits(s) && !slices.Contains(already, s.ID) {
				ids = append(ids, s.ID)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
