package main

import "github.com/spf13/cobra"

func newCAN() *cobra.Command {
	c := &cobra.Command{
		Use:   "can",
		Short: "Decode and replay recorded CAN logs",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newCANDecode(), newCANReplay())
	return c
}
