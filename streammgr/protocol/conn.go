package protocol

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// besidePayload is what a request has beside its message.
	besidePayload = 64 << 10
	// keptFrame is the longest frame whose memory is kept for the next.
	keptFrame = 64 << 10
	// maxUnanswered appends of a connection are under way at a time; a client that
	// sends more without waiting is read no further.
	maxUnanswered = 64
	// maxParked reads of a connection wait at a time; the next one holds up the
	// connection.
	maxParked = 16
)

// conn is a client's connection. One goroutine reads and executes, one writes, and
// one a read that waits.
type conn struct {
	net.Conn
	server *Server
	number uint64
	log    *slog.Logger
	in     *bufio.Reader
	header [headerSize]byte
	frame  []byte

	// ctx ends when the client is gone or the server stops.
	ctx    context.Context
	cancel context.CancelFunc

	answers chan *answer   // in order; closed when nobody sends any more
	appends sync.WaitGroup // that have not been told how they went
	reading chan struct{}  // holds one item while a read's answer is in memory
	places  chan struct{}  // holds an item a parked read
	parked  sync.WaitGroup

	mu       sync.Mutex
	stopping bool
	held     map[string]chan struct{} // by request id of parked reads, closed when answered
}

// answer is what a client is told.
type answer struct {
	op    Operation
	body  body          // set before ready is closed
	ready chan struct{} // nil if body was there from the start
	after func()        // called when it was written, or never will be; may be nil
}

// body is what is encoded: an outcome, or what has one.
type body interface{ failed() bool }

func newConn(s *Server, nc net.Conn, number uint64) *conn {
	c := &conn{
		Conn:    nc,
		server:  s,
		number:  number,
		log:     s.log.With("client", nc.RemoteAddr().String()),
		in:      bufio.NewReaderSize(nc, 16<<10),
		answers: make(chan *answer, maxUnanswered),
		reading: make(chan struct{}, 1),
		places:  make(chan struct{}, maxParked),
		held:    map[string]chan struct{}{},
	}
	c.ctx, c.cancel = context.WithCancel(s.polls)
	return c
}

// serve is a connection's life.
func (c *conn) serve() {
	defer c.Close()
	defer c.cancel()
	if !c.connect() {
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	for c.next() {
	}
	c.cancel()
	c.parked.Wait()
	close(c.answers)
	<-written
}

// stop has the connection take no more requests.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	_ = c.SetReadDeadline(time.Unix(1, 0)) // fails on a connection that is closed
}

// allow bounds how long the next bytes may take, 0 for no bound.
func (c *conn) allow(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return
	}
	var until time.Time
	if within > 0 {
		until = time.Now().Add(within)
	}
	_ = c.SetReadDeadline(until) // fails on a connection that is closed
}

// next reads a request and executes it. It reports whether there may be another.
func (c *conn) next() bool {
	if c.in.Buffered() == 0 {
		c.allow(0) // clients may be silent as long as they like
		if _, err := c.in.Peek(1); err != nil {
			return false
		}
	}
	c.allow(c.server.frameWithin)
	op, n, err := readHeader(c.in, &c.header)
	if err != nil {
		c.log.Debug("stream manager's client sent no frame", "error", err)
		return false
	}
	c.server.requests.Add(1)
	if n > c.server.options.MaxMessage+besidePayload {
		return c.refuse(op, n)
	}
	if cap(c.frame) < n {
		c.frame = make([]byte, n)
	}
	payload := c.frame[:n]
	if c.in.Buffered() < n {
		c.acknowledge()
	}
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return false
	}
	c.execute(op, payload)
	if cap(c.frame) > keptFrame {
		c.frame = nil
	}
	return true
}

// acknowledge has the kernel acknowledge a header at once. Clients write header and
// payload one after another, and those that leave Nagle's algorithm on, as Node.js
// does, hold the payload back until then: 44 ms a request in place of 0.2.
func (c *conn) acknowledge() {
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it the client is slower, no more
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
}

// refuse reads over a payload that is too long, and says so.
func (c *conn) refuse(op Operation, n int) bool {
	rest := &io.LimitedReader{R: c.in, N: int64(n)}
	id := skim(bufio.NewReader(rest))
	if _, err := io.Copy(io.Discard, rest); err != nil {
		return false
	}
	reply, known := answers[op]
	if !known {
		reply = opUnknownOperationError
	}
	c.reply(reply, outcome{id, statusRequestPayloadTooLarge,
		fmt.Sprintf("request of %d bytes: want messages of at most %d", n, c.server.options.MaxMessage)})
	return true
}

// requestID looks for the request id in a payload that could not be decoded.
func requestID(payload []byte) string {
	return skim(bufio.NewReader(bytes.NewReader(payload)))
}

// reply sends an answer that is ready.
func (c *conn) reply(op Operation, b body) {
	c.answers <- &answer{op: op, body: b}
}

// write writes answers until there are no more, several at once where they come
// faster than the client takes them. After an error it writes none, but goes on to
// take them, so that nobody waits in vain.
func (c *conn) write() {
	out := bufio.NewWriterSize(c, 32<<10)
	var frame bytes.Buffer
	failed := false
	for a := range c.answers {
		if a.ready != nil {
			failed = failed || !c.await(a, out)
		}
		if !failed {
			failed = !c.put(a, &frame, out)
		}
		if !failed && len(c.answers) == 0 {
			failed = out.Flush() != nil
		}
		if failed {
			c.cancel()
			_ = c.Close() // it may be closed already
		}
		if a.after != nil {
			a.after()
		}
	}
	if !failed {
		_ = out.Flush() // the client is gone anyway
	}
}

// await waits for an answer, and lets go of those before it meanwhile.
func (c *conn) await(a *answer, out *bufio.Writer) bool {
	select {
	case <-a.ready:
		return true
	default:
	}
	if out.Flush() != nil {
		return false
	}
	select {
	case <-a.ready:
		return true
	case <-c.server.ctx.Done():
		return false
	}
}

// put writes an answer.
func (c *conn) put(a *answer, frame *bytes.Buffer, out *bufio.Writer) bool {
	if frame.Cap() > keptFrame {
		*frame = bytes.Buffer{}
	}
	if err := putFrame(frame, a.op, a.body); err != nil {
		c.log.Error("stream manager's answer can't be encoded", "operation", a.op, "error", err)
		return false
	}
	if a.body.failed() {
		c.server.failed.Add(1)
	}
	if c.SetWriteDeadline(time.Now().Add(c.server.takenWithin)) != nil {
		return false
	}
	_, err := out.Write(frame.Bytes())
	return err == nil
}
