package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// client is one MQTT 3.1.1 connection. It ends with its context.
type client struct {
	net.Conn
	in *bufio.Reader
}

// connect opens a connection and waits for CONNACK.
func connect(ctx context.Context, address, id string) (*client, error) {
	socket, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: socket, in: bufio.NewReaderSize(socket, 64<<10)}
	context.AfterFunc(ctx, func() { _ = socket.Close() })
	return c, c.shakeHands(id)
}

func (c *client) shakeHands(id string) error {
	pk := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect.ProtocolName, pk.Connect.ClientIdentifier, pk.Connect.Clean = []byte("MQTT"), id, true
	if err := c.send(pk.ConnectEncode); err != nil {
		return err
	}
	_, body, err := c.packet()
	if err == nil && (len(body) != 2 || body[1] != 0) {
		return fmt.Errorf("CONNACK % x", body)
	}
	return err
}

// send writes one packet.
func (c *client) send(encode func(*bytes.Buffer) error) error {
	var buf bytes.Buffer
	if err := encode(&buf); err != nil {
		return err
	}
	_, err := c.Write(buf.Bytes())
	return err
}

// packet reads the next one.
func (c *client) packet() (kind byte, body []byte, err error) {
	first, err := c.in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(c.in) // the coding is the same (MQTT 5.0 §1.5.5)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return first >> 4, body, err
}

// await reads until a packet of that kind, and gives how many others came before.
func (c *client) await(kind byte) (others uint64, err error) {
	for {
		got, _, err := c.packet()
		if err != nil || got == kind {
			return others, err
		}
		others++
	}
}

// subscribe asks and does not wait for the answer.
func (c *client) subscribe(qos byte, filters ...string) error {
	pk := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 1}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: qos})
	}
	return c.send(pk.SubscribeEncode)
}

func (c *client) unsubscribe(filters ...string) error {
	pk := packets.Packet{ProtocolVersion: 4, FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe, Qos: 1}, PacketID: 2}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f})
	}
	return c.send(pk.UnsubscribeEncode)
}

// appendPublish encodes a PUBLISH. Packet id 1 serves for all of QoS 1: a broker
// acknowledges each by itself.
func appendPublish(buf []byte, topic string, payload []byte, qos byte, retain bool) []byte {
	first, length := byte(packets.Publish<<4)|qos<<1, 2+len(topic)+len(payload)
	if retain {
		first |= 1
	}
	if qos > 0 {
		length += 2
	}
	buf = binary.AppendUvarint(append(buf, first), uint64(length))
	buf = append(binary.BigEndian.AppendUint16(buf, uint16(len(topic))), topic...)
	if qos > 0 {
		buf = append(buf, 0, 1)
	}
	return append(buf, payload...)
}

// fill publishes n retained messages, each on a topic of its own, and waits until
// the broker has them.
func fill(ctx context.Context, address string, n int) error {
	const batch = 500
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	c, err := connect(ctx, address, "fill")
	if err != nil {
		return err
	}
	defer c.Close()
	var buf []byte
	for i := 0; i < n; {
		sent := min(batch, n-i)
		buf = buf[:0]
		for range sent {
			buf = appendPublish(buf, bulkTopic(i), []byte("a retained value"), 1, true)
			i++
		}
		if _, err := c.Write(buf); err != nil {
			return err
		}
		for range sent {
			if _, err := c.await(packets.Puback); err != nil {
				return err
			}
		}
	}
	return nil
}

// bulkTopic is the i-th of many topics, a thousand to a branch.
func bulkTopic(i int) string { return fmt.Sprintf("bulk/%d/%d/state", i/1000, i%1000) }
