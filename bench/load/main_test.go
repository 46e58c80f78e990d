package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/store"
)

const (
	patience = 20 * time.Second       // for what must come
	quick    = 300 * time.Millisecond // to find that something is missing
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brokers are the real ones that the load is tried with.
var brokers = map[string]func(t *testing.T) string{
	"fascia":    func(t *testing.T) string { return startFascia(t, "") },
	"mosquitto": startMosquitto,
}

// startFascia runs our broker in this process until the test ends, and gives its
// address.
func startFascia(t *testing.T, limits string) string {
	t.Helper()
	var cfg struct {
		Broker edgebroker.Config `yaml:"broker"`
	}
	text := fmt.Sprintf("broker: {listeners: [{name: local, address: \"127.0.0.1:0\"}], limits: {%s}}", limits)
	if _, err := config.Decode("test.yaml", []byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	b, err := edgebroker.New(cfg.Broker, edgebroker.Options{Policy: auth.New(auth.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.Open(st)
	b.Serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(b.Close(ctx), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return b.Listeners()[0].Address
}

// startMosquitto runs mosquitto until the test ends, and gives its address.
func startMosquitto(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("mosquitto")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("mosquitto is missing: apt-get install mosquitto")
		}
		t.Skip("mosquitto is missing: apt-get install mosquitto")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n", address.Port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it keeps nothing
		_ = cmd.Wait()
	})
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address.String())
		if err == nil {
			conn.Close()
			return address.String()
		}
		if time.Now().After(end) {
			t.Fatalf("mosquitto does not listen: %v", err)
		}
	}
}

// at are options for the broker at an address.
func at(t *testing.T, address string) Options {
	t.Helper()
	return Options{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		},
		Version:   4,
		ClientID:  "test",
		KeepAlive: 30,
		Prefix:    "test/load",
	}
}

// aLittle is a small load: so many messages, as fast as they go.
func aLittle(shape Shape, qos byte, count uint64) Traffic {
	return Traffic{Shape: shape, Publishers: 3, Subscribers: 4, QoS: qos, Size: 40,
		Credits: 50, Window: 20, Count: count, Drain: patience}
}

func traffic(t *testing.T, o Options, load Traffic) *Result {
	t.Helper()
	r, err := RunTraffic(t.Context(), o, load)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// allKept wants every promise of MQTT kept and nothing lost.
func allKept(t *testing.T, r *Result) {
	t.Helper()
	if r.Lost == nil {
		t.Fatal("loss is not known")
	}
	if *r.Lost+r.Repeated+r.Late+r.Foreign+r.Refused > 0 || len(r.Broken) > 0 {
		t.Errorf("lost %d, repeated %d, late %d, foreign %d, refused %d: %v", *r.Lost, r.Repeated, r.Late, r.Foreign, r.Refused, r.Broken)
	}
}
