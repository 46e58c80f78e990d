package bridge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge/batch"
)

// rows are the numbers in a batch.
func rows(t testing.TB, payload []byte) (numbers []int) {
	t.Helper()
	err := batch.Decode(payload, batch.ContentTypeJSON, func(it batch.Item) error {
		n, err := strconv.Atoi(string(it.Payload))
		numbers = append(numbers, n)
		return err
	})
	if err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	return numbers
}

const batched = `classes: [{name: normal, age: %s}], rules: [{direction: up, local: "a/#", remote: "far/batch", way: false, batch: {every: %s, count: 3, format: json}}]`

// A batch goes when it is full or its first message has waited for as long as it may;
// until it is acknowledged its messages are in the spool.
func TestBatchGoesWhenFullOrDueAndLeavesTheSpoolWithItsAcknowledgement(t *testing.T) {
	s := perform(t, fmt.Sprintf(batched, "0", "300ms"))
	s.connect()
	s.say(t, "a/x", "1", "2", "3")
	full := s.at.take(t, 1)
	if got := rows(t, full[0].Payload); !slices.Equal(got, []int{1, 2, 3}) || full[0].ContentType != batch.ContentTypeJSON {
		t.Errorf("%v %s", got, full[0].ContentType)
	}
	if n := s.spooled(); n != 3 {
		t.Errorf("%d messages in the spool, want 3", n)
	}
	s.answer(0, full...)
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })

	began := time.Now()
	s.say(t, "a/x", "4")
	due := s.at.take(t, 1)
	if got := rows(t, due[0].Payload); !slices.Equal(got, []int{4}) || time.Since(began) < 250*time.Millisecond {
		t.Errorf("%v after %v", got, time.Since(began))
	}
}

// What was under way or not yet full is there after a restart, and a batch sent again
// leaves out what has become too old.
func TestBatchIsMadeAnewFromTheSpool(t *testing.T) {
	folder := t.TempDir()
	t.Run("before", func(t *testing.T) {
		s := performOn(t, folder, fmt.Sprintf(batched, "0", "1h"))
		s.connect()
		s.say(t, "a/x", "1", "2", "3", "4")
		s.at.take(t, 1)
	})
	s := performOn(t, folder, fmt.Sprintf(batched, "2s", "1h"))
	s.connect()
	if got := rows(t, s.at.take(t, 1)[0].Payload); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("after the restart: %v", got)
	}
	s.lose()
	time.Sleep(2 * time.Second)
	s.say(t, "a/x", "5", "6", "7")
	s.connect()
	if got := rows(t, s.at.take(t, 1)[0].Payload); !slices.Equal(got, []int{5, 6, 7}) {
		t.Errorf("after two seconds: %v", got)
	}
	if d := s.bridge.Status()[0].Classes[0].Dropped["expired"]; d != 4 {
		t.Errorf("%d expired, want 4", d)
	}
}

// A backlog goes in full batches at once, not one message at a time.
func TestBacklogGoesInFullBatches(t *testing.T) {
	s := perform(t, fmt.Sprintf(batched, "0", "100ms"))
	s.say(t, "a/x", "1", "2", "3", "4", "5", "6", "7")
	time.Sleep(150 * time.Millisecond)
	s.connect()
	sent := s.at.take(t, 3)
	for i, want := range [][]int{{1, 2, 3}, {4, 5, 6}, {7}} {
		if got := rows(t, sent[i].Payload); !slices.Equal(got, want) {
			t.Errorf("batch %d: %v, want %v", i, got, want)
		}
	}
}

// The parts of a batch that is refused for good are dead letters, one for each message.
func TestRefusedBatchBecomesALetterForEachMessage(t *testing.T) {
	s := perform(t, fmt.Sprintf(batched, "0", "1h"))
	s.connect()
	s.say(t, "a/x", "1", "2", "3")
	s.answer(0x87, s.at.take(t, 1)...)
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
	letters := s.letters(t)
	if len(letters) != 3 || letters[2].Topic != "a/x" || letters[2].Remote != "far/batch" || string(letters[2].Payload) != "3" {
		t.Errorf("%+v", letters)
	}
}

// A message that no batch can hold goes where the rule says, and holds up nothing.
func TestWhatIsLargerThanABatchGoesWhereTheRuleSays(t *testing.T) {
	for oversize, letters := range map[string]int{"dead": 2, "drop": 0} {
		t.Run(oversize, func(t *testing.T) {
			s := perform(t, `rules: [{name: all, direction: up, local: "a/#", remote: "far/batch", oversize: `+oversize+`, batch: {every: 100ms, size: 1KiB, format: json}}]`)
			s.connect()
			large := strings.Repeat("x", 2000)
			s.say(t, "a/x", large, "1", large, "2") // as the first of a batch, and behind another
			var got []int
			for len(got) < 2 {
				list := s.at.take(t, 1)
				got = append(got, rows(t, list[0].Payload)...)
				s.answer(0, list...)
			}
			eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
			if !slices.Equal(got, []int{1, 2}) || len(s.letters(t)) != letters {
				t.Errorf("sent %v, %d dead letters, want %d", got, len(s.letters(t)), letters)
			}
			if st := s.bridge.Status()[0]; letters == 0 && st.Classes[0].Dropped["oversize"] != 2 {
				t.Errorf("dropped: %v", st.Classes[0].Dropped)
			}
		})
	}
}

// A batch is under way when its rule stops making any: its messages go one by one.
func TestBatchOfARuleThatMakesNoneAnyMore(t *testing.T) {
	const text = `links: [{name: cloud, url: "mqtt://127.0.0.1:1", rules: [{name: all, direction: up, local: "a/#", remote: "far/x"%s}]}]`
	c, _ := driveOff(t, t.TempDir(), fmt.Sprintf(text, ", batch: {every: 1m, count: 3, format: json}"))
	s := runStage(t, c)
	s.connect()
	s.say(t, "a/x", "1", "2", "3")
	s.at.take(t, 1)
	s.lose()
	if err := s.bridge.Use(parse(t, fmt.Sprintf(text, ""))); err != nil {
		t.Fatal(err)
	}
	s.connect()
	s.answer(0, s.wantSent(t, "1", "2", "3")...)
	eventually(t, "the spool is empty", func() bool { return s.spooled() == 0 })
}
