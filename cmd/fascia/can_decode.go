package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

func newCANDecode() *cobra.Command {
	var (
		files   []string
		choices bool
		strict  bool
	)
	c := &cobra.Command{
		Use:   "decode --dbc FILE [--dbc FILE…] [LOG|-]",
		Short: "Decode a recorded log, one JSON object a frame",
		Long: `Decode a log (candump, Vector .asc, PEAK .trc; plain or gzip) or what comes on
standard input, and print one JSON object a frame. A frame without signals has
"error" in their place: unknown_id, short or remote. A summary goes to standard
error.`,
		Example: `  fascia can decode --dbc car.dbc drive.candump | jq .signals
  candump -L can0 | fascia can decode --dbc car.dbc`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(files) == 0 {
				return usagef("which DBC? Say --dbc FILE")
			}
			db, err := loadDatabases(files, c.ErrOrStderr())
			if err != nil {
				return err
			}
			log, err := openLog(args, c.InOrStdin())
			if err != nil {
				return err
			}
			stop := context.AfterFunc(c.Context(), func() { _ = log.Close() })
			defer func() {
				stop()
				_ = log.Close()
			}()
			decoder := canbus.LogDecoder{Database: db, Choices: choices}
			sum, err := decoder.Decode(log, c.OutOrStdout())
			for _, line := range log.SkippedLines() {
				fmt.Fprintf(c.ErrOrStderr(), "warning: %s %d: %s\n", log.Format().Unit(), line.Line, line.Reason)
			}
			fmt.Fprintln(c.ErrOrStderr(), sum)
			if err != nil {
				return fmt.Errorf("%s: %w", logName(args), err)
			}
			if strict && !sum.Clean() {
				return errQuiet
			}
			return nil
		},
	}
	fs := c.Flags()
	fs.StringArrayVar(&files, "dbc", nil, "DBC file (may be repeated; of two messages with one id the first counts)")
	fs.BoolVar(&choices, "choices", false, "print names of enumerations, not their numbers")
	fs.BoolVar(&strict, "strict", false, "fail unless every frame was decoded")
	_ = c.MarkFlagFilename("dbc", "dbc")
	return c
}

func loadDatabases(files []string, warn io.Writer) (*dbc.Database, error) {
	var (
		databases []*dbc.Database
		warnings  []dbc.Warning
	)
	for _, file := range files {
		db, more, err := dbc.Load(file)
		if err != nil {
			return nil, err
		}
		databases, warnings = append(databases, db), append(warnings, more...)
	}
	merged, more := dbc.Merge(databases...)
	for _, w := range append(warnings, more...) {
		fmt.Fprintln(warn, "warning: "+w.String())
	}
	return merged, nil
}

func openLog(args []string, stdin io.Reader) (*canlog.Reader, error) {
	if len(args) == 0 || args[0] == "-" {
		return canlog.NewReader(stdin, canlog.Auto), nil
	}
	return canlog.Open(args[0])
}

func logName(args []string) string {
	if len(args) == 0 || args[0] == "-" {
		return "standard input"
	}
	return args[0]
}
