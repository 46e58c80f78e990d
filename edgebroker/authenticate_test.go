package edgebroker

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// signing is a method of enhanced authentication: the client names itself and a
// role, the broker sends a challenge, the client signs it with the key that both
// have, and the broker signs in return.
type signing struct{ keys map[string]string }

const signingName = "test-hmac"

func (m signing) Name() string { return signingName }

func (m signing) Start(client string, _ auth.Credentials) auth.Exchange {
	return &signature{method: m, client: client}
}

type signature struct {
	method     signing
	client     string
	name, role string
	challenge  []byte
}

func (s *signature) Continue(data []byte) (reply []byte, id *auth.Identity, err error) {
	if s.challenge == nil {
		s.name, s.role, _ = strings.Cut(string(data), " ")
		s.challenge = make([]byte, 32)
		_, _ = rand.Read(s.challenge)
		return s.challenge, nil, nil
	}
	key := s.method.keys[s.name]
	if key == "" || !hmac.Equal(data, sign(key, s.challenge, s.client)) {
		return nil, nil, errors.New("wrong signature of " + s.name)
	}
	return sign(key, data, s.client), &auth.Identity{Name: "key:" + s.name, Role: s.role}, nil
}

func sign(key string, challenge []byte, client string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(challenge)
	h.Write([]byte(client))
	return h.Sum(nil)
}

// endless is a method that is never satisfied.
type endless struct{}

func (endless) Name() string                                 { return "test-endless" }
func (endless) Start(string, auth.Credentials) auth.Exchange { return endless{} }
func (endless) Continue([]byte) ([]byte, *auth.Identity, error) {
	return []byte("more"), nil, nil
}

const signedRoles = `
broker:
  listeners: [{name: local, address: "127.0.0.1:0", role: host}, {name: open, address: "127.0.0.1:0"}]
  limits: {connect_timeout: 2s}
auth:
  roles:
    guest: {publish: ["ivi/#"], subscribe: ["ivi/#", "cabin/#"], deny_subscribe: ["cabin/driver/#"]}
    host: {publish: ["#"], subscribe: ["#"]}
`

// startSigned runs a broker whose first listener wants a signature.
func startSigned(t testing.TB) *Broker {
	b, stop := startSignedOn(t, t.TempDir())
	t.Cleanup(stop)
	return b
}

func startSignedOn(t testing.TB, folder string) (b *Broker, stop func()) {
	cfg := decode(t, signedRoles)
	cfg.Broker.Listeners[0].Auth = []string{"signed", "endless"}
	cfg.methods = map[string]auth.Method{
		"signed":  signing{map[string]string{"alice": "secret-a", "bob": "secret-b"}},
		"endless": endless{},
	}
	return startOn(t, cfg, folder)
}

// asking makes a CONNECT ask for a method.
func asking(method, data string) func(*packets.Packet) {
	return func(pk *packets.Packet) {
		pk.Properties.AuthenticationMethod, pk.Properties.AuthenticationData = method, []byte(data)
	}
}

func (c *client) auth(reason wire.Reason, method string, data []byte) {
	c.t.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Auth}, ReasonCode: byte(reason)}
	pk.Properties.AuthenticationMethod, pk.Properties.AuthenticationData = method, data
	c.sendPacket(&pk)
}

// challenged sends a CONNECT and gives the challenge that answers it.
func (c *client) challenged(id, who string, change ...func(*packets.Packet)) []byte {
	c.t.Helper()
	c.sendConnect(id, append(change, asking(signingName, who))...)
	return c.expectChallenge()
}

func (c *client) expectChallenge() []byte {
	c.t.Helper()
	got := c.expect(wire.Auth)
	if got.reasons[0] != wire.ContinueAuth || got.props.AuthenticationMethod != signingName || len(got.props.AuthenticationData) != 32 {
		c.t.Fatalf("AUTH %s, %+v", got.reasons[0].Name(), got.props)
	}
	return got.props.AuthenticationData
}

// connectSigned connects as "name role", whose key is its own.
func connectSigned(t testing.TB, b *Broker, id, who, key string, change ...func(*packets.Packet)) *client {
	t.Helper()
	c := dial(t, b, 5)
	challenge := c.challenged(id, who, change...)
	c.auth(wire.ContinueAuth, signingName, sign(key, challenge, id))
	if got := c.expect(wire.Connack).reasons[0]; got != wire.Success {
		t.Fatalf("CONNACK %s", got.Name())
	}
	return c
}

