package health

import (
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/vehicle"
)

func TestOutOfRangeAndBack(t *testing.T) {
	c := newCar(t, "")
	speedOf := func(tenths int) func(int) []byte {
		return func(int) []byte { return []byte{byte(tenths), byte(tenths >> 8), 0, 0} }
	}
	c.drive(2*time.Second, speedOf(3000))
	c.want(speed, OK) // the greatest that the DBC allows
	c.drive(100*time.Millisecond, speedOf(3001))
	c.want(speed, OutOfRange)
	c.want(motor, OK)
	c.drive(900*time.Millisecond, speedOf(100))
	c.want(speed, OutOfRange)
	c.drive(200*time.Millisecond, speedOf(100))
	c.want(speed, OK)
	if log := c.log.String(); !strings.Contains(log, "signal=Vehicle.Speed state=out_of_range") || !strings.Contains(log, "was=out_of_range") {
		t.Errorf("got %s", log)
	}
	const bell = "health/signal/Vehicle/Bell"
	c.frame(1024, 100)
	c.pass(2 * time.Second)
	c.want(bell, OK)
	c.frame(1024, 255)
	c.pass(100 * time.Millisecond)
	c.want(bell, OK) // the DBC has a name for it
	c.frame(1024, 101)
	c.pass(time.Minute)
	c.want(bell, OutOfRange) // for as long as that is the latest
}

// The configuration's range takes the place of the DBC's, in the path's unit.
func TestOutOfConfiguredRange(t *testing.T) {
	c := newCar(t, "signals: [{path: Vehicle.Speed, max: 400}, {path: Vehicle.Bell, off: true}]")
	c.drive(time.Second, func(int) []byte { return []byte{0xA0, 0x0F, 0, 0} }) // 400.0
	c.want(speed, OK)
	c.drive(time.Second, func(int) []byte { return []byte{0xA1, 0x0F, 0, 0} }) // 400.1
	c.want(speed, OutOfRange)
	if c.topics["health/signal/Vehicle/Bell"] != nil {
		t.Error("a signal that is off is watched")
	}
}

// What comes and goes with each frame does not flood.
func TestFlappingIsHeldBack(t *testing.T) {
	c := newCar(t, "")
	c.drive(time.Minute, func(i int) []byte { return []byte{0, byte(i%20) / 19 * 0xFF, 0, 0} }) // one in 20: once a second
	if got := c.states(speed); got != "ok out_of_range" {
		t.Errorf("got %s", got)
	}
	c.drive(time.Minute, func(i int) []byte { return []byte{0, byte(i%100) / 99 * 0xFF, 0, 0} }) // every 5 s
	if changes := strings.Count(c.states(speed), " "); changes < 20 || changes > 26 {
		t.Errorf("%d changes, want two for each of 12 outages", changes)
	}
	if lines := strings.Count(c.log.String(), "signal=Vehicle.Speed"); lines > 30 {
		t.Errorf("%d lines were logged", lines)
	}
}

func TestStuck(t *testing.T) {
	c := newCar(t, `signals: [{path: Vehicle.Speed, stuck_after: 5s, stuck_while: "Vehicle.IsMoving"}]`)
	moving := func(b bool) { c.state.Slot("Vehicle.IsMoving").Set(vehicle.Bool(b), c.now, c.now) }
	still := func(int) []byte { return []byte{7, 0, 0, 0} }
	c.drive(time.Minute, still)
	c.want(speed, OK) // whether the car moves is not known
	moving(false)
	c.drive(time.Minute, still)
	c.want(speed, OK)
	moving(true)
	c.drive(4900*time.Millisecond, still)
	c.want(speed, OK)
	c.drive(300*time.Millisecond, still)
	if s := c.want(speed, Stuck); s.Reason != "the same value for more than 5s" {
		t.Errorf("got %q", s.Reason)
	}
	c.use(`signals: [{path: Vehicle.Speed, stuck_after: 5s, stuck_while: "Vehicle.IsMoving"}]`)
	c.drive(2*time.Second, still)
	c.want(speed, Stuck) // a reload with the same rules changes nothing
	c.drive(900*time.Millisecond, counting)
	c.want(speed, Stuck)
	c.drive(300*time.Millisecond, counting)
	c.want(speed, OK)
	c.drive(4*time.Second, still)
	c.pass(time.Minute)
	c.want(speed, Missing) // not stuck: nothing comes
	c.drive(4*time.Second, still)
	c.want(speed, OK) // the time in which nothing came does not count
	c.drive(2*time.Second, still)
	c.want(speed, Stuck)
}

func TestCounter(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		data   func(i int) []byte // from the 40th frame on
		want   State
	}{
		"counts and wraps around":     {"counter: Alive", counting, OK},
		"jumps":                       {"counter: Alive", func(i int) []byte { return counting(i + i/40) }, BadCounter},
		"repeats":                     {"counter: Alive", func(i int) []byte { return counting(i - i/40) }, BadCounter},
		"stands still":                {"counter: Alive", func(int) []byte { return counting(3) }, BadCounter},
		"goes back to 0 one early":    {"counter: Alive", func(i int) []byte { return []byte{0, 0, byte(i % 15), 0} }, BadCounter},
		"is configured to end early":  {"counter: Alive, counter_max: 14", func(i int) []byte { return []byte{0, 0, byte(i % 15), 0} }, OK},
		"beyond its configured end":   {"counter: Alive, counter_max: 14", counting, BadCounter},
		"in Motorola order":           {"counter: Alive2", func(i int) []byte { return []byte{0, 0, 0, byte(i % 16)} }, OK},
		"in Motorola order, backward": {"counter: Alive2", func(i int) []byte { return []byte{0, 0, 0, byte(15 - i%16)} }, BadCounter},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCar(t, "messages: [{message: Motor, "+test.config+"}]")
			c.drive(5*time.Second, test.data)
			c.want(motor, test.want)
			if s := c.monitor.Status().Buses[0]; (s.Miscounts > 0) != (test.want == BadCounter) {
				t.Errorf("%d miscounts", s.Miscounts)
			}
			c.want(speed, OK)
		})
	}
}

// After a pause the counter may be anywhere: its ECU was off, or started anew.
func TestCounterMayBeginAnewAfterAPause(t *testing.T) {
	c := newCar(t, "messages: [{message: Motor, counter: Alive}]")
	c.drive(2*time.Second, counting)
	c.pass(time.Second)
	c.drive(3*time.Second, func(i int) []byte { return counting(i + 5) })
	if got := c.states(motor); got != "ok missing ok" {
		t.Errorf("got %s", got)
	}
}
