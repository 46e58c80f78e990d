package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/gateway"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show and check the log of decisions",
		Long: `Show and check the log of decisions. Every entry carries the hash of the one
before: a line that was changed, left out or put in shows. A head that is kept
elsewhere (export --head) shows a tail that was cut off, too.`,
		Example: "  fascia audit tail\n  fascia audit export --head > head.json\n  fascia audit verify --head head.json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newAuditTail(), newAuditVerify(), newAuditExport())
	return c
}

// auditPlace is where the log is: a folder, or that of a gateway's configuration
// or of a running gateway.
type auditPlace struct {
	gw  control
	dir string
}

func (p *auditPlace) flags(c *cobra.Command) {
	p.gw.flags(c)
	c.Flags().StringVar(&p.dir, "dir", "", "folder of the log (default: the gateway's)")
	_ = c.MarkFlagDirname("dir")
}

func (p *auditPlace) find(ctx context.Context) (string, error) {
	if p.dir == "" && p.gw.file != "" {
		cfg, _, err := gateway.Load(p.gw.file)
		if err != nil {
			return "", explain(err)
		}
		p.dir = filepath.Join(cfg.DataDir, gateway.AuditFolder)
	}
	if p.dir == "" {
		client, err := p.gw.dial()
		if err != nil {
			return "", fmt.Errorf("%w; or --dir, the folder of the log", err)
		}
		status, err := client.status(ctx)
		if err != nil {
			return "", err
		}
		p.dir = status.Audit.Folder
	}
	return p.dir, nil
}

func newAuditTail() *cobra.Command {
	var (
		place  auditPlace
		count  int
		follow bool
		asJSON bool
	)
	c := &cobra.Command{
		Use:     "tail",
		Short:   "Show the newest entries",
		Example: "  fascia audit tail -n 100\n  fascia audit tail --follow",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if count < 0 {
				return usagef("--lines %d: want 0 or more", count)
			}
			dir, err := place.find(c.Context())
			if err != nil {
				return err
			}
			newest := uint64(0)
			if err := audit.Read(dir, 0, func(e audit.Entry, _ []byte) error { newest = e.Seq; return nil }); err != nil {
				return err
			}
			from := uint64(1)
			if newest > uint64(count) {
				from = newest - uint64(count) + 1
			}
			show := func(e audit.Entry, line []byte) error {
				from = e.Seq + 1
				return printEntry(c.OutOrStdout(), e, line, asJSON)
			}
			for {
				if err := audit.Read(dir, from, show); err != nil || !follow {
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
	place.flags(c)
	fs := c.Flags()
	fs.IntVarP(&count, "lines", "n", 20, "how many")
	fs.BoolVarP(&follow, "follow", "f", false, "go on with what is appended")
	fs.BoolVar(&asJSON, "json", false, "print the lines of the log")
	return c
}

func printEntry(w io.Writer, e audit.Entry, line []byte, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", line)
		return err
	}
	who := "-"
	if o := e.Origin; o != nil {
		who = fmt.Sprintf("%s (%s)", orDash(o.Role), strings.Join(nonEmpty(o.Identity, o.Client, o.Link), ", "))
	}
	at, doubt := e.Time, ""
	if stamp, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		at = stamp.Local().Format("2006-01-02 15:04:05.000")
	}
	if !e.Trusted {
		doubt = "?" // nobody knew whether the clock was right
	}
	text := fmt.Sprintf("%d  %s%s  %s %s", e.Seq, at, doubt, e.Kind, e.Outcome)
	if e.Path != "" {
		text += fmt.Sprintf("  %s = %s  by %s", printable(e.Path), oneLine(string(e.Value)), printable(who))
	}
	if e.Reason != "" {
		text += "  " + printable(e.Reason)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// oneLine is JSON, which has its own quotes, without what moves a terminal's
// cursor.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func nonEmpty(texts ...string) (list []string) {
	for _, t := range texts {
		if t != "" {
			list = append(list, t)
		}
	}
	return list
}

func newAuditVerify() *cobra.Command {
	var (
		place  auditPlace
		head   string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that nothing was changed, left out or put in",
		Long: `Check the whole log, and name the first line that is not as it was written. With
--head, a file that export --head has written or SEQ:HASH, the log must hold that
entry: without it, a tail that was cut off can't be told.`,
		Example: "  fascia audit verify --head head.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			kept, err := readHead(head)
			if err != nil {
				return err
			}
			dir, err := place.find(c.Context())
			if err != nil {
				return err
			}
			report, err := audit.Verify(dir, kept)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(report)
			}
			if report.Head.Seq == 0 {
				fmt.Fprintf(c.OutOrStdout(), "no entries in %s yet\n", dir)
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "entries %d to %d in %s hold\nhead %d:%s\n", report.First, report.Head.Seq, dir, report.Head.Seq, report.Head.Hash)
			if kept == nil {
				fmt.Fprintln(c.ErrOrStderr(), "without --head nobody can tell whether entries are missing at the end")
			}
			return nil
		},
	}
	place.flags(c)
	fs := c.Flags()
	fs.StringVar(&head, "head", "", "a head that was kept elsewhere: its file, or SEQ:HASH")
	fs.BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.MarkFlagFilename("head")
	return c
}

