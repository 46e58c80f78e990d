package rule

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// Meta is what is kept beside a message that a rule has taken, for when its turn
// comes: perhaps after a restart.
type Meta struct {
	Rule     uint32     // Up.ID of the rule that took it
	Accepted clock.Mark // when
	Sequence uint16     // tells messages of one moment apart

	// Topic is where it goes, for an answer to a request of the far side; the rule
	// says it for any other.
	Topic string
}

// How a meta is stored: a version, the rule, the sequence, the mark, the topic.
const (
	metaVersion = 1
	metaSize    = 1 + 4 + 2 + clock.MarkSize
)

// ErrMeta is that stored bytes are no meta.
var ErrMeta = errors.New("rule: not what is kept beside a message")

// Append encodes the meta: 31 bytes and the topic.
func (m *Meta) Append(b []byte) []byte {
	b = append(b, metaVersion)
	b = binary.LittleEndian.AppendUint32(b, m.Rule)
	b = binary.LittleEndian.AppendUint16(b, m.Sequence)
	b = m.Accepted.Append(b)
	return append(b, m.Topic...)
}

// ReadMeta decodes what Append wrote. The error is ErrMeta.
func ReadMeta(b []byte) (Meta, error) {
	if len(b) < metaSize || b[0] != metaVersion {
		return Meta{}, ErrMeta
	}
	return Meta{
		Rule:     binary.LittleEndian.Uint32(b[1:]),
		Sequence: binary.LittleEndian.Uint16(b[5:]),
		Accepted: clock.ReadMark(b[7:]),
		Topic:    string(b[metaSize:]),
	}, nil
}

// messageID is a text that no other message has, of this gateway or another: the
// moment names the boot, and the sequence tells what came at once.
func (m *Meta) messageID(gateway string) string {
	h := sha256.New()
	_, _ = h.Write([]byte(gateway))
	var b [metaSize]byte
	_, _ = h.Write(m.Accepted.Append(binary.LittleEndian.AppendUint16(b[:0], m.Sequence))[:2+16]) // wall time is no part of it
	return base64.RawURLEncoding.EncodeToString(h.Sum(b[:0])[:16])
}

// marksFor is how long the distance between the two clocks is believed.
const marksFor = 100 * clock.Second / 1000

// Marks makes the marks of many messages: asking the kernel for each whether wall
// time is to be trusted costs more than taking the message. It is safe for
// concurrent use.
type Marks struct {
	clock *clock.Clock

	mu   sync.Mutex // guards the fields below
	last clock.Mark
}

// NewMarks makes marks of a clock.
func NewMarks(c *clock.Clock) *Marks { return &Marks{clock: c} }

// At is the mark of now; its wall time may lag behind a step of the wall clock by
// 100 ms.
func (m *Marks) At(now clock.Time) clock.Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last.At == 0 || now < m.last.At || now-m.last.At > marksFor {
		m.last = m.clock.Mark(now)
	}
	mark := m.last
	if mark.Wall != 0 {
		mark.Wall += int64(now - mark.At)
	}
	mark.At = now
	return mark
}

// Moment is the wall time of a mark; zero if nobody knows it: the clock is not right
// yet, or was not in the boot in which the mark was made.
func Moment(c *clock.Clock, m clock.Mark) time.Time {
	if m.Wall != 0 {
		return time.Unix(0, m.Wall)
	}
	at, known := c.Time(m)
	if !known || !c.Synchronised() {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(at - clock.Now()))
}