// again goes through the exchange within the session and gives the last answer.
func (c *client) again(id, who, key string) received {
	c.t.Helper()
	c.auth(wire.Reauthenticate, signingName, []byte(who))
	c.auth(wire.ContinueAuth, signingName, sign(key, c.expectChallenge(), id))
	r, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// MQTT 5.0 §4.12, [MQTT-4.12.0-2, 4.12.0-3, 4.12.0-5].
func TestChallengeIsAnsweredBeforeConnack(t *testing.T) {
	b := startSigned(t)
	c := dial(t, b, 5)
	proof := sign("secret-a", c.challenged("a", "alice guest"), "a")
	if n := b.Stats().Clients; n != 0 {
		t.Fatal("connected before it has proved anything")
	}
	c.auth(wire.ContinueAuth, signingName, proof)
	ack := c.expect(wire.Connack)
	if ack.reasons[0] != wire.Success || ack.props.AuthenticationMethod != signingName || !bytes.Equal(ack.props.AuthenticationData, sign("secret-a", proof, "a")) {
		t.Fatalf("CONNACK %s, %+v", ack.reasons[0].Name(), ack.props)
	}
	info := b.Clients()[0]
	if info.Identity != "key:alice" || info.Role != "guest" || info.Listener != "local" || info.ID != "a" {
		t.Fatalf("%+v", info)
	}
	c.publish(1, 1, "ivi/a", "x")
	if got := c.expect(wire.Puback).reasons[0]; got.Failed() {
		t.Errorf("PUBACK %s for what the role may", got.Name())
	}
	c.publish(1, 2, "cabin/driver/x", "x")
	if got := c.expect(wire.Puback).reasons[0]; got != wire.NotAuthorized {
		t.Errorf("PUBACK %s for what it may not", got.Name())
	}
}

// TestWillOutlivesTheExchange has a CONNECT whose fields are used after other
// packets were read into its buffer.
func TestWillOutlivesTheExchange(t *testing.T) {
	b := startSigned(t)
	watch := connectSigned(t, b, "watch", "bob host", "secret-b")
	watch.subscribe("ivi/#", 0)
	c := connectSigned(t, b, "a", "alice guest", "secret-a", func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, "ivi/will", []byte("gone")
	})
	c.socket.Close()
	watch.expectPublish("ivi/will", "gone")
}

// [MQTT-4.12.0-1].
func TestMethodThatTheListenerDoesNotAllowIsRefused(t *testing.T) {
	b := startSigned(t)
	for _, at := range []struct{ listener, method string }{{"local", "other"}, {"open", signingName}} {
		c := dialAt(t, address(t, b, at.listener), 5)
		if got := c.connect("a", asking(at.method, "alice guest")).reasons[0]; got != wire.BadAuthMethod {
			t.Errorf("%s by %s: CONNACK %s", at.listener, at.method, got.Name())
		}
		c.closed()
	}
	for version, want := range map[byte]wire.Reason{4: 5, 5: wire.NotAuthorized} {
		c := dial(t, b, version)
		if got := c.connect("a").reasons[0]; got != want {
			t.Errorf("CONNACK %s without a method", got.Name())
		}
		c.closed()
	}
}

// [MQTT-4.12.0-4].
func TestWrongProofIsRefusedWithoutTellingWhy(t *testing.T) {
	b := startSigned(t)
	c := dial(t, b, 5)
	c.challenged("a", "alice host")
	c.auth(wire.ContinueAuth, signingName, []byte("guess"))
	got := c.expect(wire.Connack)
	if got.reasons[0] != wire.NotAuthorized || got.props.ReasonString != "authentication by test-hmac failed" {
		t.Fatalf("CONNACK %s, %q", got.reasons[0].Name(), got.props.ReasonString)
	}
	c.closed()
	if b.Stats().Sessions != 0 {
		t.Fatal("it has a session")
	}
}

