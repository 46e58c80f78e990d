package edgebroker

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// Publishers of every kind go on while the feed begins.
func TestFeedTakesEachMessageOnceFromAnyPublisher(t *testing.T) {
	b := start(t, loopback)
	const each, stop = 300, 10
	seen := make(map[string]int)
	var mu sync.Mutex
	take := func(p *message.Publication) ([]byte, bool) {
		mu.Lock()
		defer mu.Unlock()
		seen[p.Topic+" "+string(p.Payload)]++
		return []byte(strings.TrimPrefix(p.Topic, "vss/")), p.QoS > 0
	}
	q := openQueue(t, b, "q", roomy)
	if err := b.Publish(Message{Topic: "vss/room", Payload: []byte("-1")}); err != nil {
		t.Fatal(err)
	}
	value := b.LastValue("vss/canbus")
	publishers := map[string]func(i int){
		"vss/room": func(i int) { publish(t, b, "vss/room", strconv.Itoa(i), 1) },
		"vss/canbus": func(i int) {
			if err := value.Set([]byte(strconv.Itoa(i)), ""); err != nil {
				t.Error(err)
			}
		},
		"kept": func(i int) {
			if err := b.PublishWait(t.Context(), Message{Topic: "kept", Payload: []byte(strconv.Itoa(i)), QoS: 1, Retain: true}); err != nil {
				t.Error(err)
			}
		},
	}
	for qos := range byte(3) {
		name := fmt.Sprint("qos", qos)
		c := connect(t, b, 5, name)
		publishers[name] = func(i int) {
			c.publish(qos, uint16(i+1), name, strconv.Itoa(i))
			switch qos {
			case 0:
				c.ping()
			case 1:
				c.expect(wire.Puback)
			case 2:
				c.expect(wire.Pubrec)
				c.publish(qos, uint16(i+1), name, strconv.Itoa(i), repeated)
				c.expect(wire.Pubrec)
				c.ack(wire.Pubrel, uint16(i+1))
				c.expect(wire.Pubcomp)
			}
		}
	}
	var wg sync.WaitGroup
	begun := make(chan struct{})
	var reached atomic.Int32
	for _, one := range publishers {
		wg.Go(func() {
			for i := range each {
				one(i)
				if i != stop {
					continue
				}
				if reached.Add(1) == int32(len(publishers)) {
					close(begun)
				}
				<-begun
			}
		})
	}
	<-begun
	feedInto(t, q, "#", true, take)
	wg.Wait()
	if err := b.settle(b.store.Begin()); err != nil {
		t.Fatal(err)
	}
	stored := make(map[string]int)
	for _, text := range inside(t, q) {
		stored[strings.Split(text, " ")[0]]++
	}
	mu.Lock()
	defer mu.Unlock()
	for name := range publishers {
		first := each
		for i := each - 1; i >= -1 && seen[name+" "+strconv.Itoa(i)] > 0; i-- {
			first = i
		}
		taken := 0
		for what, n := range seen {
			if strings.HasPrefix(what, name+" ") {
				taken += n
			}
		}
		if first == each || taken != each-first {
			t.Errorf("%s: %d calls for the messages from %d to %d", name, taken, first, each-1)
		}
		if want := taken; name != "qos0" && stored[strings.TrimPrefix(name, "vss/")] != want || stored["qos0"] != 0 {
			t.Errorf("%s: %d are stored, want %d", name, stored[strings.TrimPrefix(name, "vss/")], want)
		}
	}
}

func TestFeedWithoutRetainedBeginsWithWhatIsNew(t *testing.T) {
	b := start(t, loopback)
	if err := b.Publish(Message{Topic: "ivi/kept", Payload: []byte("old"), QoS: 1, Retain: true}); err != nil {
		t.Fatal(err)
	}
	_ = b.LastValue("vss/a").Set([]byte("old"), "")
	late := (&Message{Topic: "ivi/late", Payload: []byte("expired"), QoS: 1, Retain: true}).Publication()
	late.Expires = clock.Now()
	if err := b.send(late, &commitment{b: b}); err != nil {
		t.Fatal(err)
	}
	q, both := openQueue(t, b, "new", roomy), openQueue(t, b, "both", roomy)
	feedInto(t, q, "#", false, everything("m"))
	feedInto(t, both, "#", true, func(p *message.Publication) ([]byte, bool) { return strconv.AppendBool(nil, p.Retain), true })
	publish(t, b, "ivi/a", "new", 1)
	eventually(t, "three messages", func() bool { return both.Len() == 3 })
	wantInside(t, q, "m new")
	wantInside(t, both, "true old", "true old", "false new")
}

