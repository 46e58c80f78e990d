package outage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// answerWithin is the time for a CONNACK or a SUBACK.
	answerWithin = 20 * time.Second
	// redialAfter is the pause after a connection has ended.
	redialAfter = 20 * time.Millisecond
	// sessionExpiry is longer than any run, in seconds.
	sessionExpiry = 24 * 3600
	// window is how many messages may be unacknowledged, each way.
	window = 1000
	// maxPacket is more than any packet here has, in bytes.
	maxPacket = 1 << 20
)

// Dial opens the way to a broker.
type Dial func(ctx context.Context) (net.Conn, error)

// TCP dials an address, host:port.
func TCP(address string) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
}

// conn is one MQTT 5 connection of a session that outlives it.
type conn struct {
	socket  net.Conn
	in      *bufio.Reader
	present bool // the broker knew the session
	// receiveMaximum is how many QoS 1 messages the broker takes at once.
	receiveMaximum int
}

// connect waits for the CONNACK.
func connect(ctx context.Context, dial Dial, id string) (*conn, error) {
	socket, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{socket: socket, in: bufio.NewReaderSize(socket, 64<<10), receiveMaximum: window}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	defer stop()
	if err := c.greet(id); err != nil {
		_ = socket.Close() // of no use
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return c, nil
}

func (c *conn) greet(id string) error {
	pk := packets.Packet{ProtocolVersion: 5, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.ClientIdentifier = id
	pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = sessionExpiry, true
	pk.Properties.ReceiveMaximum = window
	var buf bytes.Buffer
	if err := pk.ConnectEncode(&buf); err != nil {
		return err
	}
	answer, err := c.ask(buf.Bytes(), packets.Connack)
	if err != nil {
		return err
	}
	if answer.ReasonCode != 0 {
		return fmt.Errorf("CONNECT is refused with 0x%02X", answer.ReasonCode)
	}
	c.present = answer.SessionPresent
	if n := int(answer.Properties.ReceiveMaximum); n > 0 {
		c.receiveMaximum = min(n, window)
	}
	return nil
}

// subscribe waits for the SUBACK. What the session holds may come before it, and is
// given to handle.
func (c *conn) subscribe(filter string, handle func(*packets.Packet)) error {
	pk := packets.Packet{
		ProtocolVersion: 5,
		FixedHeader:     packets.FixedHeader{Type: packets.Subscribe, Qos: 1},
		PacketID:        1,
		Filters:         packets.Subscriptions{{Filter: filter, Qos: 1}},
	}
	var buf bytes.Buffer
	if err := pk.SubscribeEncode(&buf); err != nil {
		return err
	}
	if _, err := c.socket.Write(buf.Bytes()); err != nil {
		return err
	}
	for {
		answer, err := c.read()
		if err != nil {
			return err
		}
		if answer.FixedHeader.Type == packets.Suback {
			if len(answer.ReasonCodes) != 1 || answer.ReasonCodes[0] != 1 {
				return fmt.Errorf("SUBSCRIBE %s is answered with % X", filter, answer.ReasonCodes)
			}
			return nil
		}
		handle(answer)
	}
}

// ask waits for the answer of that type, which has to be the next packet.
func (c *conn) ask(question []byte, kind byte) (*packets.Packet, error) {
	if err := c.socket.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		return nil, err
	}
	if _, err := c.socket.Write(question); err != nil {
		return nil, err
	}
	answer, err := c.read()
	if err != nil {
		return nil, err
	}
	if answer.FixedHeader.Type != kind {
		return nil, fmt.Errorf("got %s, want %s", packets.PacketNames[answer.FixedHeader.Type], packets.PacketNames[kind])
	}
	return answer, c.socket.SetReadDeadline(time.Time{})
}

// read waits for the next packet.
func (c *conn) read() (*packets.Packet, error) {
	pk := &packets.Packet{ProtocolVersion: 5}
	first, err := c.in.ReadByte()
	if err != nil {
		return nil, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return nil, err
	}
	size, _, err := packets.DecodeLength(c.in)
	if err != nil {
		return nil, err
	}
	if size > maxPacket {
		return nil, fmt.Errorf("a packet of %d bytes", size)
	}
	pk.FixedHeader.Remaining = size
	body := make([]byte, size)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return nil, err
	}
	return pk, decode(pk, body)
}

func decode(pk *packets.Packet, body []byte) error {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		return pk.ConnackDecode(body)
	case packets.Publish:
		return pk.PublishDecode(body)
	case packets.Puback:
		return pk.PubackDecode(body)
	case packets.Suback:
		return pk.SubackDecode(body)
	case packets.Pingresp:
		return nil
	case packets.Disconnect:
		return errors.New("the broker said DISCONNECT")
	}
	return fmt.Errorf("a broker has no reason to send %s", packets.PacketNames[pk.FixedHeader.Type])
}

// puback acknowledges.
func puback(buf []byte, id uint16) []byte {
	return append(buf, packets.Puback<<4, 2, byte(id>>8), byte(id))
}

// sleep waits, but not beyond ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
