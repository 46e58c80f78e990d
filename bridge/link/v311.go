package link

import (
	"bytes"
	"errors"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// v311 is MQTT 3.1.1.
type v311 struct{}

func (v311) version() byte { return 4 }

func (v311) connect(h *hello) ([]byte, error) {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion = "MQTT", 4
	p.ClientIdentifier = h.clientID
	p.Username, p.UsernameFlag = h.username, h.username != ""
	p.Password, p.PasswordFlag = []byte(h.password), h.password != ""
	p.Keepalive = h.keepAlive
	p.CleanSession = h.clean
	if w := h.will; w != nil {
		p.WillFlag, p.WillTopic, p.WillMessage, p.WillQos, p.WillRetain = true, w.Topic, w.Payload, w.QoS, w.Retain
	}
	return packed(func(b *bytes.Buffer) error { return p.Write(b) })
}

func (v311) connack(body []byte) (accepted, error) {
	if len(body) != 2 {
		return accepted{}, errors.New("CONNACK is not that of 3.1.1")
	}
	p := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	if err := p.Unpack(bytes.NewReader(body)); err != nil {
		return accepted{}, err
	}
	if p.ReturnCode != packets.Accepted {
		return accepted{}, &Refusal{Version: 4, Code: p.ReturnCode}
	}
	return accepted{Session: Session{
		Version:         4,
		Present:         p.SessionPresent,
		ReceiveMaximum:  MaxID,
		MaximumQoS:      2,
		RetainAvailable: true,
	}}, nil
}

func (v311) subscribe(id uint16, subs []Subscription) ([]byte, error) {
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID = id
	for _, s := range subs {
		p.Topics, p.Qoss = append(p.Topics, s.Filter), append(p.Qoss, s.QoS)
	}
	return packed(func(b *bytes.Buffer) error { return p.Write(b) })
}

func (v311) unsubscribe(id uint16, filters []string) ([]byte, error) {
	p := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	p.MessageID, p.Topics = id, filters
	return packed(func(b *bytes.Buffer) error { return p.Write(b) })
}

func (v311) answered(_ byte, body []byte) (id uint16, codes []byte, err error) {
	if len(body) < 2 { // the library reads on behind the end
		return 0, nil, errCutShort
	}
	p := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket) // an UNSUBACK has no codes
	err = p.Unpack(bytes.NewReader(body))
	return p.MessageID, p.ReturnCodes, err
}

func (v311) reason([]byte) string { return "" }

func (v311) farewell([]byte) error { return errors.New("DISCONNECT of a far side that speaks 3.1.1") }

func (v311) goodbye() []byte { return []byte{packets.Disconnect << 4, 0} }
