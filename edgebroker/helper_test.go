package edgebroker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/store"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type testConfig struct {
	Broker Config      `yaml:"broker"`
	Auth   auth.Config `yaml:"auth"`
	clock  *clock.Clock

	methods map[string]auth.Method
}

func decode(t testing.TB, text string) testConfig {
	t.Helper()
	var cfg testConfig
	if _, err := config.Decode("test.yaml", []byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

const loopback = `
broker:
  listeners: [{name: local, address: "127.0.0.1:0"}]
`

// start runs a broker until the test ends.
func start(t testing.TB, text string) *Broker {
	t.Helper()
	b, stop := startOn(t, decode(t, text), t.TempDir())
	t.Cleanup(stop)
	return b
}

// startOn runs a broker on what a folder holds, until it is stopped.
func startOn(t testing.TB, cfg testConfig, folder string) (b *Broker, stop func()) {
	t.Helper()
	b, err := New(cfg.Broker, Options{Policy: auth.New(cfg.Auth), Clock: cfg.clock, Methods: cfg.methods, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	st := openStore(t, folder)
	b.Open(st)
	b.Serve()
	return b, func() {
		closeBroker(t, b)
		closeStore(t, st)
	}
}

func openStore(t testing.TB, path string) *store.Store {
	t.Helper()
	st, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func closeStore(t testing.TB, st *store.Store) {
	t.Helper()
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

func closeBroker(t testing.TB, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// address is where the listener of that name is bound.
func address(t testing.TB, b *Broker, name string) string {
	t.Helper()
	for _, l := range b.Listeners() {
		if l.Name == name {
			return l.Address
		}
	}
	t.Fatalf("no listener %q", name)
	return ""
}

// eventually waits for a state that no event tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about in %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// client speaks MQTT packet by packet, right or wrong.
type client struct {
	t       testing.TB
	socket  net.Conn
	in      *bufio.Reader
	version byte
}

// received is a packet of the broker.
type received struct {
	kind    wire.Kind
	first   byte
	body    []byte
	topic   string
	payload string
	id      uint16
	qos     byte
	retain  bool
	dup     bool
	ids     []int
	props   packets.Properties
	reasons []wire.Reason
	present bool
}

func dial(t testing.TB, b *Broker, version byte) *client {
	t.Helper()
	return dialAt(t, address(t, b, "local"), version)
}

func dialAt(t testing.TB, address string, version byte) *client {
	t.Helper()
	socket, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, socket, version)
}

func newClient(t testing.TB, socket net.Conn, version byte) *client {
	t.Cleanup(func() { socket.Close() })
	return &client{t: t, socket: socket, in: bufio.NewReader(socket), version: version}
}

// connect dials and sends a CONNECT that change may change; it wants success.
func connect(t testing.TB, b *Broker, version byte, id string, change ...func(*packets.Packet)) *client {
	t.Helper()
	c := dial(t, b, version)
	if ack := c.connect(id, change...); ack.reasons[0] != wire.Success {
		t.Fatalf("CONNACK 0x%02X for %s", ack.reasons[0], id)
	}
	return c
}

func (c *client) connect(id string, change ...func(*packets.Packet)) received {
	c.t.Helper()
	c.sendConnect(id, change...)
	return c.expect(wire.Connack)
}

func (c *client) sendConnect(id string, change ...func(*packets.Packet)) {
	c.t.Helper()
	pk := packets.Packet{ProtocolVersion: c.version, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.ClientIdentifier = id
	pk.Connect.Clean = true
	for _, f := range change {
		f(&pk)
	}
	c.sendPacket(&pk)
}

// keep asks for a session that outlives the connection.
func keep(pk *packets.Packet) {
	pk.Connect.Clean = false
	pk.Properties.SessionExpiryInterval = 3600
	pk.Properties.SessionExpiryIntervalFlag = true
}

func (c *client) sendPacket(pk *packets.Packet) {
	c.t.Helper()
	pk.ProtocolVersion = c.version
	pk.Mods.AllowResponseInfo = true // else the encoder leaves out the response topic
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectEncode(&buf)
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Subscribe:
		pk.FixedHeader.Qos = 1
		err = pk.SubscribeEncode(&buf)
	case packets.Unsubscribe:
		pk.FixedHeader.Qos = 1
		err = pk.UnsubscribeEncode(&buf)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&buf)
	case packets.Auth:
		err = pk.AuthEncode(&buf)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(buf.Bytes()...)
}

func (c *client) send(b ...byte) {
	c.t.Helper()
	if _, err := c.socket.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) publish(qos byte, id uint16, topic, payload string, change ...func(*packets.Packet)) {
	c.t.Helper()
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
		PacketID:    id, TopicName: topic, Payload: []byte(payload),
	}
	for _, f := range change {
		f(&pk)
	}
	c.sendPacket(&pk)
}

func retaining(pk *packets.Packet) { pk.FixedHeader.Retain = true }

func repeated(pk *packets.Packet) { pk.FixedHeader.Dup = true }

// subscribe gives the reason of SUBACK.
func (c *client) subscribe(filter string, qos byte, change ...func(*packets.Subscription)) wire.Reason {
	c.t.Helper()
	c.requestSubscription(7, filter, qos, change...)
	return c.expect(wire.Suback).reasons[0]
}

func (c *client) requestSubscription(id uint16, filter string, qos byte, change ...func(*packets.Subscription)) {
	c.t.Helper()
	sub := packets.Subscription{Filter: filter, Qos: qos}
	for _, f := range change {
		f(&sub)
	}
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: id, Filters: packets.Subscriptions{sub}}
	if sub.Identifier > 0 {
		pk.Properties.SubscriptionIdentifier = []int{sub.Identifier}
	}
	c.sendPacket(&pk)
}

func (c *client) unsubscribe(filters ...string) received {
	c.t.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 6}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f})
	}
	c.sendPacket(&pk)
	return c.expect(wire.Unsuback)
}

