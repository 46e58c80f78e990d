package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus/transmit"
)

func newAct() *cobra.Command {
	var (
		gw             control
		dryRun, asJSON bool
	)
	c := &cobra.Command{
		Use:   "act PATH VALUE",
		Short: "Set an actuator of the vehicle, through the transmit gate",
		Long: `Ask a running gateway to set an actuator, as role operator over its control
socket, and wait for the outcome: done, refused (by which rule and why) or
timeout. --dry-run sends nothing: it says what would become of the request, and
shows the frame that would be sent.`,
		Example: "  fascia act Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature 21.5\n" +
			"  fascia act Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature 40 --dry-run\n" +
			"  fascia act ls",
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			query := url.Values{"path": {args[0]}, "value": {jsonValue(args[1])}}
			if dryRun {
				query.Set("dry_run", "true")
			}
			var a transmit.Answer
			if err := client.call(c.Context(), http.MethodPost, "/v1/act?"+query.Encode(), &a); err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(a)
			} else {
				printAnswer(c.OutOrStdout(), a)
			}
			if err == nil && a.Status != transmit.Done && a.Status != transmit.Allowed {
				return errQuiet
			}
			return err
		},
	}
	c.ValidArgsFunction = completeRules(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVarP(&dryRun, "dry-run", "n", false, "send nothing: say what would become of it")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(newActLs())
	return c
}

// jsonValue is what stands on the command line as JSON: a word is a string.
func jsonValue(text string) string {
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		return text
	}
	quoted, _ := json.Marshal(text) // a string always marshals
	return string(quoted)
}

func printAnswer(w io.Writer, a transmit.Answer) {
	fmt.Fprint(w, a.Status)
	if a.Rule != "" {
		fmt.Fprintf(w, " by the rule for %s", a.Rule)
	}
	if a.Reason != "" {
		fmt.Fprintf(w, ": %s", a.Reason)
	}
	fmt.Fprintln(w)
	if a.Frame != "" {
		fmt.Fprintf(w, "frame %s\n", a.Frame)
	}
}

func newActLs() *cobra.Command {
	var (
		gw     control
		asJSON bool
	)
	c := &cobra.Command{
		Use:     "ls",
		Short:   "Show the rules: what may be set, by whom, and what became of it",
		Example: "  fascia act ls\n  fascia act ls --json | jq '.[].counts'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			rules, err := client.rules(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(rules)
			}
			return printRules(c.OutOrStdout(), rules, time.Now())
		},
	}
	gw.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printRules(w io.Writer, rules []transmit.RuleStatus, now time.Time) error {
	if len(rules) == 0 {
		fmt.Fprintln(w, "no rules: the gateway sends nothing to any bus")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tROLES\tALLOWED\tRATE\tWHEN\tSIGNAL\tDONE\tREFUSED\tTIMEOUT\tLAST")
	for _, r := range rules {
		when := r.When
		if r.Blocked != "" {
			when = "never: " + r.Blocked
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s %s\t%d\t%d\t%d\t%s\n", r.Name, strings.Join(r.Roles, ","), r.Allowed, r.Rate, orDash(when), r.Bus, r.Signal,
			r.Counts[transmit.Done], r.Counts[transmit.Refused], r.Counts[transmit.TimedOut], lastText(r.Last, now))
	}
	return t.Flush()
}

func lastText(last *transmit.Last, now time.Time) string {
	if last == nil {
		return "-"
	}
	text := fmt.Sprintf("%s %s by %s, %s ago", oneLine(last.Value), last.Status, printable(last.Role), now.Sub(last.At).Round(time.Second))
	if last.Reason != "" {
		text += ": " + oneLine(last.Reason)
	}
	return text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (g *gatewayClient) rules(ctx context.Context) (list []transmit.RuleStatus, err error) {
	err = g.call(ctx, http.MethodGet, "/v1/act", &list)
	return list, err
}

// completeRules completes the paths that rules of the running gateway name, and
// then the values where a rule lists them.
func completeRules(gw *control) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) (words []string, _ cobra.ShellCompDirective) {
		client, err := gw.dial()
		if err != nil || len(args) > 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		rules, _ := client.rules(c.Context()) // a gateway that does not answer has none
		for _, r := range rules {
			path := strings.ReplaceAll(strings.TrimPrefix(r.Topic, transmit.TopicPrefix), "/", ".")
			switch {
			case len(args) == 0:
				words = append(words, path)
			case args[0] == path && !strings.Contains(r.Allowed, " to "):
				for value := range strings.SplitSeq(r.Allowed, ", ") {
					words = append(words, strings.Trim(value, `"`))
				}
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}
