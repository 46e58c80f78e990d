package bridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/edgebroker"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

const oneRule = `rules: [{direction: up, local: "a/#", remote: "far/${1}", qos: 1, way: false}]`

func TestWindowIsKeptAndMovesWithAcknowledgements(t *testing.T) {
	s := perform(t, "window: 3, "+oneRule)
	s.say(t, "a/x", "1", "2", "3", "4", "5", "6")
	at := s.connect()
	sent := s.wantSent(t, "1", "2", "3")
	at.nothing(t)
	s.answer(0, sent[1], sent[0]) // in any order
	more := s.wantSent(t, "4", "5")
	ids := map[uint16]bool{sent[2].ID: true}
	for _, p := range more {
		if ids[p.ID] {
			t.Errorf("id %d is twice under way", p.ID)
		}
		ids[p.ID] = true
	}
	at.nothing(t)
	s.answer(0, sent[2])
	s.answer(0, append(more, s.wantSent(t, "6")...)...)
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
}

func TestReceiveMaximumOfTheFarSideCountsIfItIsLess(t *testing.T) {
	s := perform(t, oneRule)
	s.window = 2
	s.say(t, "a/x", "1", "2", "3")
	at := s.connect()
	s.wantSent(t, "1", "2")
	at.nothing(t)
}

// A session that the far side kept gets what was under way again first, in order, with
// DUP and the ids of before; one that it has lost gets it as new.
func TestWhatWasUnderWayGoesAgainFirst(t *testing.T) {
	for _, present := range []bool{true, false} {
		t.Run(fmt.Sprint("present=", present), func(t *testing.T) {
			s := perform(t, "window: 3, "+oneRule)
			s.say(t, "a/x", "1", "2", "3", "4")
			s.connect()
			sent := s.wantSent(t, "1", "2", "3")
			s.answer(0, sent[1])
			s.wantSent(t, "4")
			s.lose()
			s.say(t, "a/x", "5")
			s.present = present
			s.connect()
			again := s.wantSent(t, "1", "3", "4")
			for i, p := range again {
				if p.Dup != present {
					t.Errorf("%s: dup %v", p.Payload, p.Dup)
				}
				if i == 0 && p.ID != sent[0].ID {
					t.Errorf("%s: id %d, want %d", p.Payload, p.ID, sent[0].ID)
				}
			}
			s.answer(0, again...)
			s.answer(0, s.wantSent(t, "5")...)
			eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
		})
	}
}

func TestWhatIsNotAcknowledgedSurvivesARestart(t *testing.T) {
	folder := t.TempDir()
	t.Run("before", func(t *testing.T) {
		s := performOn(t, folder, oneRule)
		s.say(t, "a/x", "1", "2", "3", "4")
		s.connect()
		sent := s.wantSent(t, "1", "2", "3", "4")
		s.answer(0, sent[0], sent[2])
	})
	s := performOn(t, folder, oneRule)
	s.connect()
	s.answer(0, s.wantSent(t, "2", "4")...)
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
}

const threeClasses = `window: 1,
  classes: [{name: urgent, size: 1MiB}, {name: normal}, {name: bulk, size: 1MiB, send_when: "not Link.cloud.metered"}],
  rules: [
    {direction: up, local: "u/#", remote: "far/u", class: urgent, way: false},
    {direction: up, local: "n/#", remote: "far/n", class: normal, way: false},
    {direction: up, local: "b/#", remote: "far/b", class: bulk, way: false}]`

func TestClassesGoInOrderOfPriorityAndAsTheirConditionSays(t *testing.T) {
	s := perform(t, threeClasses)
	s.set("Link.cloud.metered", true)
	s.say(t, "b/x", "b1")
	s.say(t, "n/x", "n1", "n2")
	s.say(t, "u/x", "u1")
	at := s.connect()
	s.answer(0, s.wantSent(t, "u1")...)
	n1 := s.wantSent(t, "n1")
	s.say(t, "u/x", "u2")
	s.answer(0, n1...)
	s.answer(0, s.wantSent(t, "u2")...)
	s.answer(0, s.wantSent(t, "n2")...)
	at.nothing(t)
	if held := s.bridge.Status()[0].Classes[2].Held; !strings.Contains(held, "send_when") {
		t.Errorf("bulk is held by %q", held)
	}
	s.set("Link.cloud.metered", false)
	s.wantSent(t, "b1")
}

