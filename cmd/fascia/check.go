package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/gateway"
)

func newCheck() *cobra.Command {
	var (
		file   string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration and every file it names",
		Long: `Check a configuration, its mappings and its DBC files, and print every error and
warning with its place. Nothing is opened, bound or changed.`,
		Example: "  fascia check -c fascia.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			warnings, err := gateway.Check(file)
			report := newCheckReport(file, warnings, err)
			if asJSON {
				if err := json.NewEncoder(c.OutOrStdout()).Encode(report); err != nil {
					return err
				}
			} else {
				report.print(c.OutOrStdout())
			}
			if !report.OK {
				return errQuiet
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	configFlag(c, &file)
	return c
}

// checkReport is what `check` found.
type checkReport struct {
	OK       bool           `json:"ok"`
	Errors   []checkProblem `json:"errors"`
	Warnings []checkProblem `json:"warnings"`
	file     string
}

type checkProblem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	text    string
}

func newCheckReport(file string, warnings []config.Problem, err error) checkReport {
	report := checkReport{OK: err == nil, Errors: []checkProblem{}, Warnings: []checkProblem{}, file: file}
	var problems config.Errors
	if errors.As(err, &problems) {
		for _, p := range problems {
			report.Errors = append(report.Errors, newCheckProblem(p))
		}
	} else if err != nil {
		report.Errors = append(report.Errors, checkProblem{Message: err.Error(), text: err.Error()})
	}
	for _, p := range warnings {
		report.Warnings = append(report.Warnings, newCheckProblem(p))
	}
	return report
}

func newCheckProblem(p config.Problem) checkProblem {
	return checkProblem{p.File, p.Line, p.Column, p.Path, p.Message, p.Error()}
}

func (r checkReport) print(w io.Writer) {
	for _, p := range r.Errors {
		fmt.Fprintln(w, "error:   "+p.text)
	}
	for _, p := range r.Warnings {
		fmt.Fprintln(w, "warning: "+p.text)
	}
	verdict := "is valid"
	if !r.OK {
		verdict = "can't be used"
	}
	fmt.Fprintf(w, "%s %s: %s, %s\n", r.file, verdict, count(len(r.Errors), "error"), count(len(r.Warnings), "warning"))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
