package protocol

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"
)

const (
	// connectVersion is the byte that a client begins with, and hears.
	connectVersion = 1
	// warnEvery bounds what is logged of clients without a valid token.
	warnEvery = time.Minute
)

// versions of the protocol that are spoken, newest first. 1.1.0 has
// UpdateMessageStream and two kinds of exports more.
var versions = []string{"1.1.0", "1.0.0"}

var versionPattern = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// connect takes a client's version byte and ConnectRequest and answers them. It
// reports whether the client may go on.
func (c *conn) connect() bool {
	c.allow(c.server.connectWithin)
	answer, err := c.hear()
	if err != nil {
		c.log.Debug("stream manager's client did not connect", "error", err)
		return false
	}
	var b bytes.Buffer
	if err := putFrame(&b, opConnectResponse, answer); err != nil {
		panic(err) // strings and numbers can be encoded
	}
	if c.SetWriteDeadline(time.Now().Add(c.server.connectWithin)) != nil {
		return false
	}
	if _, err := c.Write(append([]byte{connectVersion}, b.Bytes()...)); err != nil {
		return false
	}
	if answer.Status != statusSuccess {
		c.log.Debug("stream manager's client was refused", "status", answer.Status, "reason", answer.ErrorMessage)
	}
	return answer.Status == statusSuccess
}

// hear reads what a client begins with. An error is of the connection.
func (c *conn) hear() (*connectAnswer, error) {
	a := &connectAnswer{SupportedProtocolVersions: versions, ServerVersion: c.server.options.Version}
	refuse := func(s status, format string, args ...any) (*connectAnswer, error) {
		a.outcome = outcome{a.RequestID, s, fmt.Sprintf(format, args...)}
		return a, nil
	}
	version, err := c.in.ReadByte()
	if err != nil {
		return nil, err
	}
	if version != connectVersion {
		return refuse(statusUnsupportedConnectVersion, "connect version %d: want %d", version, connectVersion)
	}
	op, n, err := readHeader(c.in, &c.header)
	if err != nil {
		return nil, err
	}
	if n > maxConnectFrame {
		return refuse(statusRequestPayloadTooLarge, "connect request of %d bytes: want at most %d", n, maxConnectFrame)
	}
	if c.in.Buffered() < n {
		c.acknowledge()
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return nil, err
	}
	if op != opConnect {
		a.RequestID = requestID(payload)
		return refuse(statusUnexpectedOperation, "operation %d: want %d, Connect, first", op, opConnect)
	}
	var q connectRequest
	if err := decode(payload, &q); err != nil {
		a.RequestID = requestID(payload)
		return refuse(statusInvalidRequest, "%v", err)
	}
	a.RequestID = q.RequestID
	if !c.server.authorized(q.AuthToken) {
		c.server.warn(c)
		return refuse(statusUnauthorized, "authToken is not one of this stream manager's")
	}
	if !versionPattern.MatchString(q.ProtocolVersion) {
		return refuse(statusInvalidProtocolVersion, "protocolVersion %q: want one like %s", q.ProtocolVersion, versions[0])
	}
	for _, offered := range append([]string{q.ProtocolVersion}, q.OtherSupportedProtocolVersions...) {
		if slices.Contains(versions, offered) {
			a.ProtocolVersion = offered
			a.ClientIdentifier = fmt.Sprintf("client-%d", c.number)
			return a, nil
		}
	}
	return refuse(statusUnsupportedProtocolVersion, "protocolVersion %s: want one of %v", q.ProtocolVersion, versions)
}

// authorized looks at all tokens, in the same time for each.
func (s *Server) authorized(token string) bool {
	if s.options.Auth == AuthNone {
		return true
	}
	given := sha256.Sum256([]byte(token))
	found := 0
	for i := range s.tokens {
		found |= subtle.ConstantTimeCompare(given[:], s.tokens[i][:])
	}
	return found == 1
}

// warn logs a client without a valid token, unless another one was logged lately.
func (s *Server) warn(c *conn) {
	count := s.unauthorized.Add(1)
	s.mu.Lock()
	late := time.Since(s.warned) > warnEvery
	if late {
		s.warned = time.Now()
	}
	s.mu.Unlock()
	if late {
		s.log.Warn("stream manager refused a client without a valid token", "client", c.RemoteAddr(), "refused_so_far", count)
	}
}
