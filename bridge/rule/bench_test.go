package rule

import (
	"fmt"
	"testing"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
	"github.com/fascia-edge/fascia/vehicle"
)

// What a rule costs the publisher of a message that it takes, or leaves.
func BenchmarkTake(b *testing.B) {
	const topics = 500
	for _, c := range []struct{ name, keys string }{
		{"plain", ""},
		{"condition", `, when: 'Vehicle.Speed > 5 and not Link.cloud.metered'`},
		{"on_change", `, on_change: true`},
		{"deadband", `, deadband: 0.5`},
		{"interval", `, on_change: true, min_interval: 100ms`},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := env()
			now := clock.Now()
			e.State.Slot("Vehicle.Speed").Set(vehicle.Float(10), 0, int64(now))
			e.State.Slot("Link.cloud.metered").Set(vehicle.Bool(false), 0, int64(now))
			u := compile(b, e, `{direction: up, local: "vss/#", remote: "x"`+c.keys+`}`).Ups()[0]
			list := make([]*message.Publication, topics)
			for i := range list {
				m := message.Message{Topic: fmt.Sprintf("vss/Vehicle/Part%d/Value", i), ContentType: "application/json", QoS: 1}
				m.Payload = fmt.Appendf(nil, `{"value":%d.5,"ts":"2026-03-01T12:00:00.000Z"}`, i)
				list[i] = m.Publication()
				u.Take(list[i], now)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				now += clock.Second / 1_000_000
				u.Take(list[i%topics], now)
				i++
			}
		})
	}
}

// What the caller pays for the time that it hands in.
func BenchmarkClock(b *testing.B) {
	for b.Loop() {
		clock.Now()
	}
}

func BenchmarkConvert(b *testing.B) {
	u := compile(b, env(), `{direction: up, local: "vss/#", remote: "dt/demo/${vin}/${path.}"}`).Ups()[0]
	m := message.Message{Topic: "vss/Vehicle/Speed", Payload: []byte(`{"value":1}`), QoS: 1}
	meta := u.Meta(m.Publication(), u.env.Clock.Mark(clock.Now()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := u.Convert(m, meta); err != nil {
			b.Fatal(err)
		}
	}
}
