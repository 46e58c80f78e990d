package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/bridge/batch"
)

func newBatch() *cobra.Command {
	c := &cobra.Command{
		Use:   "batch",
		Short: "Read batches, which carry many messages in one payload",
		Example: `  mosquitto_sub -h far.example -t 'dt/demo/+/+/vss' -C 1 -N | fascia batch decode
  fascia batch decode payload.bin | jq .value`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBatchDecode())
	return c
}

func newBatchDecode() *cobra.Command {
	var contentType string
	c := &cobra.Command{
		Use:   "decode [FILE…|-]",
		Short: "Print the messages of a batch, one JSON object a message",
		Long: `Print the messages of a batch, one JSON object a message. Each FILE, or standard
input, is the payload of one batch as the far side received it.

An object has topic and ts, and the payload as one of: value, of what the vehicle
published as a value; payload, of any other JSON; text, of other text; base64, of
the rest.`,
		Example: `  fascia batch decode payload.bin | jq .value
  mosquitto_sub -h far.example -t 'dt/demo/+/+/vss' -C 1 -N | fascia batch decode`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"-"}
			}
			out := bufio.NewWriter(c.OutOrStdout())
			for _, name := range args {
				err := decodeBatch(out, c.InOrStdin(), name, contentType)
				if flushed := out.Flush(); err == nil {
					err = flushed
				}
				if err != nil {
					return fmt.Errorf("%s: %w", logName([]string{name}), err)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&contentType, "type", "", "content type that the payload came with (default: told by its first bytes)")
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(batch.ContentTypes(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// decodeBatch prints what comes of a batch, also before a place where it is damaged.
func decodeBatch(out io.Writer, stdin io.Reader, name, contentType string) error {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	// One byte more than a batch may have is enough to see that there is too much.
	payload, err := io.ReadAll(io.LimitReader(in, batch.MaxSize+1))
	if err != nil {
		return err
	}
	var line []byte
	return batch.Decode(payload, contentType, func(it batch.Item) error {
		line = append(batch.AppendRow(line[:0], it), '\n')
		_, err := out.Write(line)
		return err
	})
}
