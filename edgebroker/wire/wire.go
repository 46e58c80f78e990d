// Package wire is MQTT as bytes: packets cut out of a stream, read, checked and
// written, for versions 3.1, 3.1.1 and 5.0.
//
// What every message costs is ours and allocates nothing: PUBLISH and the
// acknowledgements. CONNECT, SUBSCRIBE and the like are decoded by mochi's codec
// behind checks for what that lets pass; nothing of mochi shows outside.
package wire

import "fmt"

// Kind is the type of a packet (MQTT 5.0 §2.1.2).
type Kind byte

// The packet types.
const (
	Connect     Kind = 1
	Connack     Kind = 2
	Publish     Kind = 3
	Puback      Kind = 4
	Pubrec      Kind = 5
	Pubrel      Kind = 6
	Pubcomp     Kind = 7
	Subscribe   Kind = 8
	Suback      Kind = 9
	Unsubscribe Kind = 10
	Unsuback    Kind = 11
	Pingreq     Kind = 12
	Pingresp    Kind = 13
	Disconnect  Kind = 14
	Auth        Kind = 15
)

// Reason is a reason code (MQTT 5.0 §2.4).
type Reason byte

// The reason codes that are used here.
const (
	Success              Reason = 0x00
	DisconnectWithWill   Reason = 0x04
	NoMatchingSubscriber Reason = 0x10
	NoSubscription       Reason = 0x11
	ContinueAuth         Reason = 0x18
	Reauthenticate       Reason = 0x19
	Unspecified          Reason = 0x80 // and the failure of a 3.1.1 SUBACK
	Malformed            Reason = 0x81
	ProtocolError        Reason = 0x82
	UnsupportedVersion   Reason = 0x84
	ClientIDInvalid      Reason = 0x85
	NotAuthorized        Reason = 0x87
	ServerUnavailable    Reason = 0x88
	ServerBusy           Reason = 0x89
	ShuttingDown         Reason = 0x8B
	BadAuthMethod        Reason = 0x8C
	KeepAliveTimeout     Reason = 0x8D
	SessionTakenOver     Reason = 0x8E
	FilterInvalid        Reason = 0x8F
	TopicInvalid         Reason = 0x90
	PacketIDInUse        Reason = 0x91
	PacketIDNotFound     Reason = 0x92
	ReceiveMaximum       Reason = 0x93
	TopicAliasInvalid    Reason = 0x94
	PacketTooLarge       Reason = 0x95
	RateTooHigh          Reason = 0x96
	QuotaExceeded        Reason = 0x97
	Administrative       Reason = 0x98
	PayloadFormatInvalid Reason = 0x99
	ConnectRateExceeded  Reason = 0x9F
)

// Failed reports whether the reason is one of failure.
func (r Reason) Failed() bool { return r >= Unspecified }

// Properties (MQTT 5.0 §2.2.2.2).
const (
	propPayloadFormat     = 1
	propExpiry            = 2
	propContentType       = 3
	propResponseTopic     = 8
	propCorrelationData   = 9
	propSubscriptionID    = 11
	propSessionExpiry     = 17
	propAssignedClientID  = 18
	propServerKeepAlive   = 19
	propAuthMethod        = 21
	propAuthData          = 22
	propReason            = 31
	propReceiveMaximum    = 33
	propTopicAliasMaximum = 34
	propTopicAlias        = 35
	propUser              = 38
	propMaximumPacketSize = 39
)

// MaxRemaining is the largest remaining length [MQTT-1.5.5].
const MaxRemaining = 268_435_455

// Broken is why a connection ends: a packet that breaks the protocol or a limit.
type Broken struct {
	Reason Reason // for the DISCONNECT of version 5
	Text   string
}

func (e *Broken) Error() string { return e.Text }

// Break makes a Broken.
func Break(reason Reason, format string, args ...any) error {
	return &Broken{reason, fmt.Sprintf(format, args...)}
}
