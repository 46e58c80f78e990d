package wire

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxReasonText is the longest reason string in bytes: it is for a person to
// read, and may hold a topic of 64 KiB.
const maxReasonText = 256

var reasonNames = map[Reason]string{
	Success:              "Success",
	DisconnectWithWill:   "Disconnect with Will Message",
	NoMatchingSubscriber: "No matching subscribers",
	NoSubscription:       "No subscription existed",
	ContinueAuth:         "Continue authentication",
	Reauthenticate:       "Re-authenticate",
	Unspecified:          "Unspecified error",
	Malformed:            "Malformed Packet",
	ProtocolError:        "Protocol Error",
	0x83:                 "Implementation specific error",
	UnsupportedVersion:   "Unsupported Protocol Version",
	ClientIDInvalid:      "Client Identifier not valid",
	0x86:                 "Bad User Name or Password",
	NotAuthorized:        "Not authorized",
	ServerUnavailable:    "Server unavailable",
	ServerBusy:           "Server busy",
	0x8A:                 "Banned",
	ShuttingDown:         "Server shutting down",
	BadAuthMethod:        "Bad authentication method",
	KeepAliveTimeout:     "Keep Alive timeout",
	SessionTakenOver:     "Session taken over",
	FilterInvalid:        "Topic Filter invalid",
	TopicInvalid:         "Topic Name invalid",
	PacketIDInUse:        "Packet Identifier in use",
	PacketIDNotFound:     "Packet Identifier not found",
	ReceiveMaximum:       "Receive Maximum exceeded",
	TopicAliasInvalid:    "Topic Alias invalid",
	PacketTooLarge:       "Packet too large",
	RateTooHigh:          "Message rate too high",
	QuotaExceeded:        "Quota exceeded",
	Administrative:       "Administrative action",
	PayloadFormatInvalid: "Payload format invalid",
	0x9A:                 "Retain not supported",
	0x9B:                 "QoS not supported",
	0x9C:                 "Use another server",
	0x9D:                 "Server moved",
	0x9E:                 "Shared Subscriptions not supported",
	ConnectRateExceeded:  "Connection rate exceeded",
	0xA0:                 "Maximum connect time",
	0xA1:                 "Subscription Identifiers not supported",
	0xA2:                 "Wildcard Subscriptions not supported",
}

// Name is what the standard calls the reason, with its number: "0x87 (Not
// authorized)". It is no String method, which %X would print in hexadecimal.
func (r Reason) Name() string {
	if name, known := reasonNames[r]; known {
		return fmt.Sprintf("0x%02X (%s)", byte(r), name)
	}
	return fmt.Sprintf("0x%02X", byte(r))
}

// appendReason appends text as the reason string of a packet, nothing for none.
func appendReason(props []byte, text string) []byte {
	if text == "" {
		return props
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.ReplaceAll(text, "\x00", "\uFFFD") // [MQTT-1.5.4-2]
	if len(text) > maxReasonText {
		end := maxReasonText - len("…")
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return appendText(append(props, propReason), text)
}
