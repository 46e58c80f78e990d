package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/vehicle"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// car is a vehicle's broker with a bridge.
type car struct {
	*edgebroker.Broker
	bridge *Bridge
	state  *vehicle.State
	store  *store.Store
}

// brokerForBridge is the broker as the bridge needs it.
type brokerForBridge struct{ *edgebroker.Broker }

func (b brokerForBridge) OpenQueue(name string, l Limits) (Queue, error) {
	q, err := b.Broker.OpenQueue(name, edgebroker.QueueLimits(l))
	return queueForBridge{q}, err
}

func (b brokerForBridge) PublishWait(ctx context.Context, m message.Message) error {
	err := b.Broker.PublishWait(ctx, m)
	if errors.Is(err, edgebroker.ErrStore) || errors.Is(err, edgebroker.ErrQueueFull) {
		return fmt.Errorf("%w: %w", ErrLater, err)
	}
	return err
}

type queueForBridge struct{ *edgebroker.Queue }

func (q queueForBridge) Read(from uint64, limit int, fn func(Item) bool) (uint64, error) {
	return q.Queue.Read(from, limit, func(it edgebroker.Item) bool { return fn(Item(it)) })
}

func (q queueForBridge) Move(pos uint64, to Queue, meta []byte) error {
	err := q.Queue.Move(pos, to.(queueForBridge).Queue, meta)
	if errors.Is(err, edgebroker.ErrGone) {
		return ErrGone
	}
	return err
}

func (q queueForBridge) SetLimits(l Limits) { q.Queue.SetLimits(edgebroker.QueueLimits(l)) }

func (q queueForBridge) Stats() QueueStats {
	st := q.Queue.Stats()
	return QueueStats{Dropped: st.Dropped, Refused: st.Refused, Failed: st.Failed}
}

// keeper keeps small values in a store.
type keeper struct{ st *store.Store }

func (k keeper) Get(key string) []byte { return k.st.Get(key) }

func (k keeper) Put(key string, value []byte) error {
	tx := k.st.Begin()
	tx.Put(key, value)
	w := make(committed, 1)
	tx.Commit(store.SyncInterval, w)
	return <-w
}

type committed chan error

func (c committed) Committed(err error) { c <- err }