// readHead reads a kept head, nil without one.
func readHead(text string) (*audit.Head, error) {
	if text == "" {
		return nil, nil
	}
	if seq, hash, ok := strings.Cut(text, ":"); ok && len(hash) == len(audit.Genesis) {
		n, err := strconv.ParseUint(seq, 10, 64)
		if err != nil {
			return nil, usagef("--head %s: want SEQ:HASH or a file", text)
		}
		return &audit.Head{Seq: n, Hash: hash}, nil
	}
	data, err := os.ReadFile(text)
	if err != nil {
		return nil, err
	}
	var head audit.Head
	if err := json.Unmarshal(data, &head); err != nil || len(head.Hash) != len(audit.Genesis) {
		return nil, fmt.Errorf("%s is no head: want what export --head writes", text)
	}
	return &head, nil
}

func newAuditExport() *cobra.Command {
	var (
		place    auditPlace
		out      string
		headOnly bool
		from     uint64
	)
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the log, or its head, to a file or to standard output",
		Long: `Write the lines of the log as they are, once the whole chain was checked. With
--head write the number and the hash of the newest entry only, to be kept where
nobody of this machine can change it.`,
		Example: "  fascia audit export -o audit.jsonl\n  fascia audit export --head",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := place.find(c.Context())
			if err != nil {
				return err
			}
			report, err := audit.Verify(dir, nil)
			if err != nil {
				return err
			}
			return writeOut(c, out, func(w io.Writer) error {
				if headOnly {
					return json.NewEncoder(w).Encode(report.Head)
				}
				return audit.Read(dir, from, func(e audit.Entry, line []byte) error { return printEntry(w, e, line, true) })
			})
		},
	}
	place.flags(c)
	fs := c.Flags()
	fs.StringVarP(&out, "output", "o", "", "file to write (default: standard output)")
	fs.BoolVar(&headOnly, "head", false, "only the number and the hash of the newest entry")
	fs.Uint64Var(&from, "from", 0, "number of the first entry")
	_ = c.MarkFlagFilename("output")
	return c
}

// writeOut writes to a new file, or to standard output without a name.
func writeOut(c *cobra.Command, name string, write func(io.Writer) error) error {
	to, finish := c.OutOrStdout(), func() error { return nil }
	if name != "" {
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		to, finish = file, func() error { return errors.Join(file.Sync(), file.Close()) }
	}
	buffered := bufio.NewWriter(to)
	return errors.Join(write(buffered), buffered.Flush(), finish())
}
