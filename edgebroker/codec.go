package edgebroker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/mochi-mqtt/server/v2/packets"
)

// This file is the only one that knows mochi: its decoders turn the body of a
// packet into fields.

// packet is a decoded packet of a client. Its strings and slices are parts of
// the body it was decoded from.
type packet = packets.Packet

// properties are those of a version 5 packet.
type properties = packets.Properties

// brokenPacket is why a connection ends: a packet that breaks the protocol or
// a limit.
type brokenPacket struct {
	reason byte // for DISCONNECT of version 5
	text   string
}

func (e *brokenPacket) Error() string { return e.text }

func broken(reason byte, format string, args ...any) error {
	return &brokenPacket{reason, fmt.Sprintf(format, args...)}
}

// believed is how much of an announced length is allotted at once, in bytes.
const believed = 16 << 10

// readPacket reads the next packet of at most limit bytes. Its length is not
// believed before it was checked, and has at most four bytes [MQTT-1.5.5-1].
func readPacket(in *bufio.Reader, limit int, count *atomic.Uint64) (first byte, body []byte, err error) {
	if first, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, header := 0, 1
	for shift := 0; ; shift += 7 {
		if shift > 21 {
			return 0, nil, broken(reasonMalformed, "remaining length has more than four bytes")
		}
		digit, err := in.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		header++
		length |= int(digit&0x7F) << shift
		if digit&0x80 == 0 {
			break
		}
	}
	if header+length > limit {
		return 0, nil, broken(reasonPacketTooLarge, "packet of %d bytes: want at most %d", header+length, limit)
	}
	if body, err = readBody(in, length); err != nil {
		return 0, nil, err
	}
	count.Add(uint64(header + length))
	return first, body, nil
}

// readBody reads length bytes. Memory for more than believed of them grows with
// what has come: a thousand clients that announce a packet cost nothing yet.
func readBody(in *bufio.Reader, length int) ([]byte, error) {
	body := make([]byte, min(length, believed))
	for have := 0; ; {
		if _, err := io.ReadFull(in, body[have:]); err != nil {
			return nil, err
		}
		if have = len(body); have == length {
			return body, nil
		}
		body = append(make([]byte, 0, min(length, 4*have)), body...)
		body = body[:cap(body)]
	}
}

// decodePacket decodes a body. A decoder that panics, as mochi's does for a
// SUBSCRIBE that ends after a filter, has met a malformed packet.
func decodePacket(first byte, body []byte, version byte) (pk *packet, err error) {
	defer func() {
		if recover() != nil {
			pk, err = nil, broken(reasonMalformed, "packet type %d is cut short", first>>4)
		}
	}()
	if err := checkBody(first, body, version); err != nil {
		return nil, err
	}
	pk = &packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return nil, decodeError(first, err)
	}
	pk.FixedHeader.Remaining = len(body)
	switch first >> 4 {
	case typeConnect:
		err = pk.ConnectDecode(body)
	case typePublish:
		err = pk.PublishDecode(body)
	case typePuback, typePubrec, typePubrel, typePubcomp:
		err = pk.PubackDecode(body)
	case typeSubscribe:
		err = pk.SubscribeDecode(body)
	case typeUnsubscribe:
		err = pk.UnsubscribeDecode(body)
	case typePingreq:
	case typeDisconnect:
		err = pk.DisconnectDecode(body)
		if version == 5 && len(body) == 1 { // a reason without properties
			pk.ReasonCode = body[0]
		}
	default:
		return nil, broken(reasonProtocolError, "packet type %d: want one that a client sends", first>>4)
	}
	if err != nil {
		return nil, decodeError(first, err)
	}
	return pk, nil
}

func decodeError(first byte, err error) error {
	reason := byte(reasonMalformed)
	var code packets.Code
	if errors.As(err, &code) && code.Code >= reasonUnspecified {
		reason = code.Code
	}
	return broken(reason, "packet type %d: %v", first>>4, err)
}
