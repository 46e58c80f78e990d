package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/gateway"
)

func newRun() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run the gateway",
		Long: `Run the gateway by the configuration in FILE.
SIGTERM and Ctrl-C stop it in order; SIGHUP reads the configuration, mappings
and DBC files again.`,
		Example: "  fascia run -c /etc/fascia/fascia.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			g, err := gateway.New(file, gateway.Options{Version: version, Stderr: c.ErrOrStderr()})
			if err != nil {
				return explain(err)
			}
			return serve(c.Context(), g)
		},
	}
	configFlag(c, &file)
	return c
}

// configFlag adds the flag for the configuration file, which must be given.
func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration file")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	before := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if *file == "" {
			return usagef("which configuration? Say -c FILE")
		}
		return before(c, args)
	}
}

// serve runs the gateway until ctx ends, and reloads it at every SIGHUP.
func serve(ctx context.Context, g *gateway.Gateway) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	reloaded := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(reloaded)
		for {
			select {
			case <-hangups:
				_ = g.Reload() // the gateway logs what became of it and `status` shows it
			case <-ctx.Done():
				return
			}
		}
	}()
	err := g.Run(ctx)
	signal.Stop(hangups)
	cancel()
	<-reloaded
	return err
}

// explain puts the many problems of a configuration on lines of their own.
func explain(err error) error {
	return fmt.Errorf("the configuration can't be used:\n%w", err)
}
