package wire

import "encoding/binary"

// Acceptance is a CONNACK. What a version 5 client is told of limits is in it;
// a property that is zero is left out.
type Acceptance struct {
	Present           bool // session present
	Reason            Reason
	ReasonText        string
	Version           byte
	ReceiveMaximum    uint16
	TopicAliasMaximum uint16
	MaximumPacketSize uint32
	AssignedClientID  string
	SessionExpiry     *uint32 // seconds, when it differs from what was asked for
	ServerKeepAlive   *uint16 // seconds, when it differs from what was asked for
	AuthMethod        string
	AuthData          []byte
}

// Append appends the packet. Version 5 reasons must have been translated for
// older versions.
func (a *Acceptance) Append(b []byte) []byte {
	flags := byte(0)
	if a.Present {
		flags = 1
	}
	if a.Version < 5 {
		return append(b, byte(Connack)<<4, 2, flags, byte(a.Reason))
	}
	var props []byte
	if a.ReceiveMaximum > 0 {
		props = binary.BigEndian.AppendUint16(append(props, propReceiveMaximum), a.ReceiveMaximum)
	}
	if a.TopicAliasMaximum > 0 {
		props = binary.BigEndian.AppendUint16(append(props, propTopicAliasMaximum), a.TopicAliasMaximum)
	}
	if a.MaximumPacketSize > 0 {
		props = binary.BigEndian.AppendUint32(append(props, propMaximumPacketSize), a.MaximumPacketSize)
	}
	if a.AssignedClientID != "" {
		props = appendText(append(props, propAssignedClientID), a.AssignedClientID)
	}
	if a.SessionExpiry != nil {
		props = binary.BigEndian.AppendUint32(append(props, propSessionExpiry), *a.SessionExpiry)
	}
	if a.ServerKeepAlive != nil {
		props = binary.BigEndian.AppendUint16(append(props, propServerKeepAlive), *a.ServerKeepAlive)
	}
	props = appendReason(props, a.ReasonText)
	props = appendAuthProperties(props, a.AuthMethod, a.AuthData)
	b = AppendLength(append(b, byte(Connack)<<4), 2+lengthSize(len(props))+len(props))
	b = append(b, flags, byte(a.Reason))
	return append(AppendLength(b, len(props)), props...)
}