// parse reads the section bridge as a file has it.
func parse(t testing.TB, text string) Config {
	t.Helper()
	var c Config
	if _, err := config.Decode("fascia.yaml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// drive starts a vehicle on what a folder holds. stop ends it in order.
func drive(t testing.TB, folder, text string) (c *car, stop func()) {
	t.Helper()
	c, stop = driveOff(t, folder, text)
	c.bridge.Start(context.Background())
	return c, stop
}

// driveOff is drive without going to the far side.
func driveOff(t testing.TB, folder, text string) (c *car, stop func()) {
	t.Helper()
	st, err := store.Open(filepath.Join(folder, "store"), store.Options{Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.New(clock.TrustAlways)
	var bc struct {
		Broker edgebroker.Config `yaml:"broker"`
	}
	if _, err := config.Decode("fascia.yaml", []byte(`broker: {listeners: [{name: local, address: "127.0.0.1:0"}]}`), &bc); err != nil {
		t.Fatal(err)
	}
	policy := auth.New(auth.Config{})
	b, err := edgebroker.New(bc.Broker, edgebroker.Options{Policy: policy, Clock: clk, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	b.Open(st)
	c = &car{Broker: b, state: vehicle.NewState(), store: st}
	c.bridge, err = New(parse(t, text), Options{
		Broker:  brokerForBridge{b},
		Keeper:  keeper{st},
		State:   c.state,
		Vehicle: Vehicle{VIN: "KMHGN4JE0FU000001", Thing: "car"},
		CanPublish: func(who *message.Origin, topic string) bool {
			return policy.CanPublish(&auth.Identity{Role: who.Role}, topic).Allow
		},
		Clock: clk,
		Log:   logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.bridge.Open(); err != nil {
		t.Fatal(err)
	}
	b.Serve()
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		c.bridge.Stop(ctx)
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return c, stop
}

// set sets a value of the vehicle's state.
func (c *car) set(path string, value bool) {
	c.state.Slot(path).Set(vehicle.Bool(value), time.Now().UnixNano(), vehicle.BootNow())
}

// publish publishes in the vehicle and waits until that is stored.
func (c *car) publish(t testing.TB, topic, payload string, change ...func(*message.Message)) {
	t.Helper()
	m := message.Message{Topic: topic, Payload: []byte(payload), QoS: 1}
	for _, f := range change {
		f(&m)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.PublishWait(ctx, m); err != nil {
		t.Fatal(err)
	}
}

// spooled is how many messages wait in all links, those under way too.
func (c *car) spooled() (n int) {
	for _, st := range c.bridge.Status() {
		for _, class := range st.Classes {
			n += class.Messages
		}
	}
	return n
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// eventually waits for what shows without an event.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// mosquitto is a real far broker.
type mosquitto struct {
	address string
	start   func()
	process *brokers.Process
	up      bool
}

// farBroker starts one; more is added to its configuration.
func farBroker(t testing.TB, more string) *mosquitto {
	t.Helper()
	ctx := context.Background()
	broker, err := brokers.Mosquitto(ctx)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ports, err := brokers.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := fmt.Sprintf("user root\nallow_anonymous true\npersistence true\npersistence_location %s/\nmax_queued_messages 0\n%s\nlistener %d 127.0.0.1\n", dir, more, ports[0])
	m := &mosquitto{address: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	m.start = func() {
		if m.process, err = broker.Start(ctx, dir, text, ports[0]); err != nil {
			t.Fatal(err)
		}
		m.up = true
	}
	m.start()
	t.Cleanup(func() {
		if m.up {
			m.stop(t)
		}
	})
	return m
}

func (m *mosquitto) stop(t testing.TB) {
	t.Helper()
	m.up = false
	if err := m.process.Stop(); err != nil {
		t.Error(err)
	}
}

// far is a client of the far broker.
type far struct {
	got  chan message.Message
	conn chan link.Conn
	at   link.Conn
}

func (f *far) connected() chan link.Conn {
	f.conn = make(chan link.Conn, 8)
	return f.conn
}

func (f *far) Connected(c link.Conn, _ link.Session)   { f.conn <- c }
func (f *far) Acknowledged(uint16, byte, string)       {}
func (f *far) Lost(error)                              {}
func (f *far) Received(m message.Message, done func()) { f.got <- m; done() }

// dialFar connects to the far broker until the test ends.
func dialFar(t testing.TB, address, id string, h interface {
	link.Handler
	connected() chan link.Conn
}) link.Conn {
	t.Helper()
	var c link.Config
	if _, err := config.Decode("far.yaml", fmt.Appendf(nil, "{url: %q, client_id: %s, receive_maximum: 1000}", "mqtt://"+address, id), &c); err != nil {
		t.Fatal(err)
	}
	conn := h.connected()
	l, err := link.New(c, link.Options{Name: id, Handler: h, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case c := <-conn:
		return c
	case <-time.After(patience):
		t.Fatal("the far client does not connect")
		return nil
	}
}

// connectFar subscribes to a filter at the far broker until the test ends.
func connectFar(t testing.TB, address, id, filter string) *far {
	t.Helper()
	f := &far{got: make(chan message.Message, 1<<18)}
	f.at = dialFar(t, address, id, f)
	if codes, err := f.at.Subscribe(context.Background(), []link.Subscription{{Filter: filter, QoS: 1}}); err != nil || codes[0] > 1 {
		t.Fatal(codes, err)
	}
	return f
}

func (f *far) publish(t testing.TB, m message.Message) {
	t.Helper()
	p := &link.Publish{Message: m}
	if m.QoS > 0 {
		p.ID = 1
	}
	if _, err := f.at.Publish(p); err != nil {
		t.Fatal(err)
	}
}

func (f *far) next(t testing.TB) message.Message {
	t.Helper()
	select {
	case m := <-f.got:
		return m
	case <-time.After(patience):
		t.Fatalf("nothing came to the far side within %s", patience)
		return message.Message{}
	}
}