// [MQTT-3.1.2-30, 4.12.0-5].
func TestOnlyTheExchangeComesBeforeConnack(t *testing.T) {
	b := startSigned(t)
	for name, send := range map[string]func(*client){
		"SUBSCRIBE":                  func(c *client) { c.requestSubscription(1, "ivi/#", 0) },
		"PUBLISH":                    func(c *client) { c.publish(0, 0, "ivi/a", "x") },
		"PINGREQ":                    func(c *client) { c.send(byte(wire.Pingreq)<<4, 0) },
		"AUTH with another method":   func(c *client) { c.auth(wire.ContinueAuth, "other", nil) },
		"AUTH that begins again":     func(c *client) { c.auth(wire.Reauthenticate, signingName, nil) },
		"AUTH without a method":      func(c *client) { c.send(byte(wire.Auth)<<4, 2, 0x18, 0) },
		"AUTH with a wrong property": func(c *client) { c.send(byte(wire.Auth)<<4, 5, 0x18, 3, 0x21, 0, 1) },
	} {
		c := dial(t, b, 5)
		c.challenged("a", "alice guest")
		send(c)
		got := c.expect(wire.Connack)
		if reason := got.reasons[0]; reason != wire.ProtocolError && reason != wire.Malformed {
			t.Errorf("%s: CONNACK %s", name, reason.Name())
		}
		if text := "before CONNACK: want AUTH"; !strings.HasPrefix(name, "AUTH") && !strings.Contains(got.props.ReasonString, text) {
			t.Errorf("%s: %q, want %q", name, got.props.ReasonString, text)
		}
		c.closed()
	}
	c := dial(t, b, 5)
	c.challenged("a", "alice guest")
	c.goodbye()
	if b.Stats().Sessions != 0 {
		t.Fatal("somebody has a session")
	}
}

func TestExchangeHasAnEnd(t *testing.T) {
	b := startSigned(t)
	silent := dial(t, b, 5)
	silent.challenged("silent", "alice guest")
	c := dial(t, b, 5)
	c.sendConnect("c", asking("test-endless", ""))
	for range maxAuthSteps {
		c.expect(wire.Auth)
		c.auth(wire.ContinueAuth, "test-endless", nil)
	}
	if got := c.expect(wire.Connack).reasons[0]; got != wire.NotAuthorized {
		t.Fatalf("CONNACK %s", got.Name())
	}
	c.closed()
	silent.closed() // after connect_timeout
}

// MQTT 5.0 §4.12.1: the rights are the new ones for what is published and what
// is received, also on topics that were used before.
func TestReauthenticationChangesRights(t *testing.T) {
	b := startSigned(t)
	other := connectSigned(t, b, "other", "bob host", "secret-b")
	c := connectSigned(t, b, "a", "alice guest", "secret-a")
	c.subscribe("cabin/#", 1)
	try := func(want wire.Reason) {
		t.Helper()
		c.publish(1, 1, "trunk/x", "x")
		if got := c.expect(wire.Puback).reasons[0]; got != want {
			t.Fatalf("PUBACK %s", got.Name())
		}
	}
	tell := func(payload string) {
		t.Helper()
		for _, qos := range []byte{0, 1} {
			other.publish(qos, uint16(qos), "cabin/driver/x", payload)
		}
		other.expect(wire.Puback)
		other.ping()
	}
	try(wire.NotAuthorized)
	tell("hidden")
	if got := c.again("a", "alice host", "secret-a"); got.kind != wire.Auth || got.reasons[0] != wire.Success || got.props.AuthenticationMethod != signingName {
		t.Fatalf("packet type %d, %+v", got.kind, got)
	}
	for _, info := range b.Clients() {
		if info.Role != "host" {
			t.Fatalf("%+v", info)
		}
	}
	c.publish(1, 1, "trunk/x", "x")
	if got := c.expect(wire.Puback).reasons[0]; got.Failed() {
		t.Fatalf("PUBACK %s after it", got.Name())
	}
	tell("seen")
	c.expectPublish("cabin/driver/x", "seen")
	c.expectPublish("cabin/driver/x", "seen")
	if got := c.again("a", "alice guest", "secret-a"); got.kind != wire.Auth {
		t.Fatalf("packet type %d", got.kind)
	}
	try(wire.NotAuthorized)
	tell("hidden again")
	c.ping()
}

