package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/canbus/source"
)

func newCANReplay() *cobra.Command {
	var (
		to    string
		speed string
		spec  = source.Spec{Scheme: source.SchemeReplay}
	)
	c := &cobra.Command{
		Use:   "replay --to URL LOG",
		Short: "Send the frames of a recorded log to a bus, at the pace they had",
		Example: `  fascia can replay --to udp://239.64.142.206:20000 drive.candump
  fascia can replay --to socketcan://vcan0 --speed 10 --loop drive.asc`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return usagef("where to? Say --to udp://GROUP:PORT or --to socketcan://NAME")
			}
			target, err := source.Parse(to)
			if err != nil {
				return usagef("--to: %v", err)
			}
			if spec.Speed, err = source.ParseSpeed(speed); err != nil {
				return usagef("--speed: %v", err)
			}
			spec.File = args[0]
			log, err := source.OpenReplay(spec)
			if err != nil {
				return err
			}
			defer func() { _ = log.Close() }()
			sink, err := source.OpenSink(target, source.Options{})
			if err != nil {
				return err
			}
			defer func() { _ = sink.Close() }()
			n, err := source.Copy(c.Context(), sink, log)
			fmt.Fprintf(c.ErrOrStderr(), "%d frames sent to %s\n", n, target)
			if counts := log.Counters(); counts.First != "" {
				fmt.Fprintf(c.ErrOrStderr(), "warning: %d lines could not be read, the clock jumped %d times; first: %s\n",
					counts.TornLines, counts.ClockJumps, counts.First)
			}
			if c.Context().Err() != nil && errors.Is(err, c.Context().Err()) {
				return nil // stopped by the user
			}
			return err
		},
	}
	fs := c.Flags()
	fs.StringVar(&to, "to", "", "bus to send to: udp://GROUP:PORT[?interface=NAME] or socketcan://NAME")
	fs.StringVar(&speed, "speed", "1", "times the recorded speed, or max")
	fs.BoolVar(&spec.Loop, "loop", false, "begin again at the end, for ever")
	fs.StringVar(&spec.Bus, "bus", "", "only this bus of the log")
	return c
}