func TestFeedEndsWithItsCancel(t *testing.T) {
	b := start(t, loopback)
	q := openQueue(t, b, "q", roomy)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		c := connect(t, b, 4, fmt.Sprint("c", i))
		value := b.LastValue("vss/a")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					c.ping()
					return
				default:
					c.publish(0, 0, "ivi/a", "x")
					_ = value.Set([]byte("1"), "")
				}
			}
		})
	}
	for _, end := range []string{"cancel", "close"} {
		var ended atomic.Bool
		called := make(chan struct{}, 1)
		cancel := feedInto(t, q, "#", true, func(*message.Publication) ([]byte, bool) {
			if ended.Load() {
				t.Errorf("called after %s", end)
			}
			select {
			case called <- struct{}{}:
			default:
			}
			return nil, false
		})
		<-called
		if end == "cancel" {
			cancel()
		} else {
			q.Close()
		}
		ended.Store(true)
	}
	close(stop)
	wg.Wait()
	if _, err := q.Feed("#", false, everything("")); err == nil {
		t.Error("a closed queue takes a feed")
	}
}

// A last known value of a client is refused like its other messages and then not
// kept; one of this process is never refused.
func TestValuesAtAFullQueueThatRejects(t *testing.T) {
	b := start(t, loopback+`auth: {roles: {local: {provide: ["**"], subscribe: ["#"]}}}`)
	q := openQueue(t, b, "q", QueueLimits{Bytes: 1 << 20, Messages: 1, Reject: true})
	feedInto(t, q, "vss/#", false, everything("m"))
	c := connect(t, b, 5, "c")
	c.publish(1, 1, "vss/a", "1")
	if reason := c.expect(wire.Puback).reasons[0]; reason != wire.Success {
		t.Fatalf("PUBACK 0x%02X", reason)
	}
	c.publish(1, 2, "vss/a", "2", func(pk *packets.Packet) { pk.Properties.ContentType = "text/plain" })
	if reason := c.expect(wire.Puback).reasons[0]; reason != wire.QuotaExceeded {
		t.Fatalf("PUBACK 0x%02X", reason)
	}
	late := connect(t, b, 5, "late")
	late.subscribe("vss/#", 1)
	if got := late.expectPublish("vss/a", "1"); got.props.ContentType != "" {
		t.Errorf("content type %q of the refused value", got.props.ContentType)
	}
	if err := b.LastValue("vss/a").Set([]byte("3"), ""); err != nil {
		t.Fatal(err)
	}
	late.expectPublish("vss/a", "3")
	wantInside(t, q, "m 1")
	if st := q.Stats(); st.Refused != 1 || st.Dropped != 1 {
		t.Errorf("counted %+v", st)
	}
}

// The payload that take sees is the publisher's buffer; what it keeps is its own.
func TestFeedKeepsAPublicationByKeep(t *testing.T) {
	b := start(t, loopback)
	q := openQueue(t, b, "q", roomy)
	kept := make(chan *message.Publication, 10)
	feedInto(t, q, "#", false, func(p *message.Publication) ([]byte, bool) {
		kept <- p.Keep()
		return nil, false
	})
	c := connect(t, b, 5, "c")
	value, payload := b.LastValue("vss/a"), make([]byte, 1)
	for i := range 5 {
		c.publish(0, 0, "ivi/a", strconv.Itoa(i))
		payload[0] = '0' + byte(i)
		_ = value.Set(payload, "")
	}
	c.ping()
	next := map[string]int{}
	for range 10 {
		p := <-kept
		if string(p.Payload) != strconv.Itoa(next[p.Topic]) {
			t.Errorf("%s: %q, want %d", p.Topic, p.Payload, next[p.Topic])
		}
		next[p.Topic]++
	}
}

// What a feed that takes nothing costs a value of the vehicle.
func BenchmarkLastValueFeedTakesNothing(b *testing.B) {
	for _, feeds := range []int{0, 1, 4} {
		b.Run(fmt.Sprint(feeds), func(b *testing.B) {
			broker := start(b, loopback)
			q := openQueue(b, broker, "q", roomy)
			for range feeds {
				feedInto(b, q, "vss/#", true, func(*message.Publication) ([]byte, bool) { return nil, false })
			}
			value := broker.LastValue("vss/Vehicle/Speed")
			payload := []byte(`{"value":31.5,"ts":"2020-09-16T18:12:20.020Z"}`)
			b.ReportAllocs()
			for b.Loop() {
				_ = value.Set(payload, "")
			}
		})
	}
}
