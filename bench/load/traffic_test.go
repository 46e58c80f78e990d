package load

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestEveryShapeIsCountedAtEveryQoS(t *testing.T) {
	const count = 900
	for broker, start := range brokers {
		t.Run(broker, func(t *testing.T) {
			address := start(t)
			for _, version := range []byte{4, 5} {
				for shape, deliveries := range map[Shape]uint64{
					Pair:     count + count/3, // publisher 0 has two subscribers
					FanOut:   4 * count,
					Wildcard: 4 * count,
					Shared:   count,
				} {
					for qos := range byte(3) {
						t.Run(fmt.Sprintf("version %d %s QoS %d", version, shape, qos), func(t *testing.T) {
							o := at(t, address)
							o.Version = version
							r := traffic(t, o, aLittle(shape, qos, count))
							allKept(t, r)
							if r.Sent != count || r.Delivered != deliveries {
								t.Errorf("sent %d, delivered %d, want %d and %d", r.Sent, r.Delivered, count, deliveries)
							}
							if qos > 0 && (r.Acknowledged != count || r.AcknowledgedAfter == nil) {
								t.Errorf("acknowledged %d (after %v), want %d", r.Acknowledged, r.AcknowledgedAfter, count)
							}
							if r.Latency == nil || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P50 {
								t.Errorf("latency %+v", r.Latency)
							}
						})
					}
				}
			}
		})
	}
}

func TestAbsentSubscribersGetEverythingWhenTheyComeBack(t *testing.T) {
	for broker, start := range brokers {
		t.Run(broker, func(t *testing.T) {
			o := at(t, start(t))
			for _, version := range []byte{4, 5} {
				o.Version = version
				load := aLittle(FanOut, 1, 1000)
				load.Subscribers, load.Credits, load.Persistent, load.Absent = 1, 0, true, true
				r := traffic(t, o, load)
				allKept(t, r)
				if r.Delivered != 1000 || r.Drained == nil || r.Drained.Rate <= 0 {
					t.Errorf("version %d: delivered %d, drained %+v", version, r.Delivered, r.Drained)
				}
				gone(t, o, "test-sub0")
			}
		})
	}
}

// gone wants the broker to have no session for a client id.
func gone(t *testing.T, o Options, id string) {
	t.Helper()
	c, err := o.connect(t.Context(), "test", id, kept)
	if err != nil {
		t.Fatal(err)
	}
	defer c.socket.Close()
	if c.present {
		t.Errorf("the session %s was left at the broker", id)
	}
}

func TestRetainedMessagesAreRemoved(t *testing.T) {
	for broker, start := range brokers {
		t.Run(broker, func(t *testing.T) {
			o := at(t, start(t))
			for _, version := range []byte{4, 5} {
				o.Version = version
				load := aLittle(Pair, 1, 30)
				load.Retain = true
				allKept(t, traffic(t, o, load))
				c, err := o.connect(t.Context(), "test", "test-late", passing)
				if err != nil {
					t.Fatal(err)
				}
				defer c.socket.Close()
				if err := c.subscribe("test/load/#", 0); err != nil {
					t.Fatal(err)
				}
				if err := c.ping(); err != nil { // a retained message would come before the answer
					t.Errorf("version %d: %v", version, err)
				}
			}
		})
	}
}

func TestPaceIsKeptAndMeasuredFromTheWarmUpOn(t *testing.T) {
	o := at(t, startFascia(t, ""))
	load := Traffic{Shape: Pair, Publishers: 2, Subscribers: 2, Size: 16, Rate: 200,
		WarmUp: 200 * time.Millisecond, Duration: 300 * time.Millisecond, Drain: patience}
	r := traffic(t, o, load)
	allKept(t, r)
	// More than the pace never go, however busy the machine.
	if most := uint64(2 * 200 * (r.Seconds + 10)); r.Sent == 0 || r.Sent > most {
		t.Errorf("%d messages in 0.2 s and %.2f s at 400 a second", r.Sent, r.Seconds)
	}
	if r.Seconds < .3 || r.SentRate > float64(r.Sent)/r.Seconds {
		t.Errorf("%d messages, %.0f/s over %.2f s", r.Sent, r.SentRate, r.Seconds)
	}
}

