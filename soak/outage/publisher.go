package outage

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Publisher publishes at QoS 1 to its topics in turn, and forgets nothing that was
// not acknowledged: after a lost connection it sends that again, in order
// [MQTT-4.4.0-1]. Safe for concurrent use.
type Publisher struct {
	ledger *Ledger
	dial   Dial
	id     string
	topics []string
	size   int
	every  time.Duration // between two messages; 0: as fast as they go

	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	wanted  int // messages to send in all
	sent    int
	flights []flight // in the order of sending; their ids follow one another
	nextID  uint16
	window  int // of the connection; 0 while there is none
	ended   bool
}

// flight is a message that was sent.
type flight struct {
	topic   string
	number  int
	payload []byte
	id      uint16
	done    bool // acknowledged, while one before it is not
}

// PublisherOptions say what a publisher publishes.
type PublisherOptions struct {
	// ID is its client id.
	ID string
	// Topics are taken in turn.
	Topics []string
	// Size of a payload in bytes; a message says in some of them which it is.
	Size int
	// Rate is messages a second; 0 as many as go.
	Rate int
}

// NewPublisher starts a publisher, which has nothing to send yet.
func NewPublisher(l *Ledger, dial Dial, o PublisherOptions) *Publisher {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Publisher{ledger: l, dial: dial, id: o.ID, topics: o.Topics, size: o.Size, cancel: cancel, nextID: 1}
	if o.Rate > 0 {
		p.every = time.Second / time.Duration(o.Rate)
	}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(func() { p.run(ctx) })
	return p
}

// Send has so many messages more published, and does not wait.
func (p *Publisher) Send(messages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted += messages
	p.changed.Broadcast()
}

// Stop takes back what Send asked for and was not sent yet.
func (p *Publisher) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = p.sent
	p.changed.Broadcast()
}

// Settled waits until everything that was asked for is acknowledged or refused. The
// error is that nothing was for so long.
func (p *Publisher) Settled(idle time.Duration) error {
	timer := time.AfterFunc(idle, func() { // wakes the loop below, which looks at the time
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	last, since := -1, time.Now()
	for len(p.flights) > 0 || p.sent < p.wanted {
		if left := p.wanted - p.sent + len(p.flights); left != last {
			last, since = left, time.Now()
			timer.Reset(idle)
		} else if time.Since(since) >= idle {
			return fmt.Errorf("%s: %d messages are not acknowledged, and nothing has moved for %v", p.id, left, idle)
		}
		p.changed.Wait()
	}
	return nil
}

// Close ends the connection and waits for the publisher's goroutines.
func (p *Publisher) Close() {
	p.cancel()
	p.mu.Lock()
	p.ended = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Publisher) run(ctx context.Context) {
	for ctx.Err() == nil {
		if c, err := connect(ctx, p.dial, p.id); err == nil {
			p.connection(ctx, c)
		}
		sleep(ctx, redialAfter)
	}
}

// connection is one, from its beginning to its end.
func (p *Publisher) connection(ctx context.Context, c *conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.socket.Close() })
	defer stop()
	p.mu.Lock()
	p.window = c.receiveMaximum
	again := make([]flight, 0, len(p.flights))
	for _, f := range p.flights {
		if !f.done {
			again = append(again, f)
		}
	}
	p.mu.Unlock()
	var reading sync.WaitGroup
	reading.Go(func() { p.read(c) })
	p.write(c, again)
	_ = c.socket.Close() // it has ended, one way or another
	reading.Wait()
}

// write sends what is to be sent again and then what is new, until the connection
// ends.
func (p *Publisher) write(c *conn, again []flight) {
	var out []byte
	for _, f := range again {
		p.ledger.resend(f.topic, f.number)
		out = encode(out, f, true)
	}
	if _, err := c.socket.Write(out); err != nil {
		return
	}
	next := time.Now()
	for {
		batch := p.take()
		if len(batch) == 0 {
			return
		}
		out = out[:0]
		for _, f := range batch {
			out = encode(out, f, false)
		}
		if _, err := c.socket.Write(out); err != nil {
			return
		}
		if p.every > 0 {
			next = next.Add(p.every)
			time.Sleep(time.Until(next))
			if time.Since(next) > time.Second { // it was held up: no flood to make up for it
				next = time.Now()
			}
		}
	}
}

// take waits until messages may be sent and enters them as sent; none when the
// connection has ended.
func (p *Publisher) take() []flight {
	const most = 64
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n := min(p.wanted-p.sent, p.window-len(p.flights), most)
		if p.every > 0 {
			n = min(n, 1)
		}
		switch {
		case p.ended || p.window == 0:
			return nil
		case n > 0:
			first := len(p.flights)
			for range n {
				topic := p.topics[p.sent%len(p.topics)]
				number, payload := p.ledger.send(topic, p.size)
				p.flights = append(p.flights, flight{topic: topic, number: number, payload: payload, id: p.nextID})
				p.sent++
				if p.nextID++; p.nextID == 0 {
					p.nextID = 1
				}
			}
			return append([]flight(nil), p.flights[first:]...)
		}
		p.changed.Wait()
	}
}

func encode(out []byte, f flight, dup bool) []byte {
	pk := packets.Packet{
		ProtocolVersion: 5,
		FixedHeader:     packets.FixedHeader{Type: packets.Publish, Qos: 1, Dup: dup},
		PacketID:        f.id,
		TopicName:       f.topic,
		Payload:         f.payload,
	}
	var buf bytes.Buffer
	if err := pk.PublishEncode(&buf); err != nil {
		panic(fmt.Sprintf("encoding PUBLISH: %v", err)) // our own mistake
	}
	return append(out, buf.Bytes()...)
}

// read takes acknowledgements until the connection ends.
func (p *Publisher) read(c *conn) {
	for {
		pk, err := c.read()
		p.mu.Lock()
		if err != nil {
			p.window = 0
		} else if pk.FixedHeader.Type == packets.Puback {
			p.settle(pk.PacketID, pk.ReasonCode)
		}
		p.changed.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// settle enters an acknowledgement; p.mu is held.
func (p *Publisher) settle(id uint16, reason byte) {
	const ids = 1<<16 - 1 // 0 is none
	if len(p.flights) == 0 {
		return
	}
	i := (int(id) - int(p.flights[0].id) + ids) % ids
	if i >= len(p.flights) || p.flights[i].id != id || p.flights[i].done {
		return
	}
	p.flights[i].done = true
	p.ledger.acknowledge(p.flights[i].topic, p.flights[i].number, reason >= 0x80)
	gone := 0
	for gone < len(p.flights) && p.flights[gone].done {
		gone++
	}
	p.flights = p.flights[gone:]
}
