package edgebroker

import "encoding/binary"

// connack is a CONNACK; what a version 5 client is told of limits is in it.
type connack struct {
	present    bool
	reason     byte
	version    byte
	limits     *Limits // nil for a refusal
	assignedID string
	expiry     *clock // when it differs from what was asked for
}

func (a *connack) append(b []byte) []byte {
	flags := byte(0)
	if a.present {
		flags = 1
	}
	if a.version < 5 {
		return append(b, typeConnack<<4, 2, flags, a.reason)
	}
	var props []byte
	if a.limits != nil {
		props = binary.BigEndian.AppendUint16(append(props, propReceiveMaximum), uint16(a.limits.Inflight))
		props = binary.BigEndian.AppendUint16(append(props, propTopicAliasMaximum), maxAliases)
		props = binary.BigEndian.AppendUint32(append(props, propMaximumPacketSize), uint32(a.limits.PacketSize))
	}
	if a.assignedID != "" {
		props = appendString(append(props, propAssignedClientID), a.assignedID)
	}
	if a.expiry != nil {
		props = binary.BigEndian.AppendUint32(append(props, propSessionExpiry), uint32(*a.expiry/second))
	}
	b = appendLength(append(b, typeConnack<<4), 2+lengthSize(len(props))+len(props))
	b = append(b, flags, a.reason)
	return append(appendLength(b, len(props)), props...)
}
