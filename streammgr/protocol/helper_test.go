package protocol

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/streammgr/log"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is streams with their definitions, as whoever wires the server keeps them.
type book struct {
	engine *log.Engine
	mu     sync.Mutex
	kept   map[string]Definition
}

func (b *book) keep(d Definition, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.kept[d.Name] = d
	}
	return err
}

func (b *book) Create(ctx context.Context, d Definition) error {
	return b.keep(d, b.engine.Create(ctx, d.Stream()))
}

func (b *book) Update(ctx context.Context, d Definition) error {
	return b.keep(d, b.engine.Update(ctx, d.Stream()))
}

func (b *book) Delete(ctx context.Context, name string) error { return b.engine.Delete(ctx, name) }

func (b *book) Describe(name string) (Definition, []ExportStatus, error) {
	s, ok := b.engine.Stream(name)
	if !ok {
		return Definition{}, nil, log.ErrNotFound
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if d, ok := b.kept[name]; ok {
		return d, nil, nil
	}
	return Define(s.Definition()), nil, nil
}

func (b *book) Stream(name string) (*log.Stream, bool) { return b.engine.Stream(name) }

func (b *book) Names() []string {
	var names []string
	for _, s := range b.engine.Streams() {
		names = append(names, s.Name())
	}
	return names
}

// openBook opens streams in a folder of the test's.
func openBook(t testing.TB) *book {
	t.Helper()
	e, err := log.Open(t.Context(), log.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	<-e.Ready()
	if err := e.Err(); err != nil {
		t.Fatal(err)
	}
	return &book{engine: e, kept: map[string]Definition{}}
}

// serve starts a server of streams of its own, which the test may change before.
func serve(t testing.TB, o Options, change ...func(*Server)) (*Server, *book) {
	t.Helper()
	b := openBook(t)
	o.Listen, o.Log = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	s, err := New(o, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, fn := range change {
		fn(s)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, b
}

// client speaks the protocol without an SDK.
type client struct {
	net.Conn
	t testing.TB
}

// fields are a CBOR map.
type fields map[string]any

// dial connects without a word.
func dial(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{nc, t}
}

// connected is a client that has been let in.
func connected(t testing.TB, s *Server) *client {
	t.Helper()
	c := dial(t, s)
	c.put([]byte{1})
	c.send(opConnect, fields{"requestId": "c", "protocolVersion": "1.1.0", "sdkVersion": "1.1.0"})
	if answer := c.welcome(); answer["status"] != uint64(0) {
		t.Fatalf("connect: %v", answer)
	}
	return c
}

// welcome is the answer to a ConnectRequest.
func (c *client) welcome() fields {
	c.t.Helper()
	version := make([]byte, 1)
	if _, err := io.ReadFull(c, version); err != nil || version[0] != 1 {
		c.t.Fatalf("connect version: %v, %v", version, err)
	}
	op, answer := c.hear()
	if op != opConnectResponse {
		c.t.Fatalf("operation %d: want ConnectResponse", op)
	}
	return answer
}

func (c *client) put(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// frameOf is a frame with any payload.
func frameOf(op Operation, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)+1))
	return append(append(b, byte(op)), payload...)
}

func (c *client) send(op Operation, payload any) {
	c.t.Helper()
	b, err := cbor.Marshal(payload)
	if err != nil {
		c.t.Fatal(err)
	}
	c.put(frameOf(op, b))
}

func (c *client) hear() (Operation, fields) {
	c.t.Helper()
	var header [headerSize]byte
	op, n, err := readHeader(c, &header)
	if err != nil {
		c.t.Fatal(err)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c, payload); err != nil {
		c.t.Fatal(err)
	}
	var answer fields
	if err := cbor.Unmarshal(payload, &answer); err != nil {
		c.t.Fatal(err)
	}
	if bytes.Contains(payload, []byte{0xf6}) && slices.Contains(values(answer), any(nil)) {
		c.t.Fatalf("answer with a null, which ends the JavaScript SDK: %v", answer)
	}
	return op, answer
}

func values(m fields) []any {
	var all []any
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// ask sends a request and gives its answer, which must be of the right operation and
// have the right request id.
func (c *client) ask(op Operation, q fields) fields {
	c.t.Helper()
	if _, ok := q["requestId"]; !ok {
		q["requestId"] = "r1"
	}
	c.send(op, q)
	got, answer := c.hear()
	if got != answers[op] || answer["requestId"] != q["requestId"] {
		c.t.Fatalf("operation %d with id %q was answered by %d: %v", op, q["requestId"], got, answer)
	}
	return answer
}

// must is ask for what succeeds.
func (c *client) must(op Operation, q fields) fields {
	c.t.Helper()
	answer := c.ask(op, q)
	if answer["status"] != uint64(statusSuccess) {
		c.t.Fatalf("operation %d: %v", op, answer)
	}
	return answer
}

// want checks an answer's status.
func want(t testing.TB, answer fields, s status) {
	t.Helper()
	if answer["status"] != uint64(s) {
		t.Errorf("status %v, %v: want %d", answer["status"], answer["errorMessage"], s)
	}
}

// create makes a stream that rejects when full.
func (c *client) create(name string) {
	c.t.Helper()
	c.must(opCreateMessageStream, fields{"definition": fields{"name": name, "strategyOnFull": 0}})
}
