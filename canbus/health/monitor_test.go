package health

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMissingWithinTheStatedTimeAndBack(t *testing.T) {
	c := newCar(t, "")
	c.drive(12*time.Second, counting)
	s := c.want(motor, OK)
	if s.Rate == nil || *s.Rate < 19 || *s.Rate > 21 || !s.First.Equal(wall(begin+50*ms)) || s.Last.Before(wall(c.now-int64(10*time.Second))) {
		t.Errorf("got %+v, want 20 frames a second since %v", s, wall(begin+50*ms))
	}
	last := c.now
	c.pass(100 * time.Millisecond)
	c.want(motor, OK) // 3 cycles of 50 ms are not over
	c.pass(100 * time.Millisecond)
	for _, name := range []string{motor, speed} {
		s := c.want(name, Missing)
		if !s.Last.Equal(wall(last)) || !s.Since.Equal(wall(c.now)) {
			t.Errorf("%s: last %v, since %v, want %v and %v", name, s.Last, s.Since, wall(last), wall(c.now))
		}
	}
	if log := c.log.String(); strings.Count(log, "message=can0/Motor") != 1 || strings.Contains(log, "signal=Vehicle.Speed") {
		t.Errorf("want one line, of the message: its signals are explained by it:\n%s", log)
	}
	c.drive(900*time.Millisecond, counting)
	c.want(motor, Missing) // frames come again, but not for long
	c.drive(300*time.Millisecond, counting)
	c.want(motor, OK)
	c.want(speed, OK)
	if got := c.states(motor); got != "ok missing ok" {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(c.log.String(), "message is ok again") {
		t.Errorf("no line that it is ok again:\n%s", c.log.String())
	}
}

// What was never seen is missing after its time since the start, and not before.
func TestMissingSinceTheStart(t *testing.T) {
	c := newCar(t, "")
	c.pass(100 * time.Millisecond)
	c.want(motor, Unseen)
	c.pass(100 * time.Millisecond)
	if s := c.want(motor, Missing); s.Last != nil || s.First != nil || s.Rate == nil || *s.Rate != 0 {
		t.Errorf("got %+v, want no frame ever", s)
	}
	c.want("health/message/can0/Tyres", Missing)
	c.want("health/signal/Vehicle/Bell", Unseen) // its message has no cycle time
	c.want("health/signal/Vehicle/Right", Unseen)
	c.want("health/signal/Vehicle/Left", Unseen)
	c.pass(400 * time.Millisecond)
	c.want("health/signal/Vehicle/Left", Missing) // by the mapping's timeout
	c.want("health/signal/Vehicle/Patient", Unseen)
	if c.topics["health/message/can0/Spare"] != nil {
		t.Error("a message that nobody uses is watched")
	}
}

// A multiplexed signal is seen in the frames that carry it, no others.
func TestMultiplexedSignalIsMissingThoughItsMessageComes(t *testing.T) {
	c := newCar(t, "")
	for range 100 {
		c.frame(512, 1, 30)
		c.pass(100 * time.Millisecond)
	}
	c.want("health/message/can0/Tyres", OK)
	c.want("health/signal/Vehicle/Right", OK)
	if s := c.want("health/signal/Vehicle/Left", Missing); s.Reason != "no value for 500ms" {
		t.Errorf("got %q", s.Reason)
	}
}

// A bus that is down explains what is missing on it: the topics tell, the log
// has no line for each.
func TestBusThatIsDownIsNotToldOfEachMessage(t *testing.T) {
	c := newCar(t, "")
	c.drive(2*time.Second, counting)
	c.down = "down"
	c.pass(10 * time.Second)
	for _, name := range []string{motor, speed} {
		if s := c.want(name, Missing); s.Reason != "bus can0: down" {
			t.Errorf("%s: got %q", name, s.Reason)
		}
	}
	c.down = ""
	c.drive(2*time.Second, counting)
	c.want(motor, OK)
	if log := c.log.String(); strings.Contains(log, "Motor") || strings.Contains(log, "Speed") {
		t.Errorf("logged: %s", log)
	}
	for _, trouble := range c.monitor.Status().Troubles {
		if trouble.Name == "can0/Motor" {
			t.Errorf("still in the status: %+v", trouble)
		}
	}
}

// What does not come back with its bus has failed itself, and is told of then.
func TestMessageThatStaysAwayWhenItsBusIsBack(t *testing.T) {
	c := newCar(t, "")
	c.drive(2*time.Second, counting)
	c.down = "down"
	c.pass(time.Second)
	c.down = ""
	c.pass(100 * time.Millisecond)
	if s := c.want(motor, Missing); !strings.HasPrefix(s.Reason, "bus") {
		t.Errorf("got %q at once: want its time to begin anew", s.Reason)
	}
	c.pass(200 * time.Millisecond)
	if s := c.want(motor, Missing); s.Reason != "no frame for 150ms" {
		t.Errorf("got %q", s.Reason)
	}
	if !strings.Contains(c.log.String(), "message=can0/Motor") {
		t.Error("not in the log")
	}
}

// While a bus was away its messages could not come: their time begins anew with
// it. But what was missing before is not there again for that.
func TestTimeBeginsAnewWithTheBus(t *testing.T) {
	c := newCar(t, "messages: [{message: Motor, missing_after: 3s}]")
	c.drive(2*time.Second, counting)
	away := func(d time.Duration) {
		c.down = "down"
		c.pass(d)
		c.down = ""
	}
	away(2900 * time.Millisecond)
	c.pass(2900 * time.Millisecond)
	c.want(motor, OK)
	c.pass(300 * time.Millisecond)
	if s := c.want(motor, Missing); s.Reason != "no frame for 3s" {
		t.Errorf("got %q", s.Reason)
	}
	away(time.Second)
	c.pass(2 * time.Second)
	c.want(motor, Missing)
}

// When the machine slept or the process stood still, nothing could be received.
func TestSleepIsNoOutage(t *testing.T) {
	c := newCar(t, "")
	c.drive(2*time.Second, counting)
	c.now += int64(time.Hour)
	c.look()
	c.want(motor, OK)
	c.pass(100 * time.Millisecond)
	c.want(motor, OK)
	c.pass(100 * time.Millisecond)
	c.want(motor, Missing)
}

// An outage of everything at once is told over some looks, and in the log by a
// number.
func TestOutageOfManyIsPaced(t *testing.T) {
	const messages = 500
	text := strings.Builder{}
	text.WriteString("BU_: ECU\n")
	published := map[string]bool{}
	for i := range messages {
		fmt.Fprintf(&text, "BO_ %d M%d: 1 ECU\n SG_ S : 0|8@1+ (1,0) [0|0] \"\" ECU\n", i+1, i)
		published[fmt.Sprintf("M%d", i)] = true
	}
	text.WriteString("BA_DEF_ BO_ \"GenMsgCycleTime\" INT 0 10000;\n")
	for i := range messages {
		fmt.Fprintf(&text, "BA_ \"GenMsgCycleTime\" BO_ %d 10;\n", i+1)
	}
	c := newCar(t, "")
	db, _ := database(t, text.String())
	plan, _, _, err := compile(t, "", "signals: []", c.state, Bus{"can0", db, published})
	if err != nil {
		t.Fatal(err)
	}
	c.monitor.Use(plan, c.now)
	c.look()
	for most := 0; c.now < begin+int64(3*time.Second); {
		before := c.sets
		c.pass(100 * time.Millisecond)
		if most = max(most, c.sets-before); most > tellsALook {
			t.Fatalf("%d told in one look, want at most %d", most, tellsALook)
		}
	}
	if n := c.monitor.Status().Buses[0].Messages[Missing]; n != messages {
		t.Errorf("%d are missing, want all %d", n, messages)
	}
	if lines := strings.Count(c.log.String(), "\n"); lines > 15 || !strings.Contains(c.log.String(), "changes=490") {
		t.Errorf("%d lines:\n%s", lines, c.log.String())
	}
}

// Stamps follow the wall clock when it is set; states do not.
func TestClockThatIsSetMovesTheStampsAlone(t *testing.T) {
	c := newCar(t, "")
	c.drive(2*time.Second, counting)
	shift := int64(20 * 365 * 24 * time.Hour)
	before := c.says(motor)
	for end := c.now + int64(15*time.Second); c.now < end; {
		c.now += 50 * ms
		c.frame(256, counting(0)...)
		c.monitor.Look(morning+c.now-begin+shift, c.now)
	}
	after := c.want(motor, OK)
	if after.Since.Sub(before.Since) != time.Duration(shift) || c.states(motor) != "ok" {
		t.Errorf("since %v, then %v; states %s", before.Since, after.Since, c.states(motor))
	}
}

// A frame too short for its message carries none of its signals.
func TestShortFramesDoNotCount(t *testing.T) {
	c := newCar(t, "")
	for range 10 {
		c.frame(256, 1, 2)
		c.pass(100 * time.Millisecond)
	}
	if s := c.want(motor, Missing); s.Reason != "no frame for 150ms; 2 frames were shorter than the message" {
		t.Errorf("got %q", s.Reason)
	}
}

// A reload keeps what is known, takes over new limits, and forgets the topics of
// what is no longer watched.
func TestReloadKeepsStates(t *testing.T) {
	c := newCar(t, "")
	c.drive(10*time.Second, counting)
	before := c.says(motor)
	sets := len(c.topics[motor].all)
	c.use("messages: [{message: Motor, missing_after: 2s}]")
	c.look()
	if after := c.want(motor, OK); !after.Since.Equal(before.Since) || !after.First.Equal(*before.First) || len(c.topics[motor].all) != sets {
		t.Errorf("since %v and first %v became %v and %v", before.Since, before.First, after.Since, after.First)
	}
	c.pass(1900 * time.Millisecond)
	c.want(motor, OK)
	c.pass(200 * time.Millisecond)
	c.want(motor, Missing)
	c.use("messages: [{message: Motor, off: true}]")
	c.look()
	c.want(motor, Unseen)
	c.use("off: true")
	c.look()
	c.want(speed, Unseen)
	if s := c.monitor.Status(); len(s.Buses) > 0 || len(s.Troubles) > 0 {
		t.Errorf("got %+v with health off", s)
	}
	c.frame(256, 1, 2, 3, 4) // nobody takes it
}

// The topics are renewed now and then, and only if they say something new.
func TestTopicsAreRenewed(t *testing.T) {
	c := newCar(t, "interval: 2s")
	c.frame(1024, 1)
	c.drive(1500*time.Millisecond, counting)
	if s := c.says(motor); s.Rate == nil {
		t.Error("no rate after more than a second")
	}
	c.drive(58500*time.Millisecond, counting)
	if n := len(c.topics[motor].all); n < 28 || n > 32 {
		t.Errorf("%d payloads in a minute, want one in two seconds", n)
	}
	if n := len(c.topics["health/message/can0/Tyres"].all); n != 1 {
		t.Errorf("%d payloads of a message that never came, want 1", n)
	}
	if s := c.says("health/signal/Vehicle/Bell"); s.State != OK || s.Rate == nil || *s.Rate != 0 {
		t.Errorf("a signal that came once: got %+v", s)
	}
}