func TestRefusedForGoodIsADeadLetterAndBlocksNothing(t *testing.T) {
	for _, code := range []byte{0x87, 0x90, 0x95, 0x99} {
		t.Run(fmt.Sprintf("%02X", code), func(t *testing.T) {
			s := perform(t, oneRule)
			s.say(t, "a/x", "1", "2", "3")
			s.connect()
			sent := s.wantSent(t, "1", "2", "3")
			s.answer(0, sent[0])
			s.answer(code, sent[1])
			s.answer(0x10, sent[2]) // no matching subscribers is success
			eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
			letters := s.letters(t)
			if len(letters) != 1 || string(letters[0].Payload) != "2" || letters[0].Remote != "far/x" || letters[0].Topic != "a/x" ||
				letters[0].Class != "normal" || !strings.Contains(letters[0].Reason, fmt.Sprintf("0x%02X", code)) || letters[0].Time.IsZero() {
				t.Errorf("dead letters: %+v", letters)
			}
			n, err := s.bridge.Retry("cloud")
			if n != 1 || err != nil {
				t.Fatal(n, err)
			}
			s.answer(0, s.wantSent(t, "2")...)
			eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
			if len(s.letters(t)) > 0 {
				t.Error("the letter is still there")
			}
		})
	}
}

// 0x97 and 0x83 hold the class up, and what had gone after the message goes again
// behind it: in the end the order is right.
func TestRefusedForNowGoesAgainInOrder(t *testing.T) {
	for _, code := range []byte{0x97, 0x83} {
		t.Run(fmt.Sprintf("%02X", code), func(t *testing.T) {
			s := perform(t, oneRule)
			s.say(t, "a/x", "1", "2", "3", "4")
			at := s.connect()
			sent := s.wantSent(t, "1", "2", "3", "4")
			s.answer(0, sent[0])
			s.answer(code, sent[1])
			s.answer(0, sent[2], sent[3])
			at.nothing(t)
			again := s.wantSent(t, "2")
			at.nothing(t) // one at a time, until one is taken
			s.answer(0, again...)
			rest := s.wantSent(t, "3", "4")
			s.answer(0, rest...)
			eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
			if len(s.letters(t)) > 0 {
				t.Error("a dead letter")
			}
		})
	}
}

// The message after which the far side closes the connection is found among those under
// way, and the others are none the worse.
func TestMessageThatClosesTheLinkIsFound(t *testing.T) {
	s := perform(t, oneRule)
	s.present = true
	s.say(t, "a/x", "good 1", "poison", "good 2")
	delivered := map[string]int{}
	for round := 0; s.spooled() > 0; round++ {
		if round > 10 {
			t.Fatalf("the poison is not found: delivered %v", delivered)
		}
		at := s.connect()
		for closed := false; !closed && s.spooled() > 0; {
			select {
			case <-at.woken:
			case <-time.After(10 * time.Millisecond):
			}
			at.mu.Lock()
			sent := at.sent
			at.sent = nil
			at.mu.Unlock()
			for _, p := range sent {
				if string(p.Payload) == "poison" {
					closed = true
					break
				}
				if len(sent) == 1 || round > 0 { // the first acknowledgements are lost with the connection
					delivered[string(p.Payload)]++
					s.answer(0, p)
				}
			}
		}
		s.lose()
	}
	if letters := s.letters(t); len(letters) != 1 || string(letters[0].Payload) != "poison" {
		t.Errorf("dead letters: %+v", letters)
	}
	if delivered["good 1"] != 1 || delivered["good 2"] != 1 {
		t.Errorf("delivered: %v", delivered)
	}
}

// A link that only is bad makes no dead letters.
func TestBadLinkMakesNoDeadLetters(t *testing.T) {
	s := perform(t, oneRule)
	s.present = true
	s.say(t, "a/x", "1", "2", "3")
	for range 30 {
		at := s.connect()
		select {
		case <-at.woken:
		case <-time.After(20 * time.Millisecond): // shorter than any quiet
		}
		s.lose()
	}
	if letters := s.letters(t); len(letters) > 0 {
		t.Errorf("dead letters: %+v", letters)
	}
	s.connect()
	for s.spooled() > 0 {
		s.answer(0, s.at.take(t, 1)...)
	}
}

func TestExpiredIsNotSentAndWhatIsSentSaysWhatIsLeft(t *testing.T) {
	s := perform(t, `classes: [{name: normal, age: 1s}, {name: long}], rules: [
    {direction: up, local: "a/#", remote: "far/a", class: normal, way: false},
    {direction: up, local: "t/#", remote: "far/t", class: long, ttl: 1s, way: false},
    {direction: up, local: "b/#", remote: "far/b", class: long, way: false}]`)
	s.say(t, "a/x", "too old for the class")
	s.say(t, "t/x", "too old for the rule")
	s.publish(t, "b/x", "expired", func(m *message.Message) { m.Expiry = 1 })
	s.publish(t, "b/x", "alive", func(m *message.Message) { m.Expiry = 100 })
	s.connect()
	under := s.wantSent(t, "too old for the class", "too old for the rule", "expired", "alive")
	s.lose()
	time.Sleep(1100 * time.Millisecond)
	s.connect()
	if again := s.wantSent(t, "alive"); again[0].Expiry != 98 || again[0].ID != under[3].ID {
		t.Errorf("sent again with %d seconds to live", again[0].Expiry)
	}
	for _, c := range s.bridge.Status()[0].Classes {
		if want := map[string]uint64{"normal": 1, "long": 2}[c.Name]; c.Dropped["expired"] != want {
			t.Errorf("class %s: %v expired, want %d", c.Name, c.Dropped, want)
		}
	}
}

