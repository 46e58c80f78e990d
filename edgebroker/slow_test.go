package edgebroker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// What waits is more than a session holds in memory and a socket takes.
func TestSlowSubscriberLosesNothingAtQoS1And2(t *testing.T) {
	const messages = 3000
	rest := " " + strings.Repeat("x", 4<<10)
	b := start(t, loopback+"  limits: {queue_bytes: 16KiB, inflight: 1000}\n")
	for _, qos := range []byte{1, 2} {
		client := fmt.Sprint("slow", qos)
		name := "ivi/" + client
		slow := connect(t, b, 4, client)
		slow.subscribe(name, qos)
		for i := range messages {
			publish(t, b, name, strconv.Itoa(i)+rest, qos)
		}
		if b.store.Queue(record.SpilledQueues+client) == nil {
			t.Fatalf("QoS %d: nothing was spilled", qos)
		}
		for i := 0; i < messages; {
			got, err := slow.read()
			switch {
			case err != nil:
				t.Fatalf("QoS %d: message %d: %v", qos, i, err)
			case got.kind == wire.Pubrel:
				slow.ack(wire.Pubcomp, got.id)
				continue
			case got.payload != strconv.Itoa(i)+rest:
				t.Fatalf("QoS %d: got %.10q for message %d", qos, got.payload, i)
			case qos == 1:
				slow.ack(wire.Puback, got.id)
			default:
				slow.ack(wire.Pubrec, got.id)
			}
			i++
		}
	}
	if st := b.Stats(); st.DroppedSession != 0 || st.DroppedQoS0 != 0 {
		t.Fatalf("dropped %d of the session, %d of QoS 0", st.DroppedSession, st.DroppedQoS0)
	}
}

func TestSlowSubscriberLosesTheOldestAtQoS0(t *testing.T) {
	const most = 50_000
	rest := " " + strings.Repeat("x", 1<<10)
	b := start(t, loopback+"  limits: {queue_bytes: 64KiB}\n")
	slow := connect(t, b, 4, "slow")
	slow.subscribe("ivi/n", 0)
	sent := 0
	for ; b.Stats().DroppedQoS0 < 500; sent++ {
		if sent == most {
			t.Fatal("nothing is dropped")
		}
		publish(t, b, "ivi/n", strconv.Itoa(sent)+rest, 0)
	}
	last, came := -1, 0
	for last < sent-1 { // the newest is never the one that goes
		got := slow.expect(wire.Publish)
		text, _, _ := strings.Cut(got.payload, " ")
		number, err := strconv.Atoi(text)
		if err != nil || number <= last {
			t.Fatalf("%q came behind %d", text, last)
		}
		last, came = number, came+1
	}
	if dropped := int(b.Stats().DroppedQoS0); came+dropped != sent {
		t.Fatalf("%d came and %d were counted as dropped, of %d", came, dropped, sent)
	}
}
