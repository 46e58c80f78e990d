package message

import "github.com/fascia-edge/fascia/clock"

// Will is the message that a client leaves behind.
type Will struct {
	Publication
	Delay  clock.Time // from the end of the connection to its sending
	Expiry uint32     // seconds that it lives from its sending on, 0 for no end
}
