package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/gateway"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	streamlog "github.com/fascia-edge/fascia/streammgr/log"
)

func newStreamsRead() *cobra.Command {
	var (
		gw    control
		from  uint64
		since string
		count uint64
		out   messageForm
	)
	c := &cobra.Command{
		Use:   "read STREAM",
		Short: "Print messages of a stream, from the oldest or from a sequence or time on",
		Long: `Print messages of a stream as they are, a line each. --verbose prints sequence and
time before them, --json one object a message with the payload in base64. Reading
takes nothing out of the stream.`,
		Example: "  fascia streams read telemetry --from 1000 -n 10\n  fascia streams read telemetry --since 1h --verbose\n  fascia streams read telemetry --json | jq -r .payload | base64 -d",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			query := url.Values{"from": {strconv.FormatUint(from, 10)}}
			if since != "" {
				at, err := moment(since, time.Now())
				if err != nil {
					return err
				}
				query = url.Values{"since": {at}}
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			p := newStreamPrinter(c.OutOrStdout(), out)
			err = client.eachMessage(c.Context(), args[0], query, count, p.print)
			if flushErr := p.w.Flush(); err == nil {
				err = flushErr
			}
			return err
		},
	}
	c.ValidArgsFunction = completeStream(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.Uint64Var(&from, "from", 0, "sequence of the first message")
	fs.StringVar(&since, "since", "", "time of the first message, such as 2026-01-31T12:00:00Z or 10m for ten minutes ago")
	fs.Uint64VarP(&count, "count", "n", 0, "how many at most (default all)")
	out.flags(c)
	c.MarkFlagsMutuallyExclusive("from", "since")
	return c
}

func newStreamsTail() *cobra.Command {
	var (
		gw     control
		count  uint64
		follow bool
		out    messageForm
	)
	c := &cobra.Command{
		Use:     "tail STREAM",
		Short:   "Print the newest messages of a stream, and go on with what comes",
		Example: "  fascia streams tail -n 100 telemetry\n  fascia streams tail -f --verbose telemetry",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := gw.dial()
			if err != nil {
				return err
			}
			p := newStreamPrinter(c.OutOrStdout(), out)
			query := url.Values{"last": {strconv.FormatUint(count, 10)}}
			for {
				page, err := client.page(c.Context(), args[0], query)
				if c.Context().Err() != nil {
					return nil // the user has seen enough
				}
				if err != nil {
					return err
				}
				for _, m := range page.Messages {
					p.print(m)
				}
				if err := p.w.Flush(); err != nil || !follow && page.Next >= page.End {
					return err
				}
				query = url.Values{"from": {strconv.FormatUint(page.Next, 10)}, "wait": {strconv.FormatBool(follow)}}
			}
		},
	}
	c.ValidArgsFunction = completeStream(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.Uint64VarP(&count, "lines", "n", 10, "how many")
	fs.BoolVarP(&follow, "follow", "f", false, "go on with what is appended")
	out.flags(c)
	return c
}

func newStreamsExport() *cobra.Command {
	var (
		gw       control
		from, to uint64
		name     string
		format   string
		compress string
	)
	c := &cobra.Command{
		Use:   "export STREAM",
		Short: "Write a stream to a file, as far as it has come by now",
		Long: `Write the messages of a stream to a file or to standard output: lines ends each
with a newline, frames keeps each whole with its sequence, epoch and time, json
writes one object a message with the payload in base64. The file appears under its
name when it is whole. Exporters of the configuration do this by themselves, again
and again.`,
		Example: "  fascia streams export telemetry -o telemetry.lines\n  fascia streams export telemetry --format frames --compress zstd -o telemetry.frames.zst",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			write, err := streamWriter(format, compress)
			if err != nil {
				return err
			}
			client, err := gw.dial()
			if err != nil {
				return err
			}
			file, err := createOutput(name, c.OutOrStdout())
			if err != nil {
				return err
			}
			defer file.abandon()
			bar := newProgress(c.ErrOrStderr(), "messages")
			messages, err := client.export(c.Context(), args[0], from, to, file, write, bar)
			bar.end()
			if err != nil {
				return err
			}
			if err := file.commit(); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s written\n", count(messages, "message"))
			return nil
		},
	}
	c.ValidArgsFunction = completeStream(&gw)
	gw.flags(c)
	fs := c.Flags()
	fs.StringVarP(&name, "output", "o", "", "file to write (default: standard output)")
	fs.StringVar(&format, "format", "lines", "lines, frames or json")
	fs.StringVar(&compress, "compress", "none", "none, gzip or zstd, of lines and frames")
	fs.Uint64Var(&from, "from", 0, "sequence of the first message")
	fs.Uint64Var(&to, "to", 0, "sequence behind the last message (default: the end as it is now)")
	_ = c.MarkFlagFilename("output")
	return c
}

