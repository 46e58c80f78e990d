package wire

import (
	"errors"

	"github.com/mochi-mqtt/server/v2/packets"
)

// This file is the only one that knows mochi: its decoders turn the body of a
// packet into fields.

// Packet is a decoded CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT or
// AUTH. Its strings and slices are parts of the body it was decoded from.
type Packet = packets.Packet

// Decode decodes a body. A decoder that panics, as mochi's does for a SUBSCRIBE
// that ends after a filter, has met a malformed packet. An error is a *Broken.
func Decode(first byte, body []byte, version byte) (pk *Packet, err error) {
	kind := Kind(first >> 4)
	defer func() {
		if recover() != nil {
			pk, err = nil, cutShort(kind)
		}
	}()
	if err := checkBody(first, body, version); err != nil {
		return nil, err
	}
	pk = &Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return nil, decodeError(kind, err)
	}
	pk.FixedHeader.Remaining = len(body)
	switch kind {
	case Connect:
		err = pk.ConnectDecode(body)
	case Subscribe:
		err = pk.SubscribeDecode(body)
	case Unsubscribe:
		err = pk.UnsubscribeDecode(body)
	case Pingreq:
	case Disconnect:
		err = pk.DisconnectDecode(body)
		if version == 5 && len(body) == 1 { // a reason without properties
			pk.ReasonCode = body[0]
		}
	case Auth:
		err = pk.AuthDecode(body)
	default:
		return nil, Break(ProtocolError, "packet type %d: want one that a client sends", kind)
	}
	if err != nil {
		return nil, decodeError(kind, err)
	}
	return pk, nil
}

func decodeError(kind Kind, err error) error {
	reason := Malformed
	var code packets.Code
	if errors.As(err, &code) && Reason(code.Code).Failed() {
		reason = Reason(code.Code)
	}
	return Break(reason, "packet type %d: %v", kind, err)
}

// WillProperties are the properties of a CONNECT's will.
func WillProperties(pk *Packet) (p Properties) {
	w := &pk.Connect.WillProperties
	p.PayloadUTF8 = w.PayloadFormatFlag && w.PayloadFormat == 1
	p.ContentType, p.ResponseTopic, p.CorrelationData = w.ContentType, w.ResponseTopic, w.CorrelationData
	for _, u := range w.User {
		p.User = append(p.User, User{u.Key, u.Val})
	}
	return p
}