func TestReceiveMaximumOfTheBrokerIsHonoured(t *testing.T) {
	o := at(t, startFascia(t, "inflight: 5"))
	o.Version = 5
	load := aLittle(Pair, 2, 600)
	load.Window = 1000 // the broker would close with reason 0x93
	allKept(t, traffic(t, o, load))
}

func TestRefusedMessagesAreNotLost(t *testing.T) {
	o := at(t, startFascia(t, ""))
	o.Version, o.Prefix = 5, "vss/Vehicle" // where the role local may not publish
	load := aLittle(FanOut, 1, 90)
	load.Credits = 0
	r := traffic(t, o, load)
	if r.Refused != 90 || r.Acknowledged != 0 || r.Delivered != 0 || r.Lost == nil || *r.Lost != 0 || len(r.Broken) > 0 {
		t.Errorf("got %+v, want 90 refused and none lost", r)
	}
}

func TestInterruptionGivesTheFiguresSoFar(t *testing.T) {
	o := at(t, startFascia(t, ""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(p Progress) { // comes every second
		if p.Sent > 0 {
			cancel()
		}
	}
	load := aLittle(Pair, 1, 0)
	load.Duration = time.Hour
	r, err := RunTraffic(ctx, o, load)
	if err != nil {
		t.Fatal(err)
	}
	allKept(t, r)
	if !r.Interrupted || r.Delivered == 0 || r.Seconds > 3000 {
		t.Errorf("got %+v", r)
	}
}

func TestInterruptedBacklogClaimsNoLoss(t *testing.T) {
	o := at(t, startFascia(t, ""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	load := aLittle(FanOut, 1, 1000)
	load.Subscribers, load.Credits, load.Persistent, load.Absent = 1, 0, true, true
	var connections atomic.Int64
	dial := o.Dial
	o.Dial = func(ctx context.Context) (net.Conn, error) {
		if connections.Add(1) == int64(1+load.Publishers+1) { // the subscriber comes back
			cancel()
		}
		return dial(ctx)
	}
	r, err := RunTraffic(ctx, o, load)
	if r == nil || !r.Interrupted || r.Acknowledged != 1000 || r.Lost != nil || len(r.Broken) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	gone(t, o, "test-sub0")
}

func TestConnectionsThatAreRefusedSayWhy(t *testing.T) {
	o := at(t, startFascia(t, "sessions: 3"))
	_, err := RunTraffic(t.Context(), o, aLittle(Pair, 0, 10))
	if err == nil || !strings.Contains(err.Error(), "refused the connection: reason 0x") {
		t.Errorf("got %v", err)
	}
}

func TestLoadsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, change := range map[string]func(*Traffic){
		"0 publishers":                  func(l *Traffic) { l.Publishers = 0 },
		"QoS 3":                         func(l *Traffic) { l.QoS = 3 },
		"messages of 15 bytes: want 16": func(l *Traffic) { l.Size = 15 },
		"window of 0":                   func(l *Traffic) { l.QoS, l.Window = 1, 0 },
		"window of 65536":               func(l *Traffic) { l.QoS, l.Window = 1, 1<<16 },
		"duration 0s":                   func(l *Traffic) { l.Count = 0 },
		"2 messages of 3 publishers":    func(l *Traffic) { l.Count = 2 },
		"warm-up 1s":                    func(l *Traffic) { l.WarmUp = time.Second },
		"absent subscribers":            func(l *Traffic) { l.Absent = true },
	} {
		load := aLittle(Pair, 0, 10)
		change(&load)
		if err := load.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
