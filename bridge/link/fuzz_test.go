package link

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// FuzzFarSide: whatever a far side says, in place of its CONNACK and behind it, ends
// the connection at worst, and with a reason.
func FuzzFarSide(f *testing.F) {
	welcome := (&wire.Acceptance{Version: 5, TopicAliasMaximum: 3}).Append(nil)
	down := (&wire.Outgoing{Topic: "a", QoS: 1, ID: 1, Payload: []byte("x"), Version: 5, Properties: []byte{3, 0, 1, 'c'}}).Append(nil)
	f.Add(byte(5), append(welcome, down...))
	f.Add(byte(5), append(welcome, wire.AppendRefusal(nil, wire.Puback, 1, wire.NotAuthorized, "no")...))
	f.Add(byte(5), append(welcome, 0x90, 4, 0xFD, 0xE9, 0, 1, 0xB0, 4, 0xFD, 0xEA, 0, 0, 0xD0, 0, 0xE0, 1, 0x8B))
	f.Add(byte(5), []byte{0x20, 9, 0, 0x89, 6, 31, 0, 3, 'n', 'o', 'w'})
	f.Add(byte(5), []byte{0x20, 2, 0, 1})
	f.Add(byte(4), append([]byte{0x20, 2, 1, 0, 0x90, 3, 0xFD, 0xE9, 1, 0xB0, 2, 0xFD, 0xEA, 0xD0, 0}, 0x32, 6, 0, 1, 'a', 0, 1, 'x', 0x40, 2, 0, 1))
	config := Config{MaxPacket: 1 << 16, ReceiveMaximum: 4, PingTimeout: 1 << 40, KeepAlive: 1 << 40, ConnectTimeout: 1 << 40}
	f.Fuzz(func(t *testing.T, version byte, says []byte) {
		d := dialect(v5{})
		if version != 5 {
			d = v311{}
		}
		here, there := net.Pipe()
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			_, _ = io.Copy(io.Discard, there) // until the link closes
		}()
		go func() {
			_, _ = there.Write(says)
			there.Close()
		}()
		defer func() {
			here.Close()
			<-heard
		}()
		in := newReader(here, int(config.MaxPacket))
		a, err := greet(here, in, d, &hello{clientID: "car"})
		if err != nil {
			return
		}
		h := &asking{}
		one := newConnection(here, in, d, a, &config, time.Hour, 1, h)
		before := make(chan struct{})
		close(before)
		if err := one.run(context.Background(), before); err == nil || h.lost == nil {
			t.Errorf("ended with %v, told %v", err, h.lost)
		}
		<-one.delivered
		<-h.asked
	})
}

// asking subscribes, so that there are answers to come.
type asking struct {
	deaf
	asked chan struct{}
	lost  error
}

func (a *asking) Connected(c Conn, _ Session) {
	a.asked = make(chan struct{})
	go func() {
		defer close(a.asked)
		_, err := c.Subscribe(context.Background(), []Subscription{{Filter: "#", QoS: 1}})
		err = errors.Join(err, c.Unsubscribe(context.Background(), []string{"#"}))
		slog.Debug("asked", "error", err)
	}()
	_, _ = c.Publish(&Publish{ID: 1, Message: message.Message{Topic: "a", QoS: 1}})
}

func (a *asking) Lost(err error) { a.lost = err }
