package rule

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// The user properties that the bridge writes.
const (
	wayProperty = "fascia-way" // gateways that sent the message up, with commas between them
	idProperty  = "message-id"
	vinProperty = "vin"
)

// maxHops is how many gateways a message may have been sent up by.
const maxHops = 8

// wayOf is how a gateway is told in the way of a message: 48 bits of a hash, short
// and the same after a restart. Two of a million gateways meet with a chance of one
// in 500 that any two of them are alike, and then only where messages go from one to
// the other.
func wayOf(gateway string) string {
	sum := sha256.Sum256([]byte(gateway))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// randomGateway names a gateway that has no name; circles are broken as long as it
// runs.
func randomGateway() string { return rand.Text() }

// wayFrom is the way that a message has come so far.
func wayFrom(user []message.UserProperty) string {
	for _, u := range user {
		if u.Name == wayProperty {
			return u.Value
		}
	}
	return ""
}

// closes reports whether a message that has come this way would go in a circle, or
// has gone on for too long; a way longer than gateways make it is nobody's.
func closes(way, self string) bool {
	if way == "" {
		return false
	}
	return len(way) > maxHops*(len(self)+1) || strings.Count(way, ",")+1 >= maxHops || slices.Contains(strings.Split(way, ","), self)
}

// closesEncoded is closes for the properties of a publication as they are encoded.
// Most have no way in them, and cost one search.
func closesEncoded(properties []byte, self string) bool {
	if len(properties) == 0 || !bytes.Contains(properties, wayBytes) {
		return false
	}
	var p wire.Properties
	p.Decode(properties)
	return closes(wayFrom(p.User), self)
}

var wayBytes = []byte(wayProperty)

// onWay adds this gateway to the way.
func onWay(way, self string) string {
	if way == "" {
		return self
	}
	return way + "," + self
}
