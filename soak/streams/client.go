package streams

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/fxamacker/cbor/v2"
)

// Client is a client of the Stream Manager protocol, version 1.1.0, that waits for each
// answer, as the public SDKs do. It is for one goroutine.
type Client struct {
	conn io.ReadWriteCloser
	in   *bufio.Reader
	out  []byte
}

// Message is one that was read.
type Message struct {
	SequenceNumber int64  `cbor:"sequenceNumber"`
	IngestTime     int64  `cbor:"ingestTime"` // ms since 1970
	Payload        []byte `cbor:"payload"`
}

// connectVersion is the byte that a connection begins with, in both directions.
const connectVersion = 1

// Operations of the protocol.
const (
	connect       = 1
	createStream  = 2
	appendMessage = 4
	readMessages  = 5
)

// maxAnswer is the longest answer, in bytes.
const maxAnswer = 16 << 20

// notEnough is the status of a read beyond the end.
const notEnough = 13

// ErrNotEnough says that there are no messages to read.
var ErrNotEnough = errors.New("there are not enough messages")

// answer is what any answer may have.
type answer struct {
	Status         int       `cbor:"status"`
	ErrorMessage   string    `cbor:"errorMessage"`
	SequenceNumber uint64    `cbor:"sequenceNumber"`
	Messages       []Message `cbor:"messages"`
}

// Dial connects to a gateway's port of the protocol.
func Dial(address string) (*Client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// NewClient introduces itself over a connection that stands.
func NewClient(conn io.ReadWriteCloser) (*Client, error) {
	c := &Client{conn: conn, in: bufio.NewReader(conn)}
	if _, err := conn.Write([]byte{connectVersion}); err != nil {
		return nil, err
	}
	// It is sent back together with the answer.
	hello := map[string]any{"requestId": "connect", "protocolVersion": "1.1.0", "sdkVersion": "1.1.0"}
	if err := c.send(connect, hello); err != nil {
		return nil, err
	}
	if version, err := c.in.ReadByte(); err != nil || version != connectVersion {
		return nil, errors.Join(fmt.Errorf("stream manager: version %d to connect: want %d", version, connectVersion), err)
	}
	_, err := c.hear(connect)
	return c, err
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Create makes a stream that refuses messages when it is full.
func (c *Client) Create(name string, size int64, flush bool) error {
	_, err := c.ask(createStream, map[string]any{"requestId": "create", "definition": map[string]any{
		"name": name, "maxSize": size, "strategyOnFull": 0, "flushOnWrite": flush}})
	return err
}

// Append appends a message, and gives its sequence once it is acknowledged.
func (c *Client) Append(name string, payload []byte) (uint64, error) {
	a, err := c.ask(appendMessage, map[string]any{"requestId": "append", "name": name, "payload": payload})
	return a.SequenceNumber, err
}

// Read gives messages from a sequence on, at least one; the error is ErrNotEnough if
// there is none.
func (c *Client) Read(name string, from uint64, most int) ([]Message, error) {
	a, err := c.ask(readMessages, map[string]any{"requestId": "read", "streamName": name, "readMessagesOptions": map[string]any{
		"desiredStartSequenceNumber": from, "minMessageCount": 1, "maxMessageCount": most}})
	if a.Status == notEnough {
		return nil, ErrNotEnough
	}
	return a.Messages, err
}

// ask sends a request and waits for its answer.
func (c *Client) ask(operation byte, request map[string]any) (answer, error) {
	if err := c.send(operation, request); err != nil {
		return answer{}, err
	}
	return c.hear(operation)
}

func (c *Client) send(operation byte, request map[string]any) error {
	payload, err := cbor.Marshal(request)
	if err != nil {
		return err
	}
	c.out = binary.BigEndian.AppendUint32(c.out[:0], uint32(len(payload)+1))
	c.out = append(append(c.out, operation), payload...)
	_, err = c.conn.Write(c.out)
	return err
}

// hear waits for the answer to an operation.
func (c *Client) hear(operation byte) (a answer, err error) {
	var head [5]byte // a length, which counts what follows it, and an operation
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return a, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < 1 || length > maxAnswer {
		return a, fmt.Errorf("stream manager: operation %d: an answer of %d bytes: want at most %d", operation, length, maxAnswer)
	}
	body := make([]byte, length-1)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return a, err
	}
	if err := cbor.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("stream manager: operation %d: %w", operation, err)
	}
	if a.Status != 0 {
		return a, fmt.Errorf("stream manager: operation %d: status %d: %s", operation, a.Status, a.ErrorMessage)
	}
	return a, nil
}
