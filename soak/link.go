package soak

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	// writeTimeout ends a connection whose broker reads nothing any more.
	writeTimeout = 10 * time.Second

	// maxPacket is more than any packet here has.
	maxPacket = 1 << 20
)

// The protocol versions.
const (
	v3 = 4 // 3.1.1
	v5 = 5
)

// link is one connection. Packets come in a channel, so that a client can be
// one loop that owns its session's state without a lock.
type link struct {
	socket  net.Conn
	version byte
	// packets is closed when the connection has ended, by either side.
	packets chan packets.Packet
	err     error // why it ended; to be read after packets is closed
	closing chan struct{}
}

func newLink(socket net.Conn, version byte) *link {
	l := &link{
		socket:  socket,
		version: version,
		packets: make(chan packets.Packet, 64),
		closing: make(chan struct{}),
	}
	go l.read()
	return l
}

// close ends the connection without a DISCONNECT, and waits for its reader.
// It is called once.
func (l *link) close() {
	close(l.closing)
	_ = l.socket.Close()
	for range l.packets { // what was not taken is lost, as on a real wire
	}
}

func (l *link) read() {
	defer close(l.packets)
	in := bufio.NewReader(l.socket)
	for {
		pk, err := readPacket(in, l.version)
		if err != nil {
			l.err = err
			return
		}
		select {
		case l.packets <- pk:
		case <-l.closing:
			return
		}
	}
}

func readPacket(in *bufio.Reader, version byte) (packets.Packet, error) {
	pk := packets.Packet{ProtocolVersion: version}
	first, err := in.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, malformed{fmt.Errorf("first byte 0x%02X: %w", first, err)}
	}
	size, _, err := packets.DecodeLength(in)
	if err != nil {
		return pk, err
	}
	if size > maxPacket {
		return pk, malformed{fmt.Errorf("a packet of %d bytes", size)}
	}
	pk.FixedHeader.Remaining = size
	body := make([]byte, size)
	if _, err := io.ReadFull(in, body); err != nil {
		return pk, err
	}
	if err := decodeBody(&pk, body); err != nil {
		return pk, malformed{fmt.Errorf("%s % X: %w", packets.PacketNames[pk.FixedHeader.Type], body, err)}
	}
	return pk, nil
}

// malformed is a packet that no broker may send.
type malformed struct{ error }

func decodeBody(pk *packets.Packet, body []byte) error {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		return pk.ConnackDecode(body)
	case packets.Publish:
		return pk.PublishDecode(body)
	case packets.Puback, packets.Pubrec, packets.Pubrel, packets.Pubcomp:
		return pk.PubackDecode(body)
	case packets.Suback:
		return pk.SubackDecode(body)
	case packets.Unsuback:
		return pk.UnsubackDecode(body)
	case packets.Pingresp:
		return nil
	case packets.Disconnect:
		if len(body) > 0 { // the decoder takes a reason alone for none
			pk.ReasonCode = body[0]
		}
		return nil
	}
	return fmt.Errorf("packet type %d does not come from a broker", pk.FixedHeader.Type)
}

// send writes one packet. An error ends the connection, which the reader tells.
func (l *link) send(pk *packets.Packet) {
	pk.ProtocolVersion = l.version
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		pk.Connect.ProtocolName = []byte("MQTT")
		err = pk.ConnectEncode(&buf)
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Subscribe:
		pk.FixedHeader.Qos = 1
		err = pk.SubscribeEncode(&buf)
	case packets.Unsubscribe:
		pk.FixedHeader.Qos = 1
		err = pk.UnsubscribeEncode(&buf)
	}
	if err != nil {
		panic(fmt.Sprintf("encoding %s: %v", packets.PacketNames[pk.FixedHeader.Type], err)) // our own mistake
	}
	l.write(buf.Bytes())
}

// sendAck writes a PUBACK, PUBREC, PUBREL or PUBCOMP without a reason.
func (l *link) sendAck(kind byte, id uint16) {
	first := kind << 4
	if kind == packets.Pubrel {
		first |= 2
	}
	l.write([]byte{first, 2, byte(id >> 8), byte(id)})
}

func (l *link) sendPing() { l.write([]byte{packets.Pingreq << 4, 0}) }

// sendDisconnect says goodbye: the broker drops the will.
func (l *link) sendDisconnect() { l.write([]byte{packets.Disconnect << 4, 0}) }

func (l *link) write(b []byte) {
	_ = l.socket.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := l.socket.Write(b); err != nil {
		_ = l.socket.Close()
	}
}
