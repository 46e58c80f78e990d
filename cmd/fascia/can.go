package main

import "github.com/spf13/cobra"

func newCAN() *cobra.Command {
	c := &cobra.Command{
		Use:   "can",
		Short: "Record CAN buses; decode and replay what was recorded",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newCANDecode(), newCANReplay(), newCANRecord())
	return c
}
