package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// First bytes of the packets that the load reads and writes itself (MQTT 5.0
// §2.1.2); the codec has the others.
const (
	publishByte  = packets.Publish << 4
	pubackByte   = packets.Puback << 4
	pubrecByte   = packets.Pubrec << 4
	pubrelByte   = packets.Pubrel<<4 | 2 // reserved bits [MQTT-3.6.1-1]
	pubcompByte  = packets.Pubcomp << 4
	retainFlag   = 1
	failureCodes = 0x80 // reason codes from here on
)

// keptFor is how long a broker keeps the session of a run that died before it
// could remove it.
const keptFor = 24 * time.Hour

// client is one connection. One goroutine reads; any may write whole packets.
type client struct {
	socket  net.Conn
	in      stream
	name    string // "publisher 3", for errors
	version byte

	present        bool   // the broker knew the session
	keepAlive      uint16 // seconds, 0 for none
	receiveMaximum int    // how many QoS 1 and 2 messages the broker takes at once
}

// What a connection has to do with its session.
type sessionUse int

const (
	passing sessionUse = iota // begins anew and ends with the connection
	kept                      // goes on, and outlives the connection
)

// connect opens a connection and waits for CONNACK.
func (o *Options) connect(ctx context.Context, name, id string, use sessionUse) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	socket, err := o.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &client{socket: socket, name: name, version: o.Version, keepAlive: o.KeepAlive, receiveMaximum: 65535}
	c.in.from = socket
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	err = c.shakeHands(o, id, use)
	if !stop() && err == nil { // the deadline may be set: the connection is of no use
		err = ctx.Err()
	}
	if err != nil {
		_ = socket.Close() // it did not come about
		if ctx.Err() != nil {
			err = fmt.Errorf("no CONNACK: %w", ctx.Err())
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (c *client) shakeHands(o *Options, id string, use sessionUse) error {
	pk := packets.Packet{ProtocolVersion: c.version, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.ClientIdentifier = id
	pk.Connect.Keepalive = o.KeepAlive
	pk.Connect.Clean = use == passing
	pk.Connect.UsernameFlag, pk.Connect.Username = o.User != "", []byte(o.User)
	pk.Connect.PasswordFlag, pk.Connect.Password = len(o.Password) > 0, o.Password
	if use == kept {
		pk.Properties.SessionExpiryIntervalFlag = true
		pk.Properties.SessionExpiryInterval = uint32(keptFor / time.Second)
	}
	var buf bytes.Buffer
	if err := pk.ConnectEncode(&buf); err != nil {
		return err
	}
	if _, err := c.socket.Write(buf.Bytes()); err != nil {
		return err
	}
	answer, err := c.answer(packets.Connack)
	if err != nil {
		return err
	}
	if err := answer.ConnackDecode(c.in.body); err != nil {
		return fmt.Errorf("CONNACK: %w", err)
	}
	if answer.ReasonCode != 0 {
		return fmt.Errorf("the broker refused the connection: reason 0x%02X", answer.ReasonCode)
	}
	c.present = answer.SessionPresent
	if p := &answer.Properties; p.ServerKeepAliveFlag {
		c.keepAlive = p.ServerKeepAlive
	}
	if n := answer.Properties.ReceiveMaximum; n > 0 {
		c.receiveMaximum = int(n)
	}
	return nil
}

// answer reads the next packet, which must be of that kind, and gives its header.
func (c *client) answer(kind byte) (packets.Packet, error) {
	for !c.in.next() {
		if err := c.in.fill(); err != nil {
			return packets.Packet{}, err
		}
	}
	if c.in.first>>4 != kind {
		if c.in.first>>4 == packets.Publish {
			return packets.Packet{}, errors.New("messages of somebody else come here: want a topic prefix that nobody uses")
		}
		return packets.Packet{}, c.unexpected()
	}
	return packets.Packet{
		ProtocolVersion: c.version,
		FixedHeader:     packets.FixedHeader{Type: kind, Remaining: len(c.in.body)},
	}, nil
}

// unexpected is the error of a packet that has no place here.
func (c *client) unexpected() error {
	kind := c.in.first >> 4
	if kind == packets.Disconnect {
		reason := byte(0)
		if len(c.in.body) > 0 {
			reason = c.in.body[0]
		}
		return fmt.Errorf("the broker ended the connection: reason 0x%02X", reason)
	}
	return fmt.Errorf("the broker sent %s, which has no place here", packets.PacketNames[kind])
}

// subscribe waits for SUBACK. Nothing may have been subscribed to before.
func (c *client) subscribe(filter string, qos byte) error {
	pk := packets.Packet{
		ProtocolVersion: c.version,
		FixedHeader:     packets.FixedHeader{Type: packets.Subscribe, Qos: 1},
		PacketID:        1,
		Filters:         packets.Subscriptions{{Filter: filter, Qos: qos}},
	}
	var buf bytes.Buffer
	if err := pk.SubscribeEncode(&buf); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if err := c.ask(buf.Bytes(), packets.Suback, func(answer *packets.Packet) error {
		if err := answer.SubackDecode(c.in.body); err != nil {
			return fmt.Errorf("SUBACK: %w", err)
		}
		if len(answer.ReasonCodes) != 1 {
			return fmt.Errorf("SUBACK with %d reasons for one filter", len(answer.ReasonCodes))
		}
		if granted := answer.ReasonCodes[0]; granted >= failureCodes {
			return fmt.Errorf("the broker refused the subscription: reason 0x%02X", granted)
		} else if granted != qos {
			return fmt.Errorf("the broker grants QoS %d, not %d", granted, qos)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("%s: %s: %w", c.name, filter, err)
	}
	return nil
}

// ping waits for PINGRESP.
func (c *client) ping() error {
	return c.ask(pingreq, packets.Pingresp, func(*packets.Packet) error { return nil })
}

var (
	pingreq    = []byte{packets.Pingreq << 4, 0}
	disconnect = []byte{packets.Disconnect << 4, 0}
)

func (c *client) ask(question []byte, kind byte, understand func(*packets.Packet) error) error {
	if err := c.socket.SetDeadline(time.Now().Add(connectWithin)); err != nil {
		return err
	}
	if _, err := c.socket.Write(question); err != nil {
		return err
	}
	answer, err := c.answer(kind)
	if err != nil {
		return err
	}
	if err := understand(&answer); err != nil {
		return err
	}
	return c.socket.SetDeadline(time.Time{})
}

// goodbyeWithin is how long a broker may take to close a connection after
// DISCONNECT. That it does is a SHOULD (MQTT 3.1.1 §3.14.4).
const goodbyeWithin = 2 * time.Second

// goodbye says DISCONNECT and waits until the broker has closed the connection:
// then it has handled all that came before.
func (c *client) goodbye() {
	defer c.socket.Close()
	if c.socket.SetDeadline(time.Now().Add(goodbyeWithin)) != nil {
		return
	}
	if _, err := c.socket.Write(disconnect); err != nil {
		return
	}
	for err := error(nil); err == nil; err = c.in.fill() {
		c.in.r = c.in.w // what is still under way concerns nobody
	}
}
