package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

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
			reloads := catchReloads()
			defer reloads.stop()
			g, err := gateway.New(file, gateway.Options{Version: version, Stderr: c.ErrOrStderr()})
			if err != nil {
				return explain(err)
			}
			return serve(c.Context(), g, reloads)
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

// reloads are the SIGHUPs that ask for one. They are caught from before the
// gateway is made: one that comes early would end the process.
type reloads chan os.Signal

func catchReloads() reloads {
	r := make(reloads, 1)
	signal.Notify(r, syscall.SIGHUP)
	return r
}

func (r reloads) stop() { signal.Stop(r) }

// spareProcessor lets one goroutine more run than there are processors, unless
// the environment says otherwise: while all are busy with clients at full speed,
// Go looks at the other sockets every 10 ms only, and with one to spare at once.
func spareProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	}
}

// serve runs the gateway until ctx ends, and reloads it when asked.
func serve(ctx context.Context, g *gateway.Gateway, asked reloads) error {
	spareProcessor()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		started := time.After(startup)
		for {
			select {
			case <-started:
				forgetStartup()
			case <-asked:
				_ = g.Reload() // the gateway logs what became of it and `status` shows it
			case <-ctx.Done():
				return
			}
		}
	}()
	err := g.Run(ctx)
	cancel()
	<-done
	return err
}

// explain puts the many problems of a configuration on lines of their own.
func explain(err error) error {
	return fmt.Errorf("the configuration can't be used:\n%w", err)
}
