package streammgr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/unixsocket"
)

// maxPrograms is how many programs may be connected to a socket; further ones are
// closed.
const maxPrograms = 64

// socket is a Unix socket at which programs of the vehicle hand in messages:
//
//	program → gateway  4 bytes, big-endian: the length of a message; then the message; and so on
//	gateway → program  8 bytes, big-endian: how many messages of this connection are stored by now; now and then
//
// What the second says is as durable as the stream promises. While the stream takes
// nothing the gateway reads nothing, and the program waits in its write. A message that
// can never go in ends the connection. At its end a program shuts down its writing
// side and reads on to the last number.
type socket struct {
	stream   *stream
	path     string
	listener *net.UnixListener
	stop     context.CancelFunc
	running  sync.WaitGroup
	config   atomic.Pointer[FeedConfig]

	messages, bytes, refused, broken atomic.Uint64
	problem                          atomic.Pointer[string] // why nothing is taken now, nil if it is

	mu    sync.Mutex
	conns map[*net.UnixConn]struct{}
}

// openSocket binds a socket and serves it. Programs that connect before the stream is
// there wait.
func openSocket(s *stream, c FeedConfig) (*socket, error) {
	mode, err := c.mode()
	if err != nil {
		return nil, fmt.Errorf("stream %q: socket %s: mode: %w", s.name, c.Socket, err)
	}
	listener, err := unixsocket.Listen(c.Socket, mode)
	if err != nil {
		return nil, fmt.Errorf("stream %q: socket %s: %w", s.name, c.Socket, err)
	}
	k := &socket{stream: s, path: c.Socket, listener: listener, conns: map[*net.UnixConn]struct{}{}}
	k.config.Store(&c)
	var ctx context.Context
	ctx, k.stop = context.WithCancel(s.manager.ctx)
	k.running.Go(func() { k.accept(ctx) })
	return k, nil
}

// use takes another configuration of the same path. Connections that are there stay.
func (k *socket) use(c FeedConfig) error {
	mode, err := c.mode()
	if err == nil {
		err = os.Chmod(k.path, mode)
	}
	if err != nil {
		return fmt.Errorf("stream %q: socket %s: mode: %w", k.stream.name, k.path, err)
	}
	k.config.Store(&c)
	return nil
}

// accept takes connections until the listener is closed.
func (k *socket) accept(ctx context.Context) {
	for {
		c, err := k.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			k.stream.logger.Warn("a socket can't take a connection", "socket", k.path, "error", err)
			pause(ctx, firstPause)
			continue
		}
		if err := k.admit(c); err != nil {
			_ = c.Close() // it has sent nothing
			if k.refused.Add(1) == 1 {
				k.stream.logger.Warn("a program may not hand in; so may not further ones, which are counted", "socket", k.path, "error", err)
			}
			continue
		}
		k.running.Go(func() { k.serve(ctx, c) })
	}
}

// admit asks who is at the other end.
func (k *socket) admit(c *net.UnixConn) error {
	peer, err := unixsocket.Peer(c)
	if err != nil {
		return err
	}
	if !k.config.Load().admits(peer) {
		return fmt.Errorf("user %d, group %d: want one of uids or gids", peer.Uid, peer.Gid)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conns == nil || len(k.conns) >= maxPrograms {
		return fmt.Errorf("%d programs are connected already", maxPrograms)
	}
	k.conns[c] = struct{}{}
	return nil
}

// admits reports whether a user may hand in.
func (c *FeedConfig) admits(peer *unix.Ucred) bool {
	return len(c.UIDs)+len(c.GIDs) == 0 || peer.Uid == 0 || int(peer.Uid) == os.Geteuid() ||
		slices.Contains(c.UIDs, int(peer.Uid)) || slices.Contains(c.GIDs, int(peer.Gid))
}

// serve takes the messages of one program.
func (k *socket) serve(ctx context.Context, c *net.UnixConn) {
	told := newStored(c)
	err := k.receive(ctx, c, told)
	told.end()
	k.mu.Lock()
	delete(k.conns, c)
	k.mu.Unlock()
	_ = c.Close() // all that was to be told was told
	if err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		k.broken.Add(1)
		k.stream.logger.Warn("a program's connection was ended", "socket", k.path, "error", err)
	}
}

// receive reads messages into the stream until the program has no more.
func (k *socket) receive(ctx context.Context, c io.Reader, told *stored) error {
	l, err := k.stream.await(ctx)
	if err != nil {
		return err
	}
	in := newFrames(c, k.stream.manager.longest)
	for {
		messages, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for len(messages) > 0 {
			n := batchOf(messages, k.stream.batchBytes())
			if err := k.append(ctx, l, messages[:n]); err != nil {
				return err
			}
			told.add(n)
			messages = messages[n:]
		}
	}
}

// batchOf is how many of the messages, one at least, are stored whole or not at all.
func batchOf(messages [][]byte, limit int) int {
	bytes := 0
	for i, m := range messages {
		bytes += len(m) + messageOverhead
		if i > 0 && bytes > limit {
			return i
		}
	}
	return len(messages)
}

// append puts messages into the stream, however long that takes. The error says that
// they can never go in, or that ctx has ended.
func (k *socket) append(ctx context.Context, l *log.Stream, messages [][]byte) error {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		_, err := l.Append(ctx, messages...)
		switch {
		case err == nil:
			k.problem.Store(nil)
			bytes := 0
			for _, m := range messages {
				bytes += len(m)
			}
			k.messages.Add(uint64(len(messages)))
			k.bytes.Add(uint64(bytes))
			return nil
		case ctx.Err() != nil || errors.Is(err, log.ErrTooLarge) || errors.Is(err, log.ErrDeleted) || errors.Is(err, log.ErrClosed):
			return err
		}
		text := err.Error()
		if k.problem.Swap(&text) == nil {
			k.stream.logger.Warn("programs wait for the stream", "socket", k.path, "error", err)
		}
		pause(ctx, wait)
	}
}

// programs is how many are connected.
func (k *socket) programs() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns)
}

// close takes no more, ends the connections behind what was stored, and removes the
// socket.
func (k *socket) close() {
	_ = k.listener.Close() // it removes the socket
	k.stop()
	k.mu.Lock()
	for c := range k.conns {
		_ = c.CloseRead() // what was stored is still told
	}
	k.conns = nil
	k.mu.Unlock()
	k.running.Wait()
}