func TestOversizeGoesWhereTheRuleSays(t *testing.T) {
	s := perform(t, `rules: [
    {direction: up, local: "a/#", remote: "far/a", way: false},
    {direction: up, local: "b/#", remote: "far/b", oversize: drop, way: false}]`)
	at := s.connect()
	at.limit = 100
	large := strings.Repeat("x", 200)
	s.say(t, "a/x", large, "a")
	s.say(t, "b/x", large, "b")
	s.answer(0, s.wantSent(t, "a", "b")...)
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
	if letters := s.letters(t); len(letters) != 1 || letters[0].Topic != "a/x" || letters[0].Size != 200 {
		t.Errorf("dead letters: %+v", letters)
	}
	if d := s.bridge.Status()[0].Classes[0].Dropped; d["oversize"] != 1 || d["dead"] != 1 {
		t.Errorf("dropped: %v", d)
	}
}

func TestFullClassDoesAsConfigured(t *testing.T) {
	const classes = `spool: {size: 256KiB}, classes: [{name: high, size: 64KiB, when_full: %s}, {name: low, size: 64KiB}], rules: [
    {direction: up, local: "h/#", remote: "far/h", class: high, way: false},
    {direction: up, local: "l/#", remote: "far/l", class: low, way: false}]`
	kilobyte := func(i int) string { return fmt.Sprintf("%4d", i) + strings.Repeat("x", 1020) }
	status := func(s *stage) (high, low ClassStatus) {
		l := s.bridge.Status()[0].Classes
		return l[0], l[1]
	}
	t.Run("reject", func(t *testing.T) {
		s := perform(t, fmt.Sprintf(classes, "reject"))
		taken := 0
		for i := range 100 {
			switch err := s.Publish(message.Message{Topic: "h/x", Payload: []byte(kilobyte(i)), QoS: 1}); {
			case err == nil:
				taken++
			case !errors.Is(err, edgebroker.ErrQueueFull):
				t.Fatal(err)
			}
		}
		eventually(t, "all that was taken is stored", func() bool { high, _ := status(s); return high.Messages == taken })
		if high, _ := status(s); taken < 40 || taken == 100 || high.Dropped["refused"] != uint64(100-taken) || high.Dropped["full"] != 0 {
			t.Errorf("%d taken: %+v", taken, high)
		}
		s.connect()
		if first := s.at.take(t, 1)[0]; string(first.Payload) != kilobyte(0) {
			t.Errorf("the first is %.4s", first.Payload)
		}
	})
	t.Run("drop_oldest", func(t *testing.T) {
		s := perform(t, fmt.Sprintf(classes, "drop_oldest"))
		for i := range 100 {
			s.say(t, "h/x", kilobyte(i))
		}
		high, _ := status(s)
		if high.Bytes > 64<<10 || high.Dropped["full"] != uint64(100-high.Messages) {
			t.Errorf("%+v", high)
		}
		s.connect()
		if first := s.at.take(t, 1)[0]; string(first.Payload) != kilobyte(100-high.Messages) {
			t.Errorf("the first is %.4s of %d", first.Payload, high.Messages)
		}
	})
	t.Run("drop_lowest", func(t *testing.T) {
		s := perform(t, fmt.Sprintf(classes, "drop_lowest"))
		for i := range 50 {
			s.say(t, "l/x", kilobyte(i))
		}
		for i := range 100 {
			s.say(t, "h/x", kilobyte(i))
		}
		eventually(t, "both fit", func() bool {
			high, low := status(s)
			return high.Messages == 100 && low.Dropped["full"] == uint64(50-low.Messages) && low.Messages < 30 && high.Bytes+low.Bytes <= 128<<10
		})
		for i := range 100 {
			s.say(t, "h/x", kilobyte(100+i))
		}
		eventually(t, "the class has all the room", func() bool {
			high, low := status(s)
			return low.Messages == 0 && high.Bytes <= 128<<10 && high.Messages > 100
		})
	})
}

func TestQoS0WaitsInMemoryWithinItsBounds(t *testing.T) {
	s := perform(t, "spool: {memory: 16KiB}, "+oneRule)
	for i := range 100 {
		s.publish(t, "a/x", fmt.Sprintf("%3d", i), atQoS0)
	}
	class := s.bridge.Status()[0].Classes[0]
	if class.Messages == 0 || class.Messages == 100 || class.Bytes > 16<<10 || class.Dropped["full"] != uint64(100-class.Messages) {
		t.Fatalf("%+v", class)
	}
	s.connect()
	for i := 100 - class.Messages; i < 100; i++ {
		if p := s.at.take(t, 1)[0]; string(p.Payload) != fmt.Sprintf("%3d", i) || p.QoS != 0 || p.ID != 0 {
			t.Fatalf("%+v, want %d", p, i)
		}
	}
	if n := s.spooled(); n != 0 {
		t.Errorf("%d wait", n)
	}
}
