package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/bridge"
)

func newLink() *cobra.Command {
	c := &cobra.Command{
		Use:     "link",
		Short:   "Show, test and wake the links of the bridge, and what they gave up",
		Example: "  fascia link ls\n  fascia link test cloud\n  fascia link dead ls cloud",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLinkLs(), newLinkTest(), newLinkUp(), newLinkDead())
	return c
}

func newLinkLs() *cobra.Command {
	var (
		gw                     control
		classes, rules, asJSON bool
	)
	c := &cobra.Command{
		Use:   "ls [LINK…]",
		Short: "Show the links: state, what waits, what it has cost",
		Long: `Show the links of a running gateway: whether each is up and since when, how long
the far side takes to answer, what waits for it, was dropped or given up, and the
bytes on the wire. --classes shows what waits by class, --rules what each rule
has carried.`,
		Example: "  fascia link ls\n  fascia link ls --rules cloud\n  fascia link ls --json | jq '.[].state'",
		RunE: func(c *cobra.Command, names []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			list, err := client.links(c.Context())
			if err == nil {
				list, err = chooseLinks(list, names)
			}
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			case classes:
				return printClasses(c.OutOrStdout(), list)
			case rules:
				return printLinkRules(c.OutOrStdout(), list)
			}
			return printLinks(c.OutOrStdout(), list, time.Now())
		},
	}
	c.ValidArgsFunction = completeLinks(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVar(&classes, "classes", false, "what waits, by class")
	fs.BoolVar(&rules, "rules", false, "what each rule has carried")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("classes", "rules", "json")
	return c
}

// chooseLinks gives the links of those names, or all without names.
func chooseLinks(list []bridge.LinkStatus, names []string) ([]bridge.LinkStatus, error) {
	if len(names) == 0 {
		return list, nil
	}
	chosen := make([]bridge.LinkStatus, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(list, func(s bridge.LinkStatus) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("link %q: there is no such link (%s)", name, linkNames(list))
		}
		chosen = append(chosen, list[i])
	}
	return chosen, nil
}

func linkNames(list []bridge.LinkStatus) string {
	if len(list) == 0 {
		return "bridge.links of the configuration has none"
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	return "there are " + strings.Join(names, ", ")
}

func newLinkUp() *cobra.Command {
	var gw control
	c := &cobra.Command{
		Use:   "up [LINK…]",
		Short: "Say that the network is there: links that are down try at once",
		Long: `Say that the network is there: links that wait for their next try make it at
once. Without names, all of them. The gateway sees new addresses and routes of
this machine by itself; a modem behind a router, it does not.`,
		Example: "  fascia link up\n  fascia link up cloud",
		RunE: func(c *cobra.Command, names []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			if len(names) == 0 {
				return client.call(c.Context(), http.MethodPost, "/v1/links/up", &struct{}{})
			}
			for _, name := range names {
				if err := client.call(c.Context(), http.MethodPost, linkPath(name, "up"), &struct{}{}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.ValidArgsFunction = completeLinks(&gw)
	gw.flags(c)
	return c
}

// linkPath is the path of a link on the control socket.
func linkPath(name string, rest ...string) string {
	return "/v1/links/" + url.PathEscape(name) + "/" + strings.Join(rest, "/")
}

func (g *gatewayClient) links(ctx context.Context) (list []bridge.LinkStatus, err error) {
	err = g.call(ctx, http.MethodGet, "/v1/links", &list)
	return list, err
}

// completeLinks completes the names of the links of the running gateway.
func completeLinks(gw *control) cobra.CompletionFunc {
	return func(c *cobra.Command, already []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		client, err := gw.dial()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, _ := client.links(c.Context()) // a gateway that does not answer has none
		for _, s := range list {
			if !slices.Contains(already, s.Name) {
				names = append(names, s.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeLink completes the name of one link.
func completeLink(gw *control) cobra.CompletionFunc {
	all := completeLinks(gw)
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return all(c, args, word)
	}
}
