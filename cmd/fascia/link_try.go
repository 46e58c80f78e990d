package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/gateway"
)

func newLinkTest() *cobra.Command {
	var (
		gw     control
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "test LINK",
		Short: "Connect once, and show each step with its time",
		Long: `Connect once to each endpoint of a link, beside the link itself, and show each
step with its time: resolve, connect, proxy, tls, websocket, mqtt. What fails says
why; exit code 1 then. Its client id is the link's with "-test" behind it.

A running gateway does it, with the configuration that it has in use. With
-c FILE this command does it itself, with no gateway running.`,
		Example: "  fascia link test cloud\n  fascia link test cloud -c fascia.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			result, err := gw.testLink(c.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(result)
			} else {
				err = printLinkTest(c.OutOrStdout(), result)
			}
			if err == nil && !result.OK {
				return errQuiet
			}
			return err
		},
	}
	c.ValidArgsFunction = completeLink(&gw)
	gw.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// testLink has the running gateway test the link, or does it here by the
// configuration that the flags name.
func (ctl *control) testLink(ctx context.Context, name string) (result gateway.LinkTest, err error) {
	if ctl.file != "" && ctl.socket == "" {
		c, _, err := gateway.Load(ctl.file)
		if err != nil {
			return result, explain(err)
		}
		return gateway.TestLink(ctx, c, name)
	}
	client, err := ctl.dial()
	if err != nil {
		return result, err
	}
	client.http.Timeout = 0 // the gateway has one, and a far side may take long
	err = client.call(ctx, http.MethodPost, linkPath(name, "test"), &result)
	return result, err
}

func printLinkTest(w io.Writer, result gateway.LinkTest) error {
	for _, e := range result.Endpoints {
		fmt.Fprintln(w, e.URL)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, s := range e.Steps {
			text := s.Detail
			if s.Error != "" {
				text = "FAILED: " + s.Error
			}
			fmt.Fprintf(t, "  %s\t%.1f ms\t%s\n", s.Name, s.MS, oneLine(text))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if e.Error != "" && (len(e.Steps) == 0 || e.Steps[len(e.Steps)-1].Error == "") {
			fmt.Fprintf(w, "  FAILED: %s\n", oneLine(e.Error))
		}
	}
	return nil
}
