package link

import (
	"bytes"
	"fmt"

	"github.com/eclipse/paho.golang/packets"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// v5 is MQTT 5.0.
type v5 struct{}

func (v5) version() byte { return 5 }

func (v5) connect(h *hello) ([]byte, error) {
	p := &packets.Connect{
		ProtocolName:    "MQTT",
		ProtocolVersion: 5,
		ClientID:        h.clientID,
		Username:        h.username,
		UsernameFlag:    h.username != "",
		Password:        []byte(h.password),
		PasswordFlag:    h.password != "",
		KeepAlive:       h.keepAlive,
		CleanStart:      h.clean,
		Properties: &packets.Properties{
			SessionExpiryInterval: &h.sessionExpiry,
			ReceiveMaximum:        &h.receiveMaximum,
			MaximumPacketSize:     &h.maximumPacket,
		},
	}
	if w := h.will; w != nil {
		p.WillFlag, p.WillTopic, p.WillMessage, p.WillQOS, p.WillRetain = true, w.Topic, w.Payload, w.QoS, w.Retain
		p.WillProperties = willProperties(w)
	}
	return written(p)
}

func willProperties(w *message.Message) *packets.Properties {
	p := &packets.Properties{ContentType: w.ContentType, ResponseTopic: w.ResponseTopic, CorrelationData: w.CorrelationData}
	if w.PayloadUTF8 {
		text := byte(1)
		p.PayloadFormat = &text
	}
	if w.Expiry > 0 {
		p.MessageExpiry = &w.Expiry
	}
	for _, u := range w.UserProperties {
		p.User = append(p.User, packets.User{Key: u.Name, Value: u.Value})
	}
	return p
}

func (v5) connack(body []byte) (accepted, error) {
	if len(body) == 2 { // 3.1.1's, which has no properties: so answers who knows no 5
		return accepted{}, &Refusal{Version: 4, Code: body[1]}
	}
	p := &packets.Connack{Properties: &packets.Properties{}}
	if err := p.Unpack(bytes.NewBuffer(body)); err != nil {
		return accepted{}, fmt.Errorf("CONNACK: %w", err)
	}
	if p.ReasonCode != 0 {
		return accepted{}, &Refusal{Version: 5, Code: p.ReasonCode, Reason: p.Properties.ReasonString}
	}
	props := p.Properties
	a := accepted{
		Session: Session{
			Version:           5,
			Present:           p.SessionPresent,
			ReceiveMaximum:    min(int(or(props.ReceiveMaximum, 65535)), MaxID),
			MaximumPacket:     int(or(props.MaximumPacketSize, 0)),
			MaximumQoS:        or(props.MaximumQOS, 2),
			RetainAvailable:   or(props.RetainAvailable, 1) == 1,
			TopicAliasMaximum: int(or(props.TopicAliasMaximum, 0)),
		},
		keepAlive: or(props.ServerKeepAlive, 0),
	}
	return a, nil
}

// or is a property, or what its absence stands for.
func or[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

func (v5) subscribe(id uint16, subs []Subscription) ([]byte, error) {
	p := &packets.Subscribe{PacketID: id, Properties: &packets.Properties{}}
	for _, s := range subs {
		p.Subscriptions = append(p.Subscriptions, packets.SubOptions{
			Topic:   s.Filter,
			QoS:     s.QoS,
			NoLocal: s.NoLocal,
			// Whether a message was retained is for the rule to pass on; what is there
			// comes once a session, not at each connection.
			RetainAsPublished: true,
			RetainHandling:    packets.RetainSendOnSubscribeIfNew,
		})
	}
	return written(p)
}

func (v5) unsubscribe(id uint16, filters []string) ([]byte, error) {
	return written(&packets.Unsubscribe{PacketID: id, Topics: filters, Properties: &packets.Properties{}})
}

func (v5) answered(kind byte, body []byte) (id uint16, codes []byte, err error) {
	if kind == packets.SUBACK {
		p := &packets.Suback{Properties: &packets.Properties{}}
		err = p.Unpack(bytes.NewBuffer(bytes.Clone(body))) // the library keeps a part of it
		return p.PacketID, p.Reasons, err
	}
	p := &packets.Unsuback{Properties: &packets.Properties{}}
	err = p.Unpack(bytes.NewBuffer(bytes.Clone(body)))
	return p.PacketID, p.Reasons, err
}

func (v5) reason(body []byte) string {
	p := &packets.Puback{Properties: &packets.Properties{}}
	if len(body) < 4 || p.Unpack(bytes.NewBuffer(body)) != nil {
		return "" // the code is enough
	}
	return p.Properties.ReasonString
}

func (v5) farewell(body []byte) error {
	switch {
	case len(body) == 0:
		return &Farewell{}
	case len(body) == 1:
		return &Farewell{Code: body[0]}
	}
	p := &packets.Disconnect{Properties: &packets.Properties{}}
	if err := p.Unpack(bytes.NewBuffer(body)); err != nil {
		return &Farewell{Code: body[0]} // that is what it wanted to say
	}
	return &Farewell{Code: p.ReasonCode, Reason: p.Properties.ReasonString}
}

func (v5) goodbye() []byte { return []byte{packets.DISCONNECT << 4, 0} }

// written is a packet of the library as bytes.
func written(p packets.Packet) ([]byte, error) {
	return packed(func(b *bytes.Buffer) error {
		_, err := p.WriteTo(b)
		return err
	})
}
