package canbus

import (
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Of a message that is mapped in part, the rest is passed over.
func TestOnlySignalsThatSomebodyNeedsAreDecoded(t *testing.T) {
	r := prepare(t, voltage(""), "", Config{Buses: []BusConfig{{Name: "can0", Source: "virtual://can0", Publish: []string{"Body"}}}})
	d := r.buses.buses[0].decoder.Load()
	for _, c := range []struct {
		name string
		fr   can.Frame
		want int
	}{
		{"one of two is mapped", frame(0x100, 1, 0, 2, 0), 1},
		{"all are published", frame(idBody, 5, 0), 2},
	} {
		if err := d.frame(t.Context(), &c.fr, 0, 0); err != nil || len(d.values) != c.want {
			t.Errorf("%s: %d values, %v: want %d", c.name, len(d.values), err, c.want)
		}
	}
	if d.routes[d.database.IndexOf(512, false)].plan != nil {
		t.Error("a message that nobody needs has a plan")
	}
}

// A message of J1939 comes from any source, and the kernel must let it through.
func TestJ1939MessagesComeFromAnySource(t *testing.T) {
	r := newRig(t, voltage(""), "can0")
	r.write(t, "car.dbc", testDBC+`BA_ "ProtocolType" "J1939";`+"\n")
	r.buses.Use(r.plan(t, voltage("")))
	r.send(t, 0, frame(idBody&^0xFF|0x21, 5, 0))
	if s := r.buses.Status()[0]; s.Decoded != 1 {
		t.Errorf("got %+v, want one decoded", s)
	}
	for _, f := range r.buses.buses[0].decoder.Load().filters() {
		if f.Extended && f.Mask&(0x1C0000FF) != 0 {
			t.Errorf("got %+v, want one for any priority and source", f)
		}
	}
}

func TestFrameThatNobodyNeedsAllocatesNothing(t *testing.T) {
	r := prepare(t, voltage(""), "", Config{Buses: []BusConfig{{Name: "can0", Source: "virtual://can0"}}})
	d := r.buses.buses[0].decoder.Load()
	unused, unknown, short := frame(512, 1), frame(0x7AB, 1), frame(0x100, 1)
	if n := testing.AllocsPerRun(100, func() {
		for _, fr := range []*can.Frame{&unused, &unknown, &short} {
			_ = d.frame(t.Context(), fr, 0, 0)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestFrameCameWhenItsStampSays(t *testing.T) {
	const now = 100 * int64(time.Second)
	for stamped, want := range map[int64]int64{
		now - int64(3*time.Millisecond): now - int64(3*time.Millisecond), // it waited for the rest of its batch
		now:                             now,
		now + 1:                         now, // the clock was set back
		now - int64(time.Hour):          now, // or ahead
	} {
		if got := moment(stamped, now); got != want {
			t.Errorf("stamped %v before: came %v before, want %v", time.Duration(now-stamped), time.Duration(now-got), time.Duration(now-want))
		}
	}
}
