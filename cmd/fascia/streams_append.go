package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/gateway"
)

func newStreamsAppend() *cobra.Command {
	var (
		gw            control
		lines, asJSON bool
	)
	c := &cobra.Command{
		Use:   "append STREAM [MESSAGE]",
		Short: "Append messages to a stream",
		Long: `Append MESSAGE, or what comes on standard input, to a stream; with --lines each line
is a message. It returns when all are as durable as the stream promises.`,
		Example: `  fascia streams append telemetry '{"speed": 50}'
  sensor | fascia streams append --lines telemetry`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			next, err := payloadsOf(args, lines, c.InOrStdin())
			if err != nil {
				return err
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			bar := newProgress(c.ErrOrStderr(), "messages")
			if in, ok := c.InOrStdin().(*os.File); ok && gateway.IsTerminal(in) {
				bar = newProgress(io.Discard, "") // it would stand in the way of what is typed
			}
			done, err := client.append(c.Context(), args[0], next, bar)
			bar.end()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(done)
			}
			if done.Messages == 1 {
				fmt.Fprintf(c.ErrOrStderr(), "appended as %d\n", done.First)
			} else {
				fmt.Fprintf(c.ErrOrStderr(), "%s appended, the first as %d\n", count(done.Messages, "message"), done.First)
			}
			return nil
		},
	}
	c.ValidArgsFunction = completeStream(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.BoolVar(&lines, "lines", false, "append each line of standard input")
	fs.BoolVar(&asJSON, "json", false, "print what was appended as JSON")
	return c
}

// append sends messages as they come.
func (g *gatewayClient) append(ctx context.Context, stream string, next func() ([]byte, error), bar *progress) (done gateway.Appended, err error) {
	body, to := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := writeMessages(to, next, bar)
		_ = to.CloseWithError(err) // nil is the end
		sent <- err
	}()
	// Standard input may take its time.
	patient := &gatewayClient{g.path, &http.Client{Transport: g.http.Transport}}
	err = patient.post(ctx, streamPath(stream, "append"), body, &done)
	_ = body.CloseWithError(errAnswered) // what was not read by then was not wanted
	if failed := <-sent; failed != nil && !errors.Is(failed, errAnswered) {
		return done, failed
	}
	return done, err
}

var errAnswered = errors.New("the gateway has answered")

// writeMessages writes each message behind its length.
func writeMessages(to io.Writer, next func() ([]byte, error), bar *progress) error {
	w := bufio.NewWriterSize(to, 64<<10)
	bar.begin(0, 0)
	for n := uint64(1); ; n++ {
		message, err := next()
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return err
		}
		_, _ = w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(message)))) // Flush tells
		if _, err := w.Write(message); err != nil {
			return err
		}
		bar.at(n)
	}
}

// post sends a body and decodes the answer into out. The error is a *refusedError if
// the gateway gave another answer than 200.
func (g *gatewayClient) post(ctx context.Context, path string, body io.Reader, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway"+path, body)
	if err != nil {
		return err
	}
	return g.do(request, out)
}

func newStreamsPurge() *cobra.Command {
	var (
		gw               control
		before           uint64
		all, del, answer bool
	)
	c := &cobra.Command{
		Use:   "purge STREAM --before SEQ | --all | --delete",
		Short: "Remove messages of a stream, exported or not, or the stream itself",
		Long: `Remove the messages of a stream below a sequence, or all, whether exporters have
them or not. --delete removes a stream as a whole that the configuration does not
have: one that a client has made, or that was left.`,
		Example: "  fascia streams purge telemetry --before 100000\n  fascia streams purge old --delete --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			byNumber := c.Flags().Changed("before")
			if given := []bool{byNumber, all, del}; strings.Count(fmt.Sprint(given), "true") != 1 {
				return usagef("want one of --before, --all and --delete")
			}
			if !answer && !asksOnTerminal(c) {
				return usagef("no terminal to ask on whether to drop messages: say --yes")
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			return purgeStream(c, client, args[0], before, all, del, answer)
		},
	}
	c.ValidArgsFunction = completeStream(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.Uint64Var(&before, "before", 0, "remove what is below this sequence")
	fs.BoolVar(&all, "all", false, "remove all messages")
	fs.BoolVar(&del, "delete", false, "remove the stream")
	fs.BoolVarP(&answer, "yes", "y", false, "do not ask")
	return c
}

func purgeStream(c *cobra.Command, client *gatewayClient, name string, before uint64, all, del, yes bool) error {
	st, err := client.streams(c.Context())
	if err != nil {
		return err
	}
	list, err := chooseStreams(st.Streams, []string{name})
	if err != nil {
		return err
	}
	s := &list[0]
	if !yes && !ask(c, purgeQuestion(s.Name, s.First, s.Next, before, all || del, del)) {
		fmt.Fprintln(c.ErrOrStderr(), "nothing was done")
		return errQuiet
	}
	if del {
		if err := client.call(c.Context(), http.MethodPost, streamPath(name, "delete"), &struct{}{}); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "stream %s is deleted\n", printable(name))
		return nil
	}
	query := url.Values{"before": {fmt.Sprint(before)}}
	if all {
		query = url.Values{"all": {"true"}}
	}
	var purged gateway.Purged
	if err := client.call(c.Context(), http.MethodPost, streamPath(name, "purge")+"?"+query.Encode(), &purged); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s removed\n", count(purged.Messages, "message"))
	return nil
}

func purgeQuestion(name string, first, next, before uint64, all, del bool) string {
	if all {
		before = next
	}
	messages := int(max(min(before, next), first) - first)
	if del {
		return fmt.Sprintf("Delete stream %s with %s, exported or not?", printable(name), count(messages, "message"))
	}
	return fmt.Sprintf("Remove %s of stream %s, exported or not?", count(messages, "message"), printable(name))
}
