package log

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// maxServerName is how long JetStream's name of a stream, and a file's, may be.
const maxServerName = 200

// serverName is a stream's name at JetStream, which takes no spaces, dots and
// slashes: what is not a letter, a digit or a hyphen becomes _ and its two
// hexadecimal digits. A name that gets too long ends in a hash in place of its
// rest; which stream it is stands in the stream's metadata anyway.
func serverName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	mapped := b.String()
	if len(mapped) > maxServerName {
		// Two underscores in a row come from no name.
		mapped = fmt.Sprintf("%s__%x", mapped[:maxServerName-34], sha256.Sum256([]byte(name)))[:maxServerName]
	}
	return mapped
}
