package link

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// dialect is a version of MQTT: the packets around the messages. PUBLISH and PUBACK
// are package wire's in every version, which allocates nothing for them; these here
// are the libraries', of which only the packets are used. Their clients choose packet
// ids themselves, so that what is sent again could not have the id that it had
// [MQTT-4.4.0-1], and leave goroutines behind that nobody can wait for.
type dialect interface {
	version() byte
	connect(h *hello) ([]byte, error)
	// connack reads a CONNACK's body. A refusal is a *Refusal.
	connack(body []byte) (accepted, error)
	subscribe(id uint16, subs []Subscription) ([]byte, error)
	unsubscribe(id uint16, filters []string) ([]byte, error)
	// answered reads the body of a SUBACK or UNSUBACK: the packet id, and a reason code
	// a filter where there are some.
	answered(kind byte, body []byte) (id uint16, codes []byte, err error)
	// reason is the text of a PUBACK, "" for none.
	reason(body []byte) string
	// farewell reads a DISCONNECT of the far side.
	farewell(body []byte) error
	// goodbye is the DISCONNECT of an orderly end.
	goodbye() []byte
}

// hello is what CONNECT says.
type hello struct {
	clientID, username, password string
	will                         *message.Message
	keepAlive                    uint16 // seconds
	clean                        bool   // forget what was before, and nothing stays behind
	sessionExpiry                uint32 // seconds
	receiveMaximum               uint16
	maximumPacket                uint32
}

// accepted is what CONNACK says.
type accepted struct {
	Session
	keepAlive uint16 // seconds that the far side wants; 0 for what it was asked for
}

// Refusal is a CONNACK that says no.
type Refusal struct {
	Version  byte
	Code     byte   // reason code of version 5, or return code of 3.1.1
	Reason   string // the far side's words, "" for none
	ClientID string
}

func (r *Refusal) Error() string {
	text := fmt.Sprintf("the far side refuses the connection with code 0x%02X", r.Code)
	if says := r.says(); says != "" {
		text += ", " + says
	}
	if r.Reason != "" {
		text += fmt.Sprintf(" (%.200q)", r.Reason)
	}
	return text
}

func (r *Refusal) says() string {
	switch {
	case r.is(0x84, 1):
		return "version of MQTT not spoken: check protocol"
	case r.is(0x85, 2):
		return fmt.Sprintf("client id %q not allowed: check client_id", r.ClientID)
	case r.is(0x86, 4):
		return "wrong user name or password: check username and password"
	case r.is(0x87, 5):
		return fmt.Sprintf("not authorised: check username and password, and what the far side allows client id %q and its certificate", r.ClientID)
	case r.is(0x88, 3):
		return "server unavailable"
	}
	return map[byte]string{
		0x89: "server busy",
		0x8A: "banned: its administrator has to let the vehicle in again",
		0x8C: "method of authentication not spoken",
		0x90: "topic of the will not allowed: check will",
		0x95: "CONNECT too large",
		0x97: "quota exceeded",
		0x9A: "no retained messages there: check will",
		0x9B: "QoS of the will not spoken: check will",
		0x9C: "use another server",
		0x9D: "server has moved: check url",
		0x9F: "too many connections in a short time",
	}[r.Code]
}

// is compares with a code of version 5 and one of 3.1.1.
func (r *Refusal) is(five, old byte) bool {
	return r.Version == 5 && r.Code == five || r.Version != 5 && r.Code == old
}

// lasting reports whether trying again soon is of no use.
func (r *Refusal) lasting() bool {
	return r.is(0x85, 2) || r.is(0x86, 4) || r.is(0x87, 5) || r.is(0x8A, 0xFF) || r.is(0x8C, 0xFF)
}

// Farewell is a DISCONNECT of the far side (version 5).
type Farewell struct {
	Code   byte
	Reason string // the far side's words, "" for none
}

func (f *Farewell) Error() string {
	text := fmt.Sprintf("the far side ended the connection with code 0x%02X", f.Code)
	if says := map[byte]string{
		0x00: "in order",
		0x81: "malformed packet",
		0x82: "protocol error",
		0x87: "not authorised",
		0x89: "server busy",
		0x8B: "server shuts down",
		0x8D: "nothing heard within the keep-alive",
		0x8E: "session taken over: another client has the same client_id",
		0x90: "topic name not allowed",
		0x93: "more unacknowledged messages than its receive maximum",
		0x94: "wrong topic alias",
		0x95: "packet too large",
		0x96: "messages come too fast",
		0x97: "quota exceeded",
		0x98: "by its administrator",
		0x99: "payload format invalid",
		0x9C: "use another server",
		0x9D: "server has moved",
	}[f.Code]; says != "" {
		text += ", " + says
	}
	if f.Reason != "" {
		text += fmt.Sprintf(" (%.200q)", f.Reason)
	}
	return text
}

// errCutShort is a packet of the far side that ends before its end.
var errCutShort = errors.New("packet is cut short")

// packed is what write writes.
func packed(write func(*bytes.Buffer) error) ([]byte, error) {
	var b bytes.Buffer
	err := write(&b)
	return b.Bytes(), err
}
