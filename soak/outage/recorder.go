package outage

import (
	"context"
	"net"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// Recorder subscribes at a broker for as long as the run lasts, by a session that
// outlives its connections, and enters what comes in the ledger. Safe for concurrent
// use.
type Recorder struct {
	dial   Dial
	id     string
	filter string
	take   func(*packets.Packet)

	cancel  context.CancelFunc
	running sync.WaitGroup

	mu         sync.Mutex    // guards what follows
	subscribed chan struct{} // closed while the subscription stands
	socket     net.Conn      // while it stands
	echo       chan struct{} // closed by the next PINGRESP
}

// MessageID is the user property in which a message has its id.
const MessageID = "message-id"

// Record starts a recorder and waits for its subscription.
func Record(ctx context.Context, l *Ledger, dial Dial, filter string) (*Recorder, error) {
	return hear(ctx, dial, "recorder", filter, func(pk *packets.Packet) {
		id := ""
		for _, property := range pk.Properties.User {
			if property.Key == MessageID {
				id = property.Val
			}
		}
		l.arrive(pk.Payload, id)
	})
}

// Watch calls take, from one goroutine, with what is published to the filter.
func Watch(ctx context.Context, dial Dial, id, filter string, take func(topic string, payload []byte)) (*Recorder, error) {
	return hear(ctx, dial, id, filter, func(pk *packets.Packet) { take(pk.TopicName, pk.Payload) })
}

func hear(ctx context.Context, dial Dial, id, filter string, take func(*packets.Packet)) (*Recorder, error) {
	inner, cancel := context.WithCancel(context.Background())
	r := &Recorder{dial: dial, id: id, filter: filter, take: take, cancel: cancel, subscribed: make(chan struct{})}
	r.running.Go(func() { r.run(inner) })
	if err := r.Subscribed(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Subscribed waits until the subscription stands.
func (r *Recorder) Subscribed(ctx context.Context) error {
	r.mu.Lock()
	subscribed := r.subscribed
	r.mu.Unlock()
	select {
	case <-subscribed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Echo waits until the broker has answered a ping on the connection that stands: what
// it had sent before has been recorded.
func (r *Recorder) Echo(ctx context.Context) error {
	if err := r.Subscribed(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	if r.echo == nil {
		r.echo = make(chan struct{})
	}
	echo, socket := r.echo, r.socket
	r.mu.Unlock()
	if _, err := socket.Write([]byte{packets.Pingreq << 4, 0}); err != nil {
		return err
	}
	select {
	case <-echo:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the connection and waits for the recorder's goroutine. The session
// stays at the broker.
func (r *Recorder) Close() {
	r.cancel()
	r.running.Wait()
}

func (r *Recorder) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.connection(ctx)
		r.mu.Lock()
		select {
		case <-r.subscribed:
			r.subscribed = make(chan struct{})
		default:
		}
		r.mu.Unlock()
		sleep(ctx, redialAfter)
	}
}

// connection is one, from its beginning to its end: how it ended does not matter.
func (r *Recorder) connection(ctx context.Context) {
	c, err := connect(ctx, r.dial, r.id)
	if err != nil {
		return
	}
	defer c.socket.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.socket.Close() })
	defer stop()
	var answers []byte
	handle := func(pk *packets.Packet) {
		switch pk.FixedHeader.Type {
		case packets.Pingresp:
			r.echoed()
		case packets.Publish:
			r.take(pk)
			if pk.FixedHeader.Qos > 0 {
				answers = puback(answers, pk.PacketID)
			}
		}
	}
	if err := c.subscribe(r.filter, handle); err != nil {
		return
	}
	r.mu.Lock()
	r.socket = c.socket
	close(r.subscribed)
	r.mu.Unlock()
	for {
		if len(answers) > 0 && (c.in.Buffered() == 0 || len(answers) > 4<<10) {
			if _, err := c.socket.Write(answers); err != nil {
				return
			}
			answers = answers[:0]
		}
		pk, err := c.read()
		if err != nil {
			return
		}
		handle(pk)
	}
}

func (r *Recorder) echoed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.echo != nil {
		close(r.echo)
		r.echo = nil
	}
}
