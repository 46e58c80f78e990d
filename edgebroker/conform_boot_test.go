package edgebroker

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/record"
	"github.com/fascia-edge/fascia/edgebroker/wire"
)

// What outlives the boot: wall time and the last messages may be lost with it.

// trusting runs a broker that trusts wall time or does not.
func trusting(t *testing.T, trust clock.Trust) *lived {
	t.Helper()
	l := &lived{t: t, cfg: decode(t, loopback), folder: t.TempDir()}
	l.cfg.clock = clock.New(trust)
	l.Broker, l.stop = startOn(t, l.cfg, l.folder)
	t.Cleanup(l.finish)
	return l
}

// TestExpiryAcrossBootsNeedsWallTime: what passed while the machine was off is
// known only if wall time was to be trusted then and is now; else the session
// and its messages are kept.
func TestExpiryAcrossBootsNeedsWallTime(t *testing.T) {
	for _, c := range []struct {
		name         string
		before, then clock.Trust
		off          time.Duration
		kept         bool
	}{
		{"trusted, too long", clock.TrustAlways, clock.TrustAlways, 2 * time.Minute, false},
		{"trusted, in time", clock.TrustAlways, clock.TrustAlways, 30 * time.Second, true},
		{"not trusted before", clock.TrustNever, clock.TrustAlways, 2 * time.Minute, true},
		{"not trusted now", clock.TrustAlways, clock.TrustNever, 2 * time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := trusting(t, c.before)
			client := connect(t, l.Broker, 5, "c", func(pk *packets.Packet) {
				keep(pk)
				pk.Properties.SessionExpiryInterval = 60
			})
			client.publish(1, 1, "ivi/a", "x", retaining, func(pk *packets.Packet) { pk.Properties.MessageExpiryInterval = 60 })
			client.expect(wire.Puback)
			client.goodbye()
			l.finish()
			l.elsewhere(c.off)
			l.cfg.clock = clock.New(c.then)
			l.Broker, l.stop = startOn(t, l.cfg, l.folder)
			l.expire(clock.Now())
			if st := l.Stats(); (st.Sessions == 1) != c.kept || (st.Retained == 1) != c.kept {
				t.Errorf("%d sessions, %d retained messages, want kept: %v", st.Sessions, st.Retained, c.kept)
			}
		})
	}
}

// TestPacketIDsMoveOnAfterAReboot: a power cut takes back the last messages of a
// queue, and the client may have one of them half way. It would take another one
// with that id for the same.
func TestPacketIDsMoveOnAfterAReboot(t *testing.T) { // [MQTT-4.3.3-1, 4.3.3-10]
	l := live(t, loopback)
	c := connect(t, l.Broker, 5, "c", keep)
	c.subscribe("ivi/n", 2)
	ids := make(map[uint16]string) // of what the client has half way: it never sends PUBREC
	arrives := func(payload string) received {
		got := c.expectPublish("ivi/n", payload)
		if before, taken := ids[got.id]; taken || got.dup {
			t.Errorf("%s has id %d and DUP %v; the client has %q with that id", payload, got.id, got.dup, before)
		}
		ids[got.id] = payload
		return got
	}
	publish(t, l.Broker, "ivi/n", "kept", 2)
	under := []received{arrives("kept")}
	resume := func() {
		c = l.resume(5, "c")
		for _, m := range under {
			if got := c.expectPublish("ivi/n", m.payload); got.id != m.id || !got.dup {
				t.Errorf("%s has id %d and DUP %v, want %d again", m.payload, got.id, got.dup, m.id)
			}
		}
	}
	for i := range 3 { // then the ids have come round
		l.finish()
		onDisk := t.TempDir()
		if err := os.CopyFS(onDisk, os.DirFS(l.folder)); err != nil {
			t.Fatal(err)
		}
		l.Broker, l.stop = startOn(t, l.cfg, l.folder)
		resume()
		taken, kept := fmt.Sprint("taken back ", i), fmt.Sprint("kept ", i)
		publish(t, l.Broker, "ivi/n", taken, 2)
		arrives(taken)
		l.finish()
		l.folder = onDisk
		l.elsewhere(time.Minute)
		l.Broker, l.stop = startOn(t, l.cfg, l.folder)
		publish(t, l.Broker, "ivi/n", kept, 2)
		l.restart() // in this boot, before the client is back
		resume()
		under = append(under, arrives(kept))
	}
}

// elsewhere makes all that a stopped broker keeps come from another boot, which
// ended some time ago.
func (l *lived) elsewhere(ago time.Duration) {
	l.t.Helper()
	st := openStore(l.t, l.folder)
	defer closeStore(l.t, st)
	tx := st.Begin()
	for _, prefix := range []string{record.SessionKeys, record.RetainedKeys} {
		st.Range(prefix, func(key string, value []byte) bool {
			tx.Put(key, l.ageMarks(value, ago))
			return true
		})
	}
	done := make(chan error, 1)
	tx.Commit(l.sync, waiter(func(err error) { done <- err }))
	if err := <-done; err != nil {
		l.t.Fatal(err)
	}
}

type waiter func(error)

func (w waiter) Committed(err error) { w(err) }

// ageMarks finds the marks in a stored value by the id of this boot.
func (l *lived) ageMarks(value []byte, ago time.Duration) []byte {
	boot := l.clock.Mark(1).Boot
	out := append([]byte(nil), value...)
	for i := 0; i+24 <= len(out); i++ {
		if binary.LittleEndian.Uint64(out[i:]) != boot {
			continue
		}
		binary.LittleEndian.PutUint64(out[i:], boot^1)
		if wall := binary.LittleEndian.Uint64(out[i+16:]); wall != 0 {
			binary.LittleEndian.PutUint64(out[i+16:], wall-uint64(ago))
		}
		i += 23
	}
	return out
}
