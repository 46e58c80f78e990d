package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// endpoint is a far side that takes whatever it is sent: calls of PutRecords, whose
// records it counts and does not read, and posts of any other kind. Safe for concurrent
// use.
type endpoint struct {
	Address string

	server   *http.Server
	serving  sync.WaitGroup
	open     chan struct{} // nothing is answered before it is closed
	buffers  sync.Pool
	received atomic.Int64 // bytes of bodies
	wire     atomic.Int64 // bytes that came over the network
}

func newEndpoint() (*endpoint, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &endpoint{Address: l.Addr().String(), open: make(chan struct{})}
	e.buffers.New = func() any { return new(bytes.Buffer) }
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	e.serving.Go(func() { _ = e.server.Serve(&counted{l, &e.wire}) }) // it ends by close
	return e, nil
}

func (e *endpoint) close() error {
	err := e.server.Close()
	e.serving.Wait()
	return err
}

// records is the name before the array of the records in CBOR, with its head.
var records = []byte("\x67Records")

// ServeHTTP implements http.Handler.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := e.buffers.Get().(*bytes.Buffer)
	defer e.buffers.Put(body)
	body.Reset()
	n, err := io.Copy(body, r.Body)
	if err != nil {
		return // the gateway has gone
	}
	select {
	case <-e.open:
	case <-r.Context().Done():
		return
	}
	e.received.Add(n)
	if r.Header.Get("X-Amz-Target") == "" {
		return // 200
	}
	text, err := taken(body.Bytes())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	_, _ = w.Write(text) // who has gone asks again
}

// taken is the answer to a call whose records are all taken.
func taken(call []byte) ([]byte, error) {
	at := bytes.Index(call, records)
	if at < 0 {
		return nil, fmt.Errorf("no records in a call of %d bytes", len(call))
	}
	n := count(call[at+len(records):])
	sequence, shard := "49590338271490256608559692538361571095921575989136588898", "shardId-000000000000"
	results := make([]map[string]string, n)
	for i := range results {
		results[i] = map[string]string{"SequenceNumber": sequence, "ShardId": shard}
	}
	return cbor.Marshal(map[string]any{"FailedRecordCount": 0, "Records": results})
}

// count is the length of an array by its head (RFC 8949 §3).
func count(head []byte) int {
	if len(head) < 3 {
		return 0
	}
	switch n := int(head[0] & 31); n {
	case 24:
		return int(head[1])
	case 25:
		return int(head[1])<<8 | int(head[2])
	default:
		return n
	}
}

// has waits until so many bytes of bodies have come.
func (e *endpoint) has(ctx context.Context, bytes int64) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	last, moved := int64(-1), time.Now()
	for {
		now := e.received.Load()
		if now >= bytes {
			return nil
		}
		if now != last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > idle {
			return fmt.Errorf("endpoint: %d bytes have come: want %d", now, bytes)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// idle is how long nothing may come before a run is given up.
const idle = 20 * time.Second

// counted counts what is read of a listener's connections.
type counted struct {
	net.Listener
	bytes *atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{c, l.bytes}, nil
}

type countedConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

// noise is what can't be compressed, always the same.
func noise(size int) []byte {
	b := make([]byte, size)
	random := rand.NewChaCha8([32]byte{'f', 'a', 's', 'c', 'i', 'a'})
	_, _ = random.Read(b) // it never fails
	return b
}