// streamWriter gives what writes messages in a format.
func streamWriter(format, compress string) (func(io.Writer, []gateway.StreamMessage) error, error) {
	if format == "json" && compress == pack.None {
		return func(w io.Writer, list []gateway.StreamMessage) error {
			lines := json.NewEncoder(w)
			for _, m := range list {
				if err := lines.Encode(m); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	packer, err := pack.New(pack.Config{Format: format, Compress: compress})
	if err != nil {
		return nil, usagef("--format %s --compress %s: want lines or frames with none, gzip or zstd, or json", format, compress)
	}
	var buffer []byte
	return func(w io.Writer, list []gateway.StreamMessage) error {
		batch := make([]streamlog.Message, len(list))
		for i, m := range list {
			batch[i] = streamlog.Message{Seq: m.Seq, Epoch: m.Epoch, Time: m.TS, Payload: m.Payload}
		}
		buffer = packer.Append(buffer[:0], batch)
		_, err := w.Write(buffer)
		return err
	}, nil
}

// export writes messages from one sequence to before another, 0 for the end.
func (g *gatewayClient) export(ctx context.Context, name string, from, to uint64, file io.Writer, write func(io.Writer, []gateway.StreamMessage) error, bar *progress) (messages int, err error) {
	for {
		page, err := g.page(ctx, name, url.Values{"from": {strconv.FormatUint(from, 10)}})
		if err != nil {
			return messages, err
		}
		if to == 0 {
			to = page.End
		}
		list := page.Messages
		for len(list) > 0 && list[len(list)-1].Seq >= to {
			list = list[:len(list)-1]
		}
		if len(list) > 0 {
			bar.begin(list[0].Seq, to)
			if err := write(file, list); err != nil {
				return messages, err
			}
			messages += len(list)
		}
		bar.at(page.Next)
		if page.Next >= to || page.Next == from {
			return messages, nil
		}
		from = page.Next
	}
}

// page reads a part of a stream.
func (g *gatewayClient) page(ctx context.Context, name string, query url.Values) (page gateway.StreamPage, err error) {
	err = g.call(ctx, http.MethodGet, streamPath(name, "messages")+"?"+query.Encode(), &page)
	return page, err
}

// eachMessage calls fn for the messages that a query begins with, up to limit or the
// end of the stream as it is at first; 0 is no limit.
func (g *gatewayClient) eachMessage(ctx context.Context, name string, query url.Values, limit uint64, fn func(gateway.StreamMessage)) error {
	var end uint64
	for given := uint64(0); ; {
		if limit > 0 {
			query.Set("limit", strconv.FormatUint(limit-given, 10))
		}
		page, err := g.page(ctx, name, query)
		if err != nil {
			return err
		}
		if end == 0 {
			end = page.End
		}
		for _, m := range page.Messages {
			fn(m)
		}
		given += uint64(len(page.Messages))
		if page.Next >= end || limit > 0 && given >= limit {
			return nil
		}
		query = url.Values{"from": {strconv.FormatUint(page.Next, 10)}}
	}
}

// moment reads a time, or how long ago it was, as RFC 3339.
func moment(text string, now time.Time) (string, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago).UTC().Format(time.RFC3339Nano), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return "", usagef("--since %s: want a time such as 2026-01-31T12:00:00Z, or how long ago, such as 10m", text)
	}
	return at.UTC().Format(time.RFC3339Nano), nil
}

// messageForm is how messages are printed.
type messageForm struct{ verbose, json bool }

func (f *messageForm) flags(c *cobra.Command) {
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print sequence and time before each message")
	c.Flags().BoolVar(&f.json, "json", false, "print one JSON object a message")
	c.MarkFlagsMutuallyExclusive("verbose", "json")
}

// streamPrinter prints messages.
type streamPrinter struct {
	w        *bufio.Writer
	form     messageForm
	terminal bool
	lines    *json.Encoder
}

func newStreamPrinter(w io.Writer, form messageForm) *streamPrinter {
	p := &streamPrinter{w: bufio.NewWriter(w), form: form, terminal: gateway.IsTerminal(w)}
	p.lines = json.NewEncoder(p.w)
	return p
}

// print prints a message; what fails comes with Flush.
func (p *streamPrinter) print(m gateway.StreamMessage) {
	if p.form.json {
		_ = p.lines.Encode(m)
		return
	}
	if p.form.verbose {
		fmt.Fprintf(p.w, "%d  %s  ", m.Seq, m.TS.Local().Format("2006-01-02 15:04:05.000"))
	}
	if p.terminal {
		fmt.Fprintln(p.w, printable(string(m.Payload)))
		return
	}
	_, _ = p.w.Write(m.Payload)
	_ = p.w.WriteByte('\n')
}
