package spool

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/clock"
)

// Obituary says why a message was given up. It is stored beside a dead letter.
type Obituary struct {
	Died   clock.Mark
	Class  string
	Rule   string
	Remote string // topic at the far side, empty if there is none yet
	Reason string
	Meta   []byte // that the message had in its class, for another try
}

const obituaryVersion = 1

// longestText is how much of a topic or a reason an obituary keeps, in bytes: with one
// of the largest the store would not take it, and the message would hold up its link.
const longestText = 1024

var errObituary = errors.New("not what is kept beside a dead letter")

// Append encodes the obituary: the version, the mark, and each text behind its
// length, cut where it is longer than longestText.
func (o *Obituary) Append(b []byte) []byte {
	b = o.Died.Append(append(b, obituaryVersion))
	for _, text := range []string{o.Class, o.Rule, o.Remote, o.Reason} {
		if len(text) > longestText {
			text = strings.ToValidUTF8(text[:longestText], "")
		}
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	return append(b, o.Meta...)
}

// ReadObituary decodes what Append wrote; Meta is a part of b.
func ReadObituary(b []byte) (o Obituary, err error) {
	if len(b) < 1+clock.MarkSize || b[0] != obituaryVersion {
		return o, errObituary
	}
	o.Died = clock.ReadMark(b[1:])
	b = b[1+clock.MarkSize:]
	for _, text := range []*string{&o.Class, &o.Rule, &o.Remote, &o.Reason} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return o, errObituary
		}
		*text = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	o.Meta = b
	return o, nil
}

// buryAll makes dead letters of the messages at spans. It is false when the store
// does not take one; the rest then waits.
func (s *Sender) buryAll(c *class, spans []span, name, remote, reason string) bool {
	for _, sp := range spans {
		for pos := sp.first; pos <= sp.last; pos++ {
			var meta []byte
			found := false
			_, err := c.queue.Read(pos, 1, func(it Item) bool {
				meta, found = append(meta, it.Meta...), it.Pos == pos
				return false
			})
			if err != nil {
				s.stuck = s.now() + clock.Time(storePause)
				return false
			}
			if found && !s.bury(c, pos, Obituary{Rule: name, Remote: remote, Reason: reason, Meta: meta}) {
				return false
			}
		}
	}
	return true
}

// bury makes a dead letter of one message. It is false when the store does not take
// it; the sender then leaves the store alone for a while.
func (s *Sender) bury(c *class, pos uint64, o Obituary) bool {
	o.Class, o.Died = c.name, s.options.Clock.Mark(clock.Now())
	switch err := c.queue.Move(pos, s.dead, o.Append(nil)); {
	case err == nil:
		c.drop(Dead, 1)
		s.options.Log.Warn("a message became a dead letter", "class", c.name, "rule", o.Rule, "topic", o.Remote, "reason", o.Reason)
	case errors.Is(err, ErrGone):
		c.queue.Done(pos)
	default:
		s.options.Log.Error("a dead letter can't be kept, trying again", "class", c.name, "error", err)
		s.stuck = s.now() + clock.Time(storePause)
		return false
	}
	return true
}

// buryLoose makes a dead letter of a message that is in no queue.
func (s *Sender) buryLoose(c *class, up *rule.Up, e entry, remote, reason string) bool {
	o := Obituary{Class: c.name, Rule: up.Name(), Remote: remote, Reason: reason, Meta: e.meta.Append(nil), Died: s.options.Clock.Mark(clock.Now())}
	if err := s.dead.Append(e.message, o.Append(nil)); err != nil {
		s.lost(c, up, Failed, 1)
		return true
	}
	c.drop(Dead, 1)
	return true
}
