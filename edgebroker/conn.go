package edgebroker

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/listen"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/stream"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

const (
	linger       = time.Second // for the last packet to get out when a connection ends
	deadlineStep = time.Second // a read deadline is renewed no more often
	spell        = 64          // packets that a connection handles before it gives way
	searchWork   = 16          // as much as a search for receivers counts for
)

// conn is one connection: its goroutine reads and answers; see stream.Out for who
// writes.
type conn struct {
	b        *Broker
	socket   *listen.Conn
	in       *stream.In
	out      *stream.Out
	session  atomic.Pointer[session] // set when CONNECT was accepted
	detached chan struct{}           // closed when it has let go of its session

	// What CONNECT settled; fixed once session is set.
	version   byte
	keepAlive time.Duration // longest silence, 0 for any
	window    int           // QoS 1 and 2 messages under way to the client
	maxPacket int           // largest packet the client takes
	quiet     bool          // it wants no reason strings but in CONNACK and DISCONNECT
	method    auth.Method   // of enhanced authentication, nil without
	will      *message.Will
	expiry    clock.Time // of the session; a DISCONNECT may change it

	attendance attendance

	// The reader's own.
	origin   *Origin   // of what it publishes
	exchange *exchange // by which the client authenticates again, nil between
	routes   remembered[*route]
	aliases  aliases
	message  wire.Message
	passing  message.Publication
	forms    message.Forms
	later    stream.Burst // whoever has something to be written
	routing  bool         // it holds the read side of Broker.routing
	work     int          // packets handled since it gave way; a search counts for many
	renewed  time.Time
	spending spending

	outstanding atomic.Int32  // commitments that are to be answered
	unanswered  atomic.Int32  // messages of QoS 1 and 2 that the client has no PUBACK or PUBCOMP for
	held        chan struct{} // tells the reader that there are fewer

	endOnce sync.Once
	ended   atomic.Uint32 // reason with which this side ended it, + 1
}

func newConn(b *Broker, socket *listen.Conn) (*conn, error) {
	limits := &b.cfg.Limits
	in, err := stream.NewIn(socket, socket.Plain, int(limits.PacketSize))
	if err != nil {
		return nil, err
	}
	c := &conn{
		b:        b,
		socket:   socket,
		in:       in,
		detached: make(chan struct{}),
		held:     make(chan struct{}, 1),

		maxPacket: maxMessage,
	}
	c.out, err = stream.NewOut(socket, socket.Plain, b.gather, stream.Options{
		Limit:   int(limits.QueueBytes),
		Timeout: time.Duration(limits.WriteTimeout),
		Sent:    &b.counters.bytesSent,
		Dropped: c.dropped,
		Drained: c.drained,
		Failed:  func() { c.end(wire.Unspecified) },
	})
	return c, err
}

// serve runs the connection to its end. A CONNECT must come before the socket's
// deadline.
func (c *conn) serve() {
	err := c.connect(c.socket.Deadline)
	if err == nil {
		err = c.converse()
		c.leave()
		c.later.Flush()
		c.b.counters.clients.Add(-1)
		c.session.Load().detach(c, err)
	}
	close(c.detached)
	c.logEnd(err)
	if c.stopping() {
		c.awaitAnswers()
	}
	c.out.Close(c.farewell(err))
	cut := time.AfterFunc(linger, func() { _ = c.socket.Close() })
	c.out.Finish()
	if cut.Stop() {
		c.socket.HangUp()
	}
	c.in.LetGo()
}