// Packets go on while a client authenticates again, with the rights it had.
func TestSessionGoesOnDuringReauthentication(t *testing.T) {
	b := startSigned(t)
	c := connectSigned(t, b, "a", "alice guest", "secret-a")
	c.auth(wire.Reauthenticate, signingName, []byte("alice host"))
	challenge := c.expectChallenge()
	c.publish(1, 1, "ivi/a", "x")
	if got := c.expect(wire.Puback).reasons[0]; got.Failed() {
		t.Errorf("PUBACK %s", got.Name())
	}
	c.publish(1, 1, "trunk/x", "x")
	if got := c.expect(wire.Puback).reasons[0]; got != wire.NotAuthorized {
		t.Errorf("PUBACK %s", got.Name())
	}
	c.auth(wire.ContinueAuth, signingName, sign("secret-a", challenge, "a"))
	if got := c.expect(wire.Auth).reasons[0]; got != wire.Success {
		t.Errorf("AUTH %s", got.Name())
	}
}

// [MQTT-4.12.1-1, 4.12.1-2].
func TestFailedReauthenticationEndsTheConnection(t *testing.T) {
	b := startSigned(t)
	for name, try := range map[string]struct {
		reason wire.Reason
		send   func(c *client) received
	}{
		"wrong proof":      {wire.NotAuthorized, func(c *client) received { return c.again("a", "alice host", "guess") }},
		"another identity": {wire.NotAuthorized, func(c *client) received { return c.again("a", "bob host", "secret-b") }},
		"another method": {wire.ProtocolError, func(c *client) received {
			c.auth(wire.Reauthenticate, "test-endless", nil)
			return c.expect(wire.Disconnect)
		}},
		"no beginning": {wire.ProtocolError, func(c *client) received {
			c.auth(wire.ContinueAuth, signingName, nil)
			return c.expect(wire.Disconnect)
		}},
		"beginning twice": {wire.ProtocolError, func(c *client) received {
			c.auth(wire.Reauthenticate, signingName, []byte("alice host"))
			c.expectChallenge()
			c.auth(wire.Reauthenticate, signingName, []byte("alice host"))
			return c.expect(wire.Disconnect)
		}},
	} {
		c := connectSigned(t, b, "a", "alice guest", "secret-a")
		if got := try.send(c); got.kind != wire.Disconnect || got.reasons[0] != try.reason {
			t.Errorf("%s: packet type %d, %s", name, got.kind, got.reasons[0].Name())
		}
		c.closed()
	}
	plain := dialAt(t, address(t, b, "open"), 5)
	plain.connect("plain")
	plain.auth(wire.Reauthenticate, signingName, nil) // [MQTT-4.12.0-6]
	if got := plain.expect(wire.Disconnect).reasons[0]; got != wire.ProtocolError {
		t.Errorf("DISCONNECT %s without a method in CONNECT", got.Name())
	}
}

// What waits for the client was found allowed when it came.
func TestReauthenticationHoldsForWhatWaits(t *testing.T) {
	b := startSigned(t)
	c := connectSigned(t, b, "a", "alice host", "secret-a", func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = 1 })
	c.subscribe("cabin/#", 1)
	for _, name := range []string{"cabin/a", "cabin/driver/x", "cabin/b"} {
		publish(t, b, name, "x", 1)
	}
	first := c.expect(wire.Publish)
	if got := c.again("a", "alice guest", "secret-a"); got.kind != wire.Auth {
		t.Fatalf("packet type %d", got.kind)
	}
	c.ack(wire.Puback, first.id)
	c.expectPublish("cabin/b", "x")
}

// TestNewIdentitySurvivesTheProcess goes on with the files as they are when the
// client hears of its new identity.
func TestNewIdentitySurvivesTheProcess(t *testing.T) {
	folder, left := t.TempDir(), t.TempDir()
	b, stop := startSignedOn(t, folder)
	c := connectSigned(t, b, "a", "alice guest", "secret-a", keep)
	if got := c.again("a", "alice host", "secret-a"); got.kind != wire.Auth {
		t.Fatalf("packet type %d", got.kind)
	}
	if err := os.CopyFS(left, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	stop()
	b, stop = startSignedOn(t, left)
	defer stop()
	if info := b.Clients(); len(info) != 1 || info[0].Role != "host" {
		t.Fatalf("%+v", info)
	}
}
