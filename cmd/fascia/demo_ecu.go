package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus/source"
	"github.com/fascia-edge/fascia/demo"
)

func newDemoECU() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "ecu --to URL",
		Short: "Run the simulated car's ECUs alone, on a bus",
		Example: `  fascia demo ecu --to udp://239.64.142.206:20000
  fascia demo ecu --to socketcan://vcan0`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if to == "" {
				return usagef("where to? Say --to udp://GROUP:PORT or --to socketcan://NAME")
			}
			target, err := source.Parse(to)
			if err != nil {
				return usagef("--to: %v", err)
			}
			sink, err := source.OpenSink(target, source.Options{})
			if err != nil {
				return err
			}
			defer func() { _ = sink.Close() }()
			car := demo.New(demo.Seed)
			deaf, err := hear(car, target)
			if err != nil {
				return err
			}
			defer deaf()
			fmt.Fprintf(c.ErrOrStderr(), "the car's ECUs send on %s; Ctrl-C ends it\n", target)
			if err := car.Run(c.Context(), sink); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	c.Flags().StringVar(&to, "to", "", "bus to send on: udp://GROUP:PORT[?interface=NAME] or socketcan://NAME")
	return c
}

// hear gives the car what comes on the bus until deaf is called. On a UDP address
// that is no group the gateway listens alone.
func hear(car *demo.Vehicle, bus source.Spec) (deaf func(), err error) {
	if !bus.BothWays() {
		return func() {}, nil
	}
	src, err := source.Open(bus, source.Options{})
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for src.Receive() {
			car.Receive(src.Frame())
		}
	}()
	return func() { _ = src.Close(); <-ended }, nil
}