// converse handles packets until the connection ends; nil means that the
// client said goodbye.
func (c *conn) converse() error {
	for {
		for {
			first, body, ok, err := c.in.Next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			c.work++
			if err := c.handle(first, body); err != nil {
				if errors.Is(err, errGoodbye) {
					return nil
				}
				return err
			}
		}
		c.leave()
		c.later.Flush()
		if err := c.wait(); err != nil {
			return err
		}
		if c.work >= spell {
			c.giveWay()
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// giveWay lets others have the processor after a spell of work. Else a client at
// full speed may be all that runs: the scheduler looks at the other sockets every
// 10 ms while it has something to do, unless a thread is woken for it, and the
// kernel lets a busy thread go on for milliseconds before another program's, the
// receiver's, gets its turn.
func (c *conn) giveWay() {
	c.work = 0
	runtime.Gosched()
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
}

// fill waits for more of the stream, and counts it.
func (c *conn) fill() error {
	n, err := c.in.Fill()
	c.b.counters.bytesReceived.Add(uint64(n))
	return err
}

// wait holds the reader back while the client does not take its answers, the
// store is behind, or more is under way than is allowed; and says how long the
// client may be silent.
func (c *conn) wait() error {
	c.out.WaitRoom(int(c.b.cfg.Limits.QueueBytes))
	for int(c.outstanding.Load()) >= c.b.cfg.Limits.Inflight && c.ended.Load() == 0 {
		<-c.held
	}
	if c.b.store.Busy() {
		if err := c.b.store.WaitRoom(c.b.stop); err != nil && c.b.stop.Err() == nil {
			return err
		}
	}
	if at := time.Now(); c.keepAlive > 0 && at.Sub(c.renewed) >= min(deadlineStep, c.keepAlive/8) {
		c.renewed = at
		if err := c.socket.SetReadDeadline(at.Add(c.keepAlive)); err != nil {
			return err
		}
	}
	if c.ended.Load() != 0 { // after setting a deadline: end sets its own
		return errEnded
	}
	return nil
}

// relieve wakes a reader that waits for commitments.
func (c *conn) relieve() {
	select {
	case c.held <- struct{}{}:
	default:
	}
}

var (
	errGoodbye = errors.New("client disconnected")
	errEnded   = errors.New("ended by the broker")
)

// end makes the connection end with a reason, from any goroutine. It does not
// wait: detached tells when the session is free.
func (c *conn) end(reason wire.Reason) {
	c.endOnce.Do(func() {
		c.ended.Store(uint32(reason) + 1)
		var last []byte
		if c.session.Load() != nil && c.version == 5 {
			last = c.disconnectFor(reason, "")
		}
		silence := func() {
			c.out.Close(last)
			c.out.HandOver()
		}
		if c.stopping() {
			time.AfterFunc(linger, silence) // serve does it when all is answered, unless it waits for the client
		} else {
			silence()
		}
		c.interrupt()
		c.relieve()
	})
}

// stopping reports whether the broker stops. What it has taken is then answered
// before the goodbye: a publisher whose PUBACK is missing sends again.
func (c *conn) stopping() bool { return c.ended.Load() == uint32(wire.ShuttingDown)+1 }

// awaitAnswers waits until nothing that the client has sent is still being committed,
// but not for long.
func (c *conn) awaitAnswers() {
	enough := time.NewTimer(linger)
	defer enough.Stop()
	for c.outstanding.Load() > 0 {
		select {
		case <-c.held:
		case <-enough.C:
			return
		}
	}
}

// interrupt makes the reader return.
func (c *conn) interrupt() { _ = c.socket.SetReadDeadline(time.Unix(1, 0)) }

// farewell is the DISCONNECT that tells a version 5 client what it did wrong, or that
// the broker stops.
func (c *conn) farewell(err error) []byte {
	if c.session.Load() == nil || c.version < 5 {
		return nil
	}
	var bad *wire.Broken
	switch {
	case errors.As(err, &bad):
		return c.disconnectFor(bad.Reason, bad.Text)
	case c.silent(err):
		return c.disconnectFor(wire.KeepAliveTimeout, "")
	case c.stopping():
		return c.disconnectFor(wire.ShuttingDown, "")
	}
	return nil
}

// silent tells that the client was not heard of for too long [MQTT-3.1.2-22].
func (c *conn) silent(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && c.ended.Load() == 0
}

func (c *conn) logEnd(err error) {
	client := ""
	if s := c.session.Load(); s != nil {
		client = s.id
	}
	args := []any{"listener", c.socket.Listener.Name, "remote", c.socket.Remote(), "client", client, "reason", err}
	var bad *wire.Broken
	if errors.As(err, &bad) {
		c.b.noise.warn(c.b.log, "connection ended", args...)
		return
	}
	c.b.log.Debug("connection ended", args...)
}

// drained runs when the socket has taken what the session waited for.
func (c *conn) drained(later *stream.Burst) {
	if s := c.session.Load(); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pump(later)
	}
}

// dropped counts messages of QoS 0 that had to make room.
func (c *conn) dropped(messages int) {
	c.b.counters.droppedQoS0.Add(uint64(messages))
	if s := c.session.Load(); s != nil {
		s.drops.Add(uint64(messages))
	}
}

func (c *conn) protocol() string {
	switch c.version {
	case 3:
		return "3.1"
	case 4:
		return "3.1.1"
	}
	return "5.0"
}

// connections are the open connections, CONNECT or not.
type connections struct {
	mu   sync.Mutex
	open map[*conn]struct{}
}

func (cs *connections) init() { cs.open = make(map[*conn]struct{}) }

func (cs *connections) add(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.open[c] = struct{}{}
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

func (cs *connections) all() []*conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	list := make([]*conn, 0, len(cs.open))
	for c := range cs.open {
		list = append(list, c)
	}
	return list
}

// pause waits a while after a failure of the store. It reports whether to go on.
func (b *Broker) pause(err error) bool {
	b.noise.warn(b.log, "the store can't be read, trying again", "error", err)
	ctx, cancel := context.WithTimeout(b.stop, time.Second)
	defer cancel()
	<-ctx.Done()
	return b.stop.Err() == nil
}
