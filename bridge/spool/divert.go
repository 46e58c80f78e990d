package spool

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// divert puts a message that is too large into the stream that its rule names, if it
// names one. It is false when the stream takes nothing and the message has become a
// dead letter, or is read again because the store does not take that either.
func (s *Sender) divert(c *class, up *rule.Up, pos uint64) bool {
	name, streamed := strings.CutPrefix(up.Oversize(), rule.OversizeStream)
	if !streamed {
		return true
	}
	var refused error
	var meta []byte
	_, err := c.queue.Read(pos, 1, func(it Item) bool {
		if it.Pos == pos && it.Err == nil {
			meta = bytes.Clone(it.Meta)
			refused = s.options.Stream(name, it.Message)
		}
		return false
	})
	if err == nil && refused == nil {
		return true
	}
	reason := fmt.Sprintf("too large for the far side, and stream %q does not take it: %v", name, refused)
	if err != nil || !s.bury(c, pos, Obituary{Rule: up.Name(), Reason: reason, Meta: meta}) {
		c.rewind(pos)
	}
	return false
}

// divertLoose is divert for a message at QoS 0, which is lost if the stream does not
// take it.
func (s *Sender) divertLoose(up *rule.Up, m message.Message) {
	name, streamed := strings.CutPrefix(up.Oversize(), rule.OversizeStream)
	if !streamed {
		return
	}
	if err := s.options.Stream(name, m); err != nil {
		s.options.Log.Warn("a message that is too large for the far side is lost: its stream does not take it", "rule", up.Name(), "topic", m.Topic, "error", err)
	}
}
