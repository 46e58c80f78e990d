// Command fascia is the message gateway of a vehicle: local MQTT broker, way
// from the CAN buses to topics, and the tools around them. Every command is a
// thin file here; what it does lives in the rooms beside cmd.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

// Exit codes.
const (
	exitFailed = 1 // it did not work, or the configuration is invalid
	exitUsage  = 2 // the command line is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, newRoot(), os.Args[1:]))
}

func execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, errQuiet) {
		return exitFailed
	}
	fmt.Fprintln(root.ErrOrStderr(), "fascia: "+err.Error())
	if usage := (usageError{}); errors.As(err, &usage) {
		fmt.Fprintf(root.ErrOrStderr(), "Try: %s --help\n", command.CommandPath())
		return exitUsage
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "fascia",
		Short: "The message gateway of a vehicle: MQTT broker, CAN and a bridge to the cloud",
		Example: `  fascia demo                      a simulated vehicle on the spot
  fascia run -c fascia.yaml        the gateway
  fascia sub 'vss/#'               watch the vehicle's values`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// A command that does not exist is a mistake in the command line, not a
		// call for help.
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newRun(), newDemo(), newCheck(), newVersion(), newStatus(), newSessions(),
		newPub(), newSub(), newAct(), newLink(), newStreams(), newAudit(), newBench(), newCAN(), newBatch())
	root.InitDefaultCompletionCmd()
	wrapArgs(root)
	return root
}

// errQuiet fails a command that has already said why.
var errQuiet = errors.New("failed")

// usageError marks a mistake in the command line: exit code 2.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// wrapArgs makes every complaint about arguments a usageError: cobra gives
// plain errors for them.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// The templates put the example first: it is what people come for.
const helpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

const usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}
`
