package mapping

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/vehicle"
)

// Each script is a sequence of TIME=VALUE (a value comes) and TIME (the filter is
// asked what is due); what is published is written likewise, with the time.
func TestFilterPublishes(t *testing.T) {
	for _, c := range []struct {
		name         string
		limits       Limits
		script, want string
	}{
		{"everything without limits", Limits{}, "0=1 1=1 2=1", "0=1 1=1 2=1"},
		{"changes alone", Limits{OnChange: true}, "0=1 1=1 2=2 3=2 4=1", "0=1 2=2 4=1"},
		{"what leaves the deadband", Limits{OnChange: true, Deadband: 5}, "0=10 1=15 2=16 3=12 4=11 5=10", "0=10 2=16 5=10"},
		{"what leaves the deadband, told by it alone", Limits{Deadband: 5}, "0=10 1=15 2=16", "0=10 2=16"},
		{"slow drift", Limits{OnChange: true, Deadband: 5}, "0=10 1=13 2=16 3=19 4=22", "0=10 2=16 4=22"},
		{"never more often than the interval", Limits{MinInterval: 10}, "0=1 4=2 9=3 10=4 12=5 20=6", "0=1 10=4 20=6"},
		{"the last of an interval at its end", Limits{MinInterval: 10}, "0=1 4=2 9=3 9 10 11", "0=1 10=3"},
		{"late, when it is asked late", Limits{MinInterval: 10}, "0=1 4=2 25 30=3 35=4 36", "0=1 25=2 35=4"},
		{"not what changed back in the interval", Limits{MinInterval: 10, OnChange: true}, "0=1 4=2 6=1 10 12=1", "0=1"},
		{"the last change of an interval", Limits{MinInterval: 10, OnChange: true}, "0=1 4=2 6=3 10 12=3 30=3", "0=1 10=3"},
		{"not what came back into the deadband", Limits{MinInterval: 10, OnChange: true, Deadband: 5}, "0=10 4=20 6=12 10 11=13", "0=10"},
		{"the first value at once", Limits{MinInterval: 10, OnChange: true, Deadband: 5}, "3=0", "3=0"},
		{"invalid and valid again, in spite of a deadband", Limits{OnChange: true, Deadband: 5}, "0=3 1=x 2=x 3=3", "0=3 1=x 3=3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFilter(c.limits)
			var got []string
			for _, event := range strings.Fields(c.script) {
				var now, number int64
				value := vehicle.Invalid()
				if n, _ := fmt.Sscanf(event, "%d=%d", &now, &number); n == 2 {
					value = vehicle.Int(number)
				}
				if !strings.Contains(event, "=") {
					if v, _, emit := f.Due(now); emit {
						got = append(got, published(now, v))
					}
					continue
				}
				if emit, recheckAt := f.Pass(now, value); emit {
					got = append(got, published(now, value))
				} else if recheckAt != 0 && recheckAt <= now {
					t.Errorf("at %d a recheck is asked for at %d", now, recheckAt)
				}
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("published %s, want %s", text, c.want)
			}
		})
	}
}

func published(now int64, v vehicle.Value) string {
	if !v.IsValid() {
		return fmt.Sprintf("%d=x", now)
	}
	return fmt.Sprintf("%d=%v", now, v)
}

func TestHeldValueKeepsTheTimeAtWhichItCame(t *testing.T) {
	f := NewFilter(Limits{MinInterval: 10})
	f.Pass(0, vehicle.Int(1))
	if emit, recheckAt := f.Pass(4, vehicle.Int(2)); emit || recheckAt != 10 {
		t.Error(emit, recheckAt)
	}
	if v, at, emit := f.Due(12); v != vehicle.Int(2) || at != 4 || !emit {
		t.Error(v, at, emit)
	}
}

// However values come: two are never closer than the interval, and once it has
// ended, what was published last is what came last.
func TestFilterKeepsItsPromisesWhateverComes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		limits := Limits{MinInterval: random.Int64N(20), OnChange: random.IntN(2) == 0}
		f := NewFilter(limits)
		var last, latest vehicle.Value
		now, lastAt, due := int64(0), int64(-1000), int64(0)
		emitted := func(v vehicle.Value) {
			if now-lastAt < limits.MinInterval {
				t.Fatalf("%+v: published at %d and %d", limits, lastAt, now)
			}
			last, lastAt = v, now
		}
		for range 200 {
			now += 1 + random.Int64N(5)
			if due != 0 && now >= due {
				due = 0
				if v, _, emit := f.Due(now); emit {
					emitted(v)
				}
			}
			latest = vehicle.Int(random.Int64N(3))
			emit, recheckAt := f.Pass(now, latest)
			if emit {
				emitted(latest)
			}
			if recheckAt != 0 {
				due = recheckAt
			}
		}
		now += limits.MinInterval
		if v, _, emit := f.Due(now); emit {
			emitted(v)
		}
		if last != latest {
			t.Fatalf("%+v: published %v last, %v came last", limits, last, latest)
		}
	}
}
