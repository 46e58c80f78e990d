package edgebroker

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
)

func TestSubscribeBeginsWithWhatIsStored(t *testing.T) {
	b := start(t, loopback)
	if err := b.Publish(Message{Topic: "health/bus/can0", Payload: []byte("active"), Retain: true}); err != nil {
		t.Fatal(err)
	}
	_ = b.LastValue("vss/Vehicle/Speed").Set([]byte("31"), "")
	var stored, live []string
	cancel, err := b.Subscribe("#", func(m Message) {
		if m.Retain {
			stored = append(stored, m.Topic+" "+string(m.Payload))
		} else {
			live = append(live, m.Topic+" "+string(m.Payload))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(stored)
	if !slices.Equal(stored, []string{"health/bus/can0 active", "vss/Vehicle/Speed 31"}) {
		t.Fatalf("stored: %q", stored)
	}
	_ = b.LastValue("vss/Vehicle/Speed").Set([]byte("32"), "")
	publish(t, b, "ivi/a", "x", 0)
	cancel()
	publish(t, b, "ivi/a", "y", 0)
	if !slices.Equal(live, []string{"vss/Vehicle/Speed 32", "ivi/a x"}) {
		t.Fatalf("live: %q", live)
	}
}

// The newer message is published while the older one is being given.
func TestSubscribeGivesWhatIsStoredBeforeWhatIsNew(t *testing.T) {
	b := start(t, loopback)
	if err := b.Publish(Message{Topic: "ivi/a", Payload: []byte("old"), Retain: true}); err != nil {
		t.Fatal(err)
	}
	published := make(chan error, 1)
	came := make(chan string, 2)
	cancel, err := b.Subscribe("ivi/a", func(m Message) {
		if m.Retain {
			go func() { published <- b.Publish(Message{Topic: "ivi/a", Payload: []byte("new")}) }()
			select {
			case early := <-came:
				t.Errorf("%q came first", early)
			case <-time.After(50 * time.Millisecond):
			}
		}
		came <- string(m.Payload)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if first, second := <-came, <-came; first != "old" || second != "new" {
		t.Errorf("got %q before %q", first, second)
	}
}

func TestReceiverMayPublish(t *testing.T) {
	b := start(t, loopback)
	got := make(chan Message, 1)
	for filter, fn := range map[string]func(Message){
		"act/#": func(m Message) {
			if err := b.Publish(Message{Topic: m.ResponseTopic, Payload: []byte("done")}); err != nil {
				t.Error(err)
			}
		},
		"ivi/answer": func(m Message) { got <- m },
	} {
		cancel, err := b.Subscribe(filter, fn)
		if err != nil {
			t.Fatal(err)
		}
		defer cancel()
	}
	if err := b.Publish(Message{Topic: "act/Vehicle/Horn", ResponseTopic: "ivi/answer"}); err != nil {
		t.Fatal(err)
	}
	if m := <-got; string(m.Payload) != "done" {
		t.Fatalf("got %+v", m)
	}
}

func TestWrongTopicsAreRefused(t *testing.T) {
	b := start(t, loopback)
	for _, topic := range []string{"", "a/#", "+", "a\x00"} {
		if err := b.Publish(Message{Topic: topic}); !errors.Is(err, ErrTopic) {
			t.Errorf("publish to %q: %v", topic, err)
		}
	}
	for _, filter := range []string{"", "a#", "#/a"} {
		if _, err := b.Subscribe(filter, func(Message) {}); !errors.Is(err, ErrFilter) {
			t.Errorf("subscribe to %q: %v", filter, err)
		}
	}
	if err := b.Publish(Message{Topic: "a", ContentType: string(make([]byte, 70000))}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("content type of 70,000 bytes: %v", err)
	}
}

func TestDurableReceiverTriesAgainInOrder(t *testing.T) {
	b := start(t, loopback)
	got := make(chan string, 10)
	failures := 1
	cancel, err := b.SubscribeDurable("r", "ivi/#", QueueLimits{Bytes: 1 << 20, Messages: 100}, func(m Message) error {
		if failures > 0 {
			failures--
			return errors.New("not now")
		}
		got <- string(m.Payload)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		publish(t, b, "ivi/n", strconv.Itoa(i), 1)
	}
	for i := range 5 {
		if text := <-got; text != strconv.Itoa(i) {
			t.Fatalf("got %s, want %d", text, i)
		}
	}
	cancel()
	st := b.Stats()
	if len(b.Durables()) != 0 || st.Connections != 0 {
		t.Fatalf("%+v after cancel", b.Durables())
	}
}

func TestDurableReceiverDropsTheOldest(t *testing.T) {
	b := start(t, loopback)
	began, hold := make(chan struct{}, 10), make(chan struct{})
	got := make(chan string, 10)
	cancel, err := b.SubscribeDurable("r", "ivi/#", QueueLimits{Bytes: 1 << 20, Messages: 3}, func(m Message) error {
		began <- struct{}{}
		<-hold
		got <- string(m.Payload)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	publish(t, b, "ivi/n", "0", 1)
	<-began
	for i := 1; i < 6; i++ {
		publish(t, b, "ivi/n", strconv.Itoa(i), 1)
	}
	eventually(t, "three drops", func() bool { return b.Durables()[0].Dropped == 3 })
	close(hold)
	for _, want := range []string{"0", "3", "4", "5"} { // 0 was under way when it was dropped
		if text := <-got; text != want {
			t.Fatalf("got %s, want %s", text, want)
		}
	}
	if st := b.Durables()[0]; st.Dropped != 3 {
		t.Fatalf("%+v", st)
	}
}

// What waited too long is not handed over, neither at first nor when it is tried
// again.
func TestDurableReceiverGetsNothingExpired(t *testing.T) {
	b := start(t, loopback)
	q := openQueue(t, b, "r", roomy)
	late := Message{Topic: "ivi/late", QoS: 1}
	p := late.Publication()
	p.Expires = clock.Now()
	if err := q.append(0, b.sync, func(k *commitment) { k.message(p) }); err != nil {
		t.Fatal(err)
	}
	q.Close()
	got := make(chan string, 10)
	cancel, err := b.SubscribeDurable("r", "ivi/#", roomy, func(m Message) error {
		got <- m.Topic
		if m.Expiry > 0 {
			return errors.New("not now")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if err := b.Publish(Message{Topic: "ivi/short", QoS: 1, Expiry: 1}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "ivi/end", "", 1)
	for name := ""; name != "ivi/end"; {
		if name = <-got; name == "ivi/late" {
			t.Fatal("got a message whose life is over")
		}
	}
	if st := b.Durables()[0]; st.Dropped != 2 || b.Stats().DroppedExpired != 2 {
		t.Errorf("counted %+v", st)
	}
}

func TestPublishWaitEndsWithItsContext(t *testing.T) {
	b := start(t, loopback)
	hold := make(chan struct{})
	cancel, err := b.SubscribeDurable("r", "ivi/#", QueueLimits{Bytes: 1 << 20, Messages: 2}, func(Message) error {
		<-hold
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	publish(t, b, "ivi/n", "0", 1)
	failed := make(chan error, 1)
	go func() { failed <- b.PublishWait(ctx, Message{Topic: "ivi/n", QoS: 1}) }()
	eventually(t, "waiting", func() bool { return b.room.waiting.Load() == 1 })
	stop()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(hold)
	cancel()
}

func BenchmarkPublishToOneClient(b *testing.B) {
	broker := start(b, loopback)
	c := connect(b, broker, 4, "c")
	c.subscribe("ivi/#", 0)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.socket.Read(buf); err != nil {
				return
			}
		}
	}()
	payload := []byte(`{"value":31.5,"ts":"2020-09-16T18:12:20.020Z"}`)
	b.ReportAllocs()
	for b.Loop() {
		_ = broker.Publish(Message{Topic: "ivi/Vehicle/Speed", Payload: payload})
	}
}
