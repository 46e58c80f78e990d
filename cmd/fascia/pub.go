package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/topic"
)

func newPub() *cobra.Command {
	var (
		conn       mqttFlags
		qos        uint8
		retain     bool
		lines      bool
		expiry     uint32
		content    string
		response   string
		properties []string
	)
	c := &cobra.Command{
		Use:   "pub TOPIC [MESSAGE]",
		Short: "Publish a message",
		Long: `Publish MESSAGE, or what comes on standard input, to TOPIC.
With QoS 1 or 2 it returns after the broker's acknowledgement; a refusal is an error.`,
		Example: `  fascia pub ivi/navigation/destination/set '"home"'
  echo 21.5 | fascia pub -q 1 ivi/cabin/wish
  sensor | fascia pub --lines ivi/sensor`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if qos > 2 {
				return usagef("--qos %d: want 0, 1 or 2", qos)
			}
			if !topic.ValidName(args[0]) {
				return usagef("topic %q: a message goes to one topic, without + or #", args[0])
			}
			message := &paho.Publish{Topic: args[0], QoS: qos, Retain: retain,
				Properties: &paho.PublishProperties{ContentType: content, ResponseTopic: response}}
			if c.Flags().Changed("expiry") {
				message.Properties.MessageExpiry = &expiry
			}
			for _, p := range properties {
				key, value, ok := strings.Cut(p, "=")
				if !ok {
					return usagef("--property %q: want NAME=VALUE", p)
				}
				message.Properties.User.Add(key, value)
			}
			payloads, err := payloadsOf(args, lines, c.InOrStdin())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			cm, err := conn.connect(ctx, func(*autopaho.ConnectionManager) {}, nil)
			if err != nil {
				return err
			}
			defer disconnect(cm)
			done := make(chan error, 1)
			go func() { done <- publishAll(ctx, cm, message, payloads, &conn.maxPacket) }()
			select {
			case err := <-done:
				return err
			case <-ctx.Done():
				// Nothing wakes a read of standard input; it ends with the process.
				return errors.New("stopped before everything was published")
			}
		},
	}
	conn.register(c)
	fs := c.Flags()
	fs.Uint8VarP(&qos, "qos", "q", 0, "0: at most once, 1: at least once, 2: exactly once")
	fs.BoolVarP(&retain, "retain", "r", false, "the broker keeps it for later subscribers")
	fs.BoolVarP(&lines, "lines", "l", false, "each line of standard input is a message")
	fs.Uint32Var(&expiry, "expiry", 0, "seconds after which the broker drops it undelivered")
	fs.StringVar(&content, "content-type", "", "MIME type of the message")
	fs.StringVar(&response, "response-topic", "", "topic that an answer is expected on")
	fs.StringArrayVar(&properties, "property", nil, "user property NAME=VALUE (may be repeated)")
	return c
}

// payloadsOf yields one payload after the other; io.EOF ends them.
func payloadsOf(args []string, lines bool, in io.Reader) (func() ([]byte, error), error) {
	if len(args) == 2 && lines {
		return nil, usagef("--lines reads standard input: leave MESSAGE out")
	}
	if lines {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, 16<<20)
		return func() ([]byte, error) {
			if scanner.Scan() {
				return scanner.Bytes(), nil
			}
			if err := scanner.Err(); err != nil {
				return nil, err
			}
			return nil, io.EOF
		}, nil
	}
	done := false
	return func() ([]byte, error) {
		if done {
			return nil, io.EOF
		}
		done = true
		if len(args) == 2 {
			return []byte(args[1]), nil
		}
		return io.ReadAll(in)
	}, nil
}

func publishAll(ctx context.Context, cm *autopaho.ConnectionManager, message *paho.Publish, next func() ([]byte, error), maxPacket *atomic.Uint32) error {
	for {
		payload, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// The broker would close the connection, which says less.
		if limit := int(maxPacket.Load()); limit > 0 && len(message.Topic)+len(payload) > limit {
			return fmt.Errorf("%s: a message of %d bytes: the broker takes packets of at most %d", message.Topic, len(payload), limit)
		}
		message.Payload = payload
		answer, err := cm.Publish(ctx, message)
		if answer != nil && answer.ReasonCode >= 0x80 {
			return fmt.Errorf("%s: the broker refused the message: %s", message.Topic, reasonOf(answer.ReasonCode, answer.Properties.ReasonString))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", message.Topic, err)
		}
	}
}
