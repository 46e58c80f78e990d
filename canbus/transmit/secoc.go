package transmit

import (
	"fmt"
	"strings"

	"github.com/fascia-edge/fascia/canbus/dbc"
)

// Parts of signal names by which a message shows that it is authenticated: an
// authenticator, as a rule beside a freshness value
// (AUTOSAR_SWS_SecureOnboardCommunication, Secured I-PDU).
var (
	authenticatorNames = []string{"AUTHENTICATOR", "AUTHENTICATION", "SECOC", "CMAC", "AUTHINFO"}
	macNames           = []string{"MAC"} // as a word of the name, beside a freshness value
	freshnessNames     = []string{"FRESHNESS", "FRESH", "FV", "RESET", "TRIP"}
)

// authenticated says by which signal a message is authenticated, "" if none
// shows it. A MAC alone may be anything; beside a freshness value it is what it
// seems.
func authenticated(m *dbc.Message) string {
	mac, fresh := "", false
	for _, s := range m.Signals {
		name := strings.ToUpper(s.Name)
		for _, part := range authenticatorNames {
			if strings.Contains(name, part) {
				return s.Name
			}
		}
		for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r >= '0' && r <= '9' }) {
			for _, known := range macNames {
				if word == known {
					mac = s.Name
				}
			}
			for _, known := range freshnessNames {
				fresh = fresh || word == known
			}
		}
	}
	if fresh {
		return mac
	}
	return ""
}

func secOCReason(m *dbc.Message, by string) string {
	if by == "" {
		by = "can.transmit.messages says so"
	} else {
		by = "it has the signal " + by
	}
	return fmt.Sprintf("message %s is authenticated (SecOC): %s; the gateway has no key for it, and the ECU would not accept the frame", m.Name, by)
}