func (c *client) ack(kind wire.Kind, id uint16) {
	c.t.Helper()
	c.send(wire.AppendAck(nil, kind, id, 0, c.version)...)
}

// ping proves that everything sent before was handled: answers keep order.
func (c *client) ping() {
	c.t.Helper()
	c.send(byte(wire.Pingreq)<<4, 0)
	c.expect(wire.Pingresp)
}

func (c *client) goodbye() {
	c.t.Helper()
	c.send(byte(wire.Disconnect)<<4, 0)
	c.closed()
}

// read is the next packet, or an error when the connection ended.
func (c *client) read() (r received, err error) {
	_ = c.socket.SetReadDeadline(time.Now().Add(patience))
	first, body, err := readPacket(c.in)
	if err != nil {
		return r, err
	}
	r = received{kind: wire.Kind(first >> 4), first: first, body: body}
	pk := packets.Packet{ProtocolVersion: c.version}
	pk.FixedHeader.Type, pk.FixedHeader.Remaining = first>>4, len(body)
	switch r.kind {
	case wire.Publish:
		_ = pk.FixedHeader.Decode(first)
		if err := pk.PublishDecode(body); err != nil {
			return r, err
		}
		r.topic, r.payload, r.id = pk.TopicName, string(pk.Payload), pk.PacketID
		r.qos, r.retain, r.dup = pk.FixedHeader.Qos, pk.FixedHeader.Retain, pk.FixedHeader.Dup
		r.ids = pk.Properties.SubscriptionIdentifier
	case wire.Puback, wire.Pubrec, wire.Pubrel, wire.Pubcomp:
		err = pk.PubackDecode(body)
		r.id, r.reasons = pk.PacketID, []wire.Reason{wire.Reason(pk.ReasonCode)}
	case wire.Suback:
		err = pk.SubackDecode(body)
		r.id, r.reasons = pk.PacketID, reasonsFrom(pk.ReasonCodes)
	case wire.Unsuback:
		err = pk.UnsubackDecode(body)
		r.id, r.reasons = pk.PacketID, reasonsFrom(pk.ReasonCodes)
	case wire.Connack:
		err = pk.ConnackDecode(body)
		r.present, r.reasons = pk.SessionPresent, []wire.Reason{wire.Reason(pk.ReasonCode)}
	case wire.Disconnect:
		r.reasons = []wire.Reason{0}
		if len(body) > 0 {
			r.reasons[0] = wire.Reason(body[0])
		}
		if len(body) > 1 {
			err = pk.DisconnectDecode(body)
		}
	case wire.Auth:
		err = pk.AuthDecode(body)
		r.reasons = []wire.Reason{wire.Reason(pk.ReasonCode)}
	}
	r.props = pk.Properties
	return r, err
}

// readPacket reads a packet from a stream.
func readPacket(in *bufio.Reader) (first byte, body []byte, err error) {
	if first, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(in, body)
	return first, body, err
}

func reasonsFrom(codes []byte) (reasons []wire.Reason) {
	for _, code := range codes {
		reasons = append(reasons, wire.Reason(code))
	}
	return reasons
}

func (c *client) expect(kind wire.Kind) received {
	c.t.Helper()
	r, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for packet type %d: %v", kind, err)
	}
	if r.kind != kind {
		c.t.Fatalf("packet type %d (% X), want %d", r.kind, r.body, kind)
	}
	return r
}

// expectPublish wants a message and acknowledges it if it has QoS 1.
func (c *client) expectPublish(topic, payload string) received {
	c.t.Helper()
	r := c.expect(wire.Publish)
	if r.topic != topic || r.payload != payload {
		c.t.Fatalf("got %s %q, want %s %q", r.topic, r.payload, topic, payload)
	}
	if r.qos == 1 {
		c.ack(wire.Puback, r.id)
	}
	return r
}

// closed wants the connection to end without another packet.
func (c *client) closed() {
	c.t.Helper()
	if r, err := c.read(); err == nil {
		c.t.Fatalf("packet type %d (% X), want the end of the connection", r.kind, r.body)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the connection did not end")
	}
	_ = c.socket.Close()
}
