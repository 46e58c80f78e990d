package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/nats"
	"github.com/fascia-edge/fascia/streammgr/log"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server as the far side, at a port of its choice for 0.
func serve(t testing.TB, dir string, port int, change func(*server.Options)) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	o := &server.Options{JetStream: true, StoreDir: dir, Host: "127.0.0.1", Port: port, NoSigs: true}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("server did not start")
	}
	t.Cleanup(func() { halt(s) })
	return s
}

func halt(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// cluster is JetStream at a server.
func cluster(t testing.TB, s *server.Server) jetstream.JetStream {
	t.Helper()
	conn, err := client.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func collect(t testing.TB, js jetstream.JetStream, c jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	c.Name, c.Subjects = "VEHICLES", []string{"fascia.>"}
	s, err := js.CreateStream(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// got are the messages that a stream has, as epoch-sequence=payload.
func got(t testing.TB, s jetstream.Stream) (all []string) {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m.Header.Get(nats.HeaderEpoch)+"-"+m.Header.Get(nats.HeaderSequence)+"="+string(m.Data))
	}
	return all
}

func messages(from, to uint64) (batch []log.Message) {
	for seq := from; seq < to; seq++ {
		batch = append(batch, log.Message{Seq: seq, Epoch: 3, Time: time.UnixMilli(5), Payload: fmt.Appendf(nil, "m%d", seq)})
	}
	return batch
}

// want checks that a stream has exactly messages from..to-1, in order.
func want(t testing.TB, s jetstream.Stream, from, to uint64) {
	t.Helper()
	all := got(t, s)
	for i, m := range all {
		if n := from + uint64(i); m != fmt.Sprintf("3-%d=m%d", n, n) {
			t.Fatalf("at %d is %s", n, m)
		}
	}
	if uint64(len(all)) != to-from {
		t.Errorf("%d messages, want %d", len(all), to-from)
	}
}

func settings(s *server.Server) nats.Config {
	return nats.Config{URL: s.ClientURL(), Subject: "fascia.${vin}.${stream}", Acknowledge: nats.JetStream, Source: "${vin}"}
}

func target(t testing.TB, c nats.Config) *nats.Target {
	t.Helper()
	to, err := nats.New(c, map[string]string{"vin": "V1", "thing": "T1", "stream": "a drive.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close(context.Background()) })
	return to
}

func send(t testing.TB, to *nats.Target, batch []log.Message) {
	t.Helper()
	if sent, err := to.Send(t.Context(), batch); err != nil || sent.Done != len(batch) || sent.Bytes < int64(len(batch)*80) {
		t.Fatalf("%+v, %v", sent, err)
	}
}

func TestMessagesAreStoredOnce(t *testing.T) {
	for _, atomic := range []bool{false, true} {
		t.Run(fmt.Sprintf("atomic %t", atomic), func(t *testing.T) {
			s := serve(t, t.TempDir(), 0, nil)
			far := collect(t, cluster(t, s), jetstream.StreamConfig{AllowAtomicPublish: atomic})
			c := settings(s)
			c.Atomic = atomic
			send(t, target(t, c), messages(0, 2500))
			send(t, target(t, c), messages(2400, 2700)) // the acknowledgements of some were lost
			send(t, target(t, c), messages(2700, 2701))
			want(t, far, 0, 2701)
			m, err := far.GetMsg(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if m.Subject != "fascia.V1.a_drive_1" || m.Header.Get("Nats-Msg-Id") != "V1/a drive.1/3-0" || m.Header.Get(nats.HeaderTime) != "5" {
				t.Errorf("%s with %v", m.Subject, m.Header)
			}
		})
	}
}

func TestCoreIsAcknowledgedByTheServer(t *testing.T) {
	s := serve(t, t.TempDir(), 0, func(o *server.Options) { o.JetStream = false })
	conn, err := client.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	heard, err := conn.SubscribeSync("fascia.>")
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	c := settings(s)
	c.Acknowledge = nats.Core
	send(t, target(t, c), messages(0, 100))
	for i := range 100 {
		m, err := heard.NextMsg(10 * time.Second)
		if err != nil || string(m.Data) != fmt.Sprintf("m%d", i) {
			t.Fatalf("%v, %v", m, err)
		}
	}
}

func TestServerThatIsAwayIsAnErrorAndComesBack(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, 0, nil)
	port := s.Addr().(*net.TCPAddr).Port
	far := collect(t, cluster(t, s), jetstream.StreamConfig{})
	to := target(t, settings(s))
	send(t, to, messages(0, 10))
	halt(s)
	sent, err := to.Send(t.Context(), messages(10, 20))
	if err == nil || sent.Done != 0 || errors.Is(err, export.ErrRefused) || !strings.Contains(err.Error(), "fascia.V1.a_drive_1") {
		t.Fatalf("%+v, %v", sent, err)
	}
	serve(t, dir, port, nil)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if sent, err = to.Send(t.Context(), messages(10, 20)); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err != nil || sent.Done != 10 {
		t.Fatalf("%+v, %v", sent, err)
	}
	want(t, far, 0, 20)
}

func TestRefusalsAreJudged(t *testing.T) {
	s := serve(t, t.TempDir(), 0, func(o *server.Options) { o.MaxPayload = 4096 })
	js := cluster(t, s)
	to := target(t, settings(s))
	if _, err := to.Send(t.Context(), messages(0, 1)); err == nil || !strings.Contains(err.Error(), "no JetStream stream there has this subject") {
		t.Errorf("no stream: %v", err)
	}
	collect(t, js, jetstream.StreamConfig{MaxMsgSize: 1024, MaxMsgs: 3, Discard: jetstream.DiscardNew})
	for size, kind := range map[int]error{1500: export.ErrUnfit, 5000: export.ErrUnfit} {
		m := messages(0, 1)
		m[0].Payload = make([]byte, size)
		if sent, err := to.Send(t.Context(), m); !errors.Is(err, kind) || sent.Done != 0 {
			t.Errorf("%d bytes: %+v, %v", size, sent, err)
		}
	}
	if sent, err := to.Send(t.Context(), messages(0, 10)); !errors.Is(err, export.ErrThrottled) || sent.Done != 3 {
		t.Errorf("full: %+v, %v", sent, err)
	}
	c := settings(s)
	c.Atomic = true
	if _, err := target(t, c).Send(t.Context(), messages(3, 9)); !errors.Is(err, export.ErrRefused) || !strings.Contains(err.Error(), "atomic publish is disabled") {
		t.Errorf("atomic: %v", err)
	}
}

func TestUserProvesWhoItIs(t *testing.T) {
	s := serve(t, t.TempDir(), 0, func(o *server.Options) { o.Username, o.Password = "car", "secret" })
	c := settings(s)
	c.Acknowledge = nats.Core
	_, err := target(t, c).Send(t.Context(), messages(0, 1))
	if !errors.Is(err, export.ErrRefused) || strings.Contains(err.Error(), "secret") {
		t.Errorf("without a password: %v", err)
	}
	c.User, c.Password = "car", "secret"
	send(t, target(t, c), messages(0, 1))
}

func TestConfigIsCheckedWithPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"url: http://a":                                     "url: want an address",
		"url: nats://a:4222":                                "want tls or wss, or plaintext: true",
		"url: tls://u:p@a":                                  "want no user and password in it",
		"url: tls://a\nsubject: a.>":                        "subject: ",
		"url: tls://a\nsubject: a..b":                       "subject: ",
		"url: tls://a\nacknowledge: core\natomic: true":     "atomic: is for",
		"url: tls://a\nuser: u":                             "user and password together",
		"url: tls://a\ntoken: t\ncredentials: c":            "one of credentials, user and token",
		"url: tls://a\ntls: {key: k}":                       "tls: want cert and key together",
		"subject: a":                                        "url: missing",
		"url: \"tls://a,tls://b:1\"":                        "",
		"url: nats://127.0.0.1:4222":                        "",
		"url: nats://a\nplaintext: true\nsubject: x.${vin}": "",
	} {
		var c nats.Config
		_, err := config.Decode("f.yaml", []byte(text), &c)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
