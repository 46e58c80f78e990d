package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// aliasSize is what a topic alias takes in a packet, in bytes.
const aliasSize = 3

// Publish implements Conn.
func (c *connection) Publish(p *Publish) (size int, err error) {
	switch {
	case p.QoS > 1 || p.QoS > c.session.MaximumQoS:
		return 0, fmt.Errorf("%w: QoS %d, want at most %d", ErrQoS, p.QoS, min(1, c.session.MaximumQoS))
	case p.Retain && !c.session.RetainAvailable:
		return 0, ErrRetain
	case (p.QoS == 1) != (p.ID != 0) || p.ID > MaxID:
		return 0, fmt.Errorf("%w: packet id %d at QoS %d, want 1 to %d at QoS 1 alone", ErrID, p.ID, p.QoS, MaxID)
	case !encodable(&p.Message):
		return 0, fmt.Errorf("%w: a text of more than %d bytes", ErrTooLarge, math.MaxUint16)
	}
	out := wire.Outgoing{
		Topic:   p.Topic,
		Payload: p.Payload,
		Left:    p.Expiry,
		ID:      p.ID,
		QoS:     p.QoS,
		Retain:  p.Retain,
		Dup:     p.Dup,
		Version: c.session.Version,
	}
	if err := c.socket.lock(true); err != nil {
		return 0, err
	}
	defer c.socket.unlock()
	if out.Version == 5 {
		props := wire.Properties{
			PayloadUTF8:     p.PayloadUTF8,
			ContentType:     p.ContentType,
			ResponseTopic:   p.ResponseTopic,
			CorrelationData: p.CorrelationData,
			User:            p.UserProperties,
		}
		c.scratch = props.Append(c.scratch[:0])
		out.Properties = c.scratch
	}
	size, limit := out.Size(), c.session.MaximumPacket
	if limit == 0 {
		limit = wire.MaxRemaining
	}
	if size > limit {
		return 0, fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLarge, size, limit)
	}
	if !p.Dup && size+aliasSize <= limit { // what is sent again says its topic in full
		number, known := c.aliases.of(p.Topic)
		if out.Alias = number; known {
			out.Topic = ""
		}
	}
	before := len(c.socket.pending)
	c.socket.pending = out.Append(c.socket.pending)
	size = len(c.socket.pending) - before
	if p.ID != 0 {
		c.pulse.expect(p.ID, size)
	}
	return size, nil
}

// encodable reports whether the texts fit the two bytes of their lengths
// [MQTT-1.5.4].
func encodable(m *message.Message) bool {
	fits := max(len(m.Topic), len(m.ContentType), len(m.ResponseTopic), len(m.CorrelationData)) <= math.MaxUint16
	for _, u := range m.UserProperties {
		fits = fits && max(len(u.Name), len(u.Value)) <= math.MaxUint16
	}
	return fits
}

// Subscribe implements Conn.
func (c *connection) Subscribe(ctx context.Context, subs []Subscription) (codes []byte, err error) {
	codes, err = c.ask(ctx, func(id uint16) ([]byte, error) { return c.dialect.subscribe(id, subs) })
	if err == nil && len(codes) != len(subs) {
		err = fmt.Errorf("SUBACK with %d reason codes: want %d", len(codes), len(subs))
	}
	return codes, err
}

// Unsubscribe implements Conn.
func (c *connection) Unsubscribe(ctx context.Context, filters []string) error {
	_, err := c.ask(ctx, func(id uint16) ([]byte, error) { return c.dialect.unsubscribe(id, filters) })
	return err
}

// ask sends what has an answer of its own, and waits for it.
func (c *connection) ask(ctx context.Context, packet func(id uint16) ([]byte, error)) (codes []byte, err error) {
	id, answer, err := c.asked.ask()
	if err != nil {
		return nil, err
	}
	b, err := packet(id)
	if err == nil && c.session.MaximumPacket > 0 && len(b) > c.session.MaximumPacket {
		err = fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLarge, len(b), c.session.MaximumPacket)
	}
	if err != nil {
		c.asked.give(id, nil)
		return nil, err
	}
	c.pulse.expect(0, len(b))
	if err := c.socket.write(b); err != nil {
		return nil, err
	}
	select {
	case codes = <-answer:
		return codes, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.over:
		return nil, fmt.Errorf("%w: %w", errOver, c.cause)
	}
}

// answers are the SUBSCRIBEs and UNSUBSCRIBEs that wait for one. Their packet ids are
// those above MaxID, so they never meet one of the handler's.
type answers struct {
	mu      sync.Mutex // guards what follows
	next    uint16
	waiting map[uint16]chan []byte
}

// errAnswers: an answer that nobody waits for any more keeps its id until it comes.
var errAnswers = errors.New("too many SUBSCRIBE and UNSUBSCRIBE without an answer")

func (a *answers) ask() (id uint16, answer <-chan []byte, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = make(map[uint16]chan []byte)
	}
	const ids = math.MaxUint16 - MaxID
	for range ids {
		id = MaxID + 1 + a.next%ids
		a.next++
		if _, taken := a.waiting[id]; !taken {
			c := make(chan []byte, 1)
			a.waiting[id] = c
			return id, c, nil
		}
	}
	return 0, nil, errAnswers
}

// give passes an answer on, or lets go of an id that was not used.
func (a *answers) give(id uint16, codes []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.waiting[id]; c != nil {
		c <- codes // it has room for the one
		delete(a.waiting, id)
	}
}
