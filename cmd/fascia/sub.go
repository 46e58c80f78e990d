package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/topic"
)

func newSub() *cobra.Command {
	var (
		conn    mqttFlags
		qos     uint8
		printer messagePrinter
		count   int
		timeout time.Duration
	)
	c := &cobra.Command{
		Use:   "sub FILTER [FILTER…]",
		Short: "Subscribe and print what comes: topic and message, a line each",
		Example: `  fascia sub 'vss/#'
  fascia sub -C 1 vss/Vehicle/Speed
  fascia sub --url mqtts://car:8883 --cafile ca.pem --cert me.pem --key me.key 'vss/#'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, filters []string) error {
			if qos > 2 {
				return usagef("--qos %d: want 0, 1 or 2", qos)
			}
			if count < 0 {
				return usagef("--count %d: want 0 or more", count)
			}
			for _, filter := range filters {
				if !topic.ValidFilter(filter) {
					return usagef("filter %q: want levels between slashes, + for any one of them, # as the last for all below", filter)
				}
			}
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			if timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			s := &subscriber{filters: filters, qos: qos, left: count, done: make(chan error, 1)}
			printer.w = c.OutOrStdout()
			s.printer = printer
			cm, err := conn.connect(ctx, s.subscribe, s.receive)
			if err != nil {
				return err
			}
			defer disconnect(cm)
			select {
			case err := <-s.done:
				return err
			case <-ctx.Done():
			}
			if count > 0 && c.Context().Err() == nil {
				return fmt.Errorf("%d of %d messages came in %s", count-s.remaining(), count, timeout)
			}
			return nil
		},
	}
	conn.register(c)
	fs := c.Flags()
	fs.Uint8VarP(&qos, "qos", "q", 0, "highest QoS to receive at")
	fs.BoolVarP(&printer.payloadOnly, "payload-only", "p", false, "print messages without their topics")
	fs.BoolVar(&printer.json, "json", false, "print one JSON object a message, properties included")
	fs.IntVarP(&count, "count", "C", 0, "end after so many messages")
	fs.DurationVarP(&timeout, "timeout", "W", 0, "end after so long; with --count, failing when fewer came")
	return c
}

// subscriber subscribes at every connection and prints what comes.
type subscriber struct {
	filters []string
	qos     byte
	done    chan error // the first reason to end

	mu      sync.Mutex // guards the fields below
	printer messagePrinter
	left    int // messages until the end; 0: no end
}

func (s *subscriber) subscribe(cm *autopaho.ConnectionManager) {
	request := &paho.Subscribe{}
	for _, f := range s.filters {
		request.Subscriptions = append(request.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: s.qos})
	}
	// The connection's own goroutine calls this and must go on reading the answer.
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), connectWithin)
		defer cancel()
		answer, err := cm.Subscribe(ctx, request)
		if answer != nil {
			for i, reason := range answer.Reasons {
				if reason >= 0x80 && i < len(s.filters) {
					s.end(fmt.Errorf("%s: the broker refused the subscription: %s", s.filters[i], reasonOf(reason, answer.Properties.ReasonString)))
					return
				}
			}
		}
		if err != nil {
			s.end(fmt.Errorf("subscribe: %w", err))
		}
	}()
}

func (s *subscriber) receive(p *paho.Publish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left < 0 {
		return // the count was reached; this one came behind it
	}
	if err := s.printer.print(p); err != nil {
		s.end(err)
		return
	}
	if s.left > 0 {
		if s.left--; s.left == 0 {
			s.left = -1
			s.end(nil)
		}
	}
}

func (s *subscriber) remaining() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.left, 0)
}

func (s *subscriber) end(err error) {
	select {
	case s.done <- err:
	default:
	}
}

// messagePrinter writes messages as lines.
type messagePrinter struct {
	w           io.Writer
	payloadOnly bool
	json        bool
}

type messageJSON struct {
	Topic          string            `json:"topic"`
	Payload        *string           `json:"payload,omitempty"`
	PayloadBase64  []byte            `json:"payload_base64,omitempty"` // in place of payload when that is no UTF-8
	QoS            byte              `json:"qos"`
	Retain         bool              `json:"retain"`
	ContentType    string            `json:"content_type,omitempty"`
	ResponseTopic  string            `json:"response_topic,omitempty"`
	Expiry         *uint32           `json:"expiry,omitempty"`
	UserProperties map[string]string `json:"user_properties,omitempty"`
}

func (m messagePrinter) print(p *paho.Publish) error {
	if m.json {
		return json.NewEncoder(m.w).Encode(jsonOf(p))
	}
	line := make([]byte, 0, len(p.Topic)+len(p.Payload)+2)
	if !m.payloadOnly {
		line = append(append(line, p.Topic...), ' ')
	}
	line = append(append(line, p.Payload...), '\n')
	_, err := m.w.Write(line)
	return err
}

func jsonOf(p *paho.Publish) messageJSON {
	out := messageJSON{Topic: p.Topic, QoS: p.QoS, Retain: p.Retain}
	if utf8.Valid(p.Payload) {
		text := string(p.Payload)
		out.Payload = &text
	} else {
		out.PayloadBase64 = p.Payload
	}
	if props := p.Properties; props != nil {
		out.ContentType, out.ResponseTopic, out.Expiry = props.ContentType, props.ResponseTopic, props.MessageExpiry
		for _, u := range props.User {
			if out.UserProperties == nil {
				out.UserProperties = map[string]string{}
			}
			out.UserProperties[u.Key] = u.Value
		}
	}
	return out
}
