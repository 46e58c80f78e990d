package budget_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/bridge/budget"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
)

// shelf is a keeper in memory.
type shelf struct {
	values map[string][]byte
	writes int
	err    error
}

func newShelf() *shelf { return &shelf{values: map[string][]byte{}} }

func (s *shelf) Get(key string) []byte { return s.values[key] }

func (s *shelf) Put(key string, value []byte) error {
	if s.err == nil {
		s.values[key] = value
	}
	s.writes++
	return s.err
}

const key = "budget/cloud"

var plan = budget.Config{Month: 100 << 20, Renews: 1, Warn: 80, Stop: map[string]int{"bulk": 50, "normal": 95}}

func open(t *testing.T, c budget.Config, keeper budget.Keeper, now clock.Time) *budget.Month {
	t.Helper()
	m, err := budget.NewMonth(c, keeper, key, now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// day is a moment in UTC; "" is a date that is not known.
func day(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	t.Fatalf("%q is no day", text)
	return time.Time{}
}

func TestCountByMonth(t *testing.T) {
	type step struct {
		wall  string
		bytes int64
		used  int64
		since string
	}
	for _, test := range []struct {
		name   string
		renews int
		steps  []step
	}{
		{"a month ends at its last second", 1, []step{
			{"2026-03-01", 10, 10, "2026-03-01"}, {"2026-03-31 23:59:59", 5, 15, "2026-03-01"}, {"2026-04-01", 7, 7, "2026-04-01"},
		}},
		{"a year ends", 1, []step{{"2026-12-31", 10, 10, "2026-12-01"}, {"2027-01-01", 7, 7, "2027-01-01"}}},
		{"UTC counts", 1, []step{{"2026-04-01T01:30:00+02:00", 10, 10, "2026-03-01"}, {"2026-04-01T02:30:00+02:00", 7, 7, "2026-04-01"}}},
		{"renews within the month", 15, []step{
			{"2026-01-03", 10, 10, "2025-12-15"}, {"2026-01-14 23:59:59", 1, 11, "2025-12-15"}, {"2026-01-15", 7, 7, "2026-01-15"}, {"2026-02-14", 1, 8, "2026-01-15"},
		}},
		{"months without that day", 31, []step{
			{"2026-01-31", 1, 1, "2026-01-31"}, {"2026-02-27", 1, 2, "2026-01-31"}, {"2026-02-28", 1, 1, "2026-02-28"},
			{"2026-03-30", 1, 2, "2026-02-28"}, {"2026-03-31", 1, 1, "2026-03-31"}, {"2026-04-30", 1, 1, "2026-04-30"},
		}},
		{"a leap year", 30, []step{{"2028-02-28", 1, 1, "2028-01-30"}, {"2028-02-29", 1, 1, "2028-02-29"}, {"2028-03-29", 1, 2, "2028-02-29"}, {"2028-03-30", 1, 1, "2028-03-30"}}},
		{"no leap year", 29, []step{{"2100-02-27", 1, 1, "2100-01-29"}, {"2100-02-28", 1, 1, "2100-02-28"}}},
		{"months of silence", 1, []step{{"2026-03-01", 10, 10, "2026-03-01"}, {"2026-09-10", 7, 7, "2026-09-01"}}},
		{"the date is found out", 1, []step{{"", 10, 10, ""}, {"", 5, 15, ""}, {"2026-03-20", 1, 16, "2026-03-01"}, {"2026-04-02", 2, 2, "2026-04-01"}}},
		{"the date is lost and found", 1, []step{{"2026-03-20", 10, 10, "2026-03-01"}, {"", 5, 15, "2026-03-01"}, {"2026-03-21", 1, 16, "2026-03-01"}}},
		{"the date is found in another month", 1, []step{{"2026-03-20", 10, 10, "2026-03-01"}, {"", 5, 15, "2026-03-01"}, {"2026-04-01", 1, 6, "2026-04-01"}}},
		{"a clock that is set back", 1, []step{{"2026-03-20", 10, 10, "2026-03-01"}, {"2026-02-20", 5, 15, "2026-02-01"}, {"2026-02-21", 1, 16, "2026-02-01"}}},
	} {
		for _, restarts := range []bool{false, true} {
			c, keeper := plan, newShelf()
			c.Renews = test.renews
			m := open(t, c, keeper, 0)
			for i, step := range test.steps {
				if restarts {
					if err := m.Save(0); err != nil {
						t.Fatal(err)
					}
					m = open(t, c, keeper, 0)
				}
				if _, err := m.Count(step.bytes, clock.Time(i), day(t, step.wall)); err != nil {
					t.Fatal(err)
				}
				if used, since := m.Used(); used != step.used || since != step.since {
					t.Errorf("%s, with restarts %t, %s: got %d bytes since %q, want %d since %q", test.name, restarts, step.wall, used, since, step.used, step.since)
				}
			}
		}
	}
}

// Another contract is no new month.
func TestAnotherDayOfRenewalKeepsTheCount(t *testing.T) {
	keeper := newShelf()
	m := open(t, plan, keeper, 0)
	_, _ = m.Count(10, 0, day(t, "2026-03-20"))
	c := plan
	c.Renews = 15
	m.Use(c)
	_, _ = m.Count(1, 0, day(t, "2026-03-20"))
	if used, since := m.Used(); used != 11 || since != "2026-03-15" {
		t.Errorf("after a reload: got %d since %s", used, since)
	}
	c.Renews = 25
	m = open(t, c, keeper, 0)
	_, _ = m.Count(1, 0, day(t, "2026-03-20"))
	if used, since := m.Used(); used < 11 || since != "2026-02-25" {
		t.Errorf("after a restart: got %d since %s", used, since)
	}
	_, _ = m.Count(1, 0, day(t, "2026-03-25"))
	if used, _ := m.Used(); used != 1 {
		t.Errorf("in the new month: got %d", used)
	}
}

func TestItWarnsOnceAMonth(t *testing.T) {
	keeper := newShelf()
	m := open(t, plan, keeper, 0)
	const percent = 1 << 20
	warned := func(percents int64, wall string) bool {
		t.Helper()
		warn, err := m.Count(percents*percent, 0, day(t, wall))
		if err != nil {
			t.Fatal(err)
		}
		return warn
	}
	if warned(79, "2026-03-01") || !warned(1, "2026-03-01") || warned(1, "2026-03-02") {
		t.Error("want one warning, at 80 %")
	}
	m = open(t, plan, keeper, 0)
	if warned(0, "2026-03-03") {
		t.Error("a restart warns again")
	}
	if warned(10, "2026-04-01") || !warned(70, "2026-04-01") {
		t.Error("the next month has a warning of its own")
	}
	c := plan
	c.Month *= 10
	m.Use(c)
	if warned(0, "2026-04-02") || !warned(720, "2026-04-03") {
		t.Error("a larger month has a warning of its own")
	}
}

func TestClassesStopAtTheirPart(t *testing.T) {
	m := open(t, plan, newShelf(), 0)
	for _, test := range []struct {
		bytes   int64
		wall    string
		stopped string
	}{
		{50<<20 - 1, "2026-03-01", ""}, {1, "2026-03-01", "bulk"}, {45 << 20, "2026-03-02", "bulk normal"}, {500 << 20, "2026-03-03", "bulk normal"},
		{0, "2026-04-01", ""},
		{96 << 20, "", "bulk normal"}, // without a date it counts all the same
	} {
		_, _ = m.Count(test.bytes, 0, day(t, test.wall))
		var stopped []string
		for _, class := range []string{"urgent", "bulk", "normal"} {
			if m.Stops(class) != "" {
				stopped = append(stopped, class)
			}
		}
		if got := strings.Join(stopped, " "); got != test.stopped {
			used, _ := m.Used()
			t.Errorf("with %d bytes used: got %q stopped, want %q", used, got, test.stopped)
		}
	}
	if got, want := m.Stops("bulk"), "50 % of the month's budget are used"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A day of traffic, each second some of it: what a kill at the worst moment would
// lose is bounded, and so is what the flash takes.
func TestAKillLosesLittleAndTheFlashLastsLong(t *testing.T) {
	for _, test := range []struct {
		name         string
		every        int // seconds between messages
		bytes        int64
		lost, writes int64 // at most
	}{
		{"busy", 1, 50_000, 4_350_000, 1441},
		{"very busy", 1, 1_000_000, 60_000_000, 1441},
		{"steady", 1, 2_000, 1_202_000, 145},
		{"quiet", 60, 100, 1_100, 145},
		{"silent", 100_000, 0, 0, 1},
	} {
		c, keeper := plan, newShelf()
		c.Month = 4 << 30
		m := open(t, c, keeper, 0)
		begin := day(t, "2026-03-01")
		total, worst, kept, writes := int64(0), int64(0), int64(0), 0
		for second := range 86_400 {
			bytes := int64(0)
			if second%test.every == 0 {
				bytes = test.bytes
			}
			total += bytes
			if _, err := m.Count(bytes, clock.Time(second)*clock.Second, begin.Add(time.Duration(second)*time.Second)); err != nil {
				t.Fatal(err)
			}
			if keeper.writes > writes {
				writes = keeper.writes
				kept, _ = open(t, c, keeper, 0).Used()
			}
			worst = max(worst, total-kept)
		}
		if worst > test.lost || int64(keeper.writes) > test.writes {
			t.Errorf("%s: a kill loses %d bytes at worst, %d writes a day: want at most %d and %d", test.name, worst, keeper.writes, test.lost, test.writes)
		}
	}
}

func TestAKeeperThatFailsIsAskedAgainLater(t *testing.T) {
	keeper := newShelf()
	m := open(t, plan, keeper, 0)
	_, _ = m.Count(0, 0, day(t, "2026-03-01"))
	keeper.err = errors.New("disk full")
	writes := keeper.writes
	failures := 0
	for second := range 120 {
		if _, err := m.Count(1<<20, clock.Time(second)*clock.Second, day(t, "2026-03-01")); err != nil {
			failures++
			if !errors.Is(err, keeper.err) {
				t.Fatal(err)
			}
		}
	}
	if failures == 0 || failures > 3 || keeper.writes-writes != failures {
		t.Errorf("%d failures, %d tries: want some, and no storm", failures, keeper.writes-writes)
	}
	keeper.err = nil
	if err := m.Save(0); err != nil {
		t.Fatal(err)
	}
	if used, _ := open(t, plan, keeper, 0).Used(); used != 120<<20 {
		t.Errorf("got %d bytes, want %d", used, 120<<20)
	}
}

func TestADamagedCountIsSaidAndBeginsAtZero(t *testing.T) {
	for _, text := range []string{"", "{", `{"since":"soon"}`, `{"used":-1}`, `{"used":"x"}`} {
		keeper := newShelf()
		keeper.values[key] = []byte(text)
		m, err := budget.NewMonth(plan, keeper, key, 0)
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%q: got %v", text, err)
		}
		_, _ = m.Count(7, 0, day(t, "2026-03-20"))
		if used, since := m.Used(); used != 7 || since != "2026-03-01" {
			t.Errorf("%q: got %d since %s", text, used, since)
		}
	}
}

// Count is called by one goroutine while others ask.
func TestManyMayAsk(t *testing.T) {
	m := open(t, plan, newShelf(), 0)
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 1000 {
				m.Stops("bulk")
				m.Used()
			}
		})
	}
	for second := range 1000 {
		_, _ = m.Count(1<<20, clock.Time(second)*clock.Second, day(t, "2026-03-01"))
		m.Use(plan)
	}
	asking.Wait()
}

func TestConfigIsCheckedWithPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"month: 1":                       "month: want a size such as 64MiB, at least 1MiB",
		"warn: 80":                       "month: missing",
		"month: 1GiB\nrenews: 32":        "renews: want an integer from 1 to 31",
		"month: 1GiB\nstop: {bulk: 101}": "stop.bulk: want an integer from 1 to 100",
		"month: 1GiB\nwarn: 0":           "warn: want an integer from 1 to 100",
	} {
		var c budget.Config
		if _, err := config.Decode("f.yaml", []byte(text), &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	var c budget.Config
	if _, err := config.Decode("f.yaml", []byte("month: 500MiB\nstop: {bulk: 90}"), &c); err != nil || c.Renews != 1 || c.Warn != 80 || c.Stop["bulk"] != 90 {
		t.Errorf("got %+v, %v", c, err)
	}
}
