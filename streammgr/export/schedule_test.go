package export

import (
	"testing"
	"time"
)

func TestWindowsOfTheDay(t *testing.T) {
	for _, test := range []struct {
		windows, days []string
		now           string // 2026-01-30 is a Friday
		open          bool
	}{
		{[]string{"08:00-12:00"}, nil, "2026-01-30 07:59", false},
		{[]string{"08:00-12:00"}, nil, "2026-01-30 08:00", true},
		{[]string{"08:00-12:00"}, nil, "2026-01-30 11:59", true},
		{[]string{"08:00-12:00"}, nil, "2026-01-30 12:00", false},
		{[]string{"22:00-06:00"}, nil, "2026-01-30 23:00", true},
		{[]string{"22:00-06:00"}, nil, "2026-01-30 05:59", true},
		{[]string{"22:00-06:00"}, nil, "2026-01-30 06:00", false},
		{[]string{"22:00-06:00"}, nil, "2026-01-30 21:59", false},
		{[]string{"00:00-24:00"}, nil, "2026-01-30 23:59", true},
		{[]string{"8:00-9:00", "10:00-11:00"}, nil, "2026-01-30 10:30", true},
		{[]string{"8:00-9:00", "10:00-11:00"}, nil, "2026-01-30 09:30", false},
		{[]string{"22:00-06:00"}, []string{"fri"}, "2026-01-30 23:00", true},
		{[]string{"22:00-06:00"}, []string{"fri"}, "2026-01-31 05:00", true}, // it began on Friday
		{[]string{"22:00-06:00"}, []string{"fri"}, "2026-01-30 05:00", false},
		{[]string{"22:00-06:00"}, []string{"fri"}, "2026-01-31 23:00", false},
		{[]string{"22:00-06:00"}, []string{"sat"}, "2026-02-01 05:00", true}, // into Sunday, the first of the week
		{[]string{"12:00-24:00"}, []string{"sun"}, "2026-02-01 23:59", true},
		{[]string{"12:00-24:00"}, []string{"sun"}, "2026-02-02 00:00", false},
	} {
		h, err := (&Schedule{Windows: test.windows, Days: test.days}).compile()
		if err != nil {
			t.Fatal(err)
		}
		now, err := time.Parse("2006-01-02 15:04", test.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.open(now); got != test.open {
			t.Errorf("%v on %v at %s: got %t", test.windows, test.days, test.now, got)
		}
	}
}

func TestZonesOfASchedule(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	now := time.Date(2026, 1, 30, 22, 30, 0, 0, time.UTC) // 23:30 there
	utc, err := (&Schedule{Windows: []string{"22:00-23:00"}, Zone: "utc"}).compile()
	if err != nil {
		t.Fatal(err)
	}
	if !utc.open(now) || !utc.open(now.In(berlin)) {
		t.Error("a window in UTC is closed")
	}
	local, err := (&Schedule{Windows: []string{"22:00-23:00"}, Zone: "local"}).compile()
	if err != nil {
		t.Fatal(err)
	}
	if local.zone = berlin; local.open(now) || !local.open(now.Add(-time.Hour)) {
		t.Error("a local window goes by another clock")
	}
}

func TestWindowsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "-", "8:00", "8:00-8:00", "24:00-06:00", "8:60-9:00", "25:00-26:00", "8-9", "a-b", "8:00-9:00-10:00", "08:00 - 09:00"} {
		if w, err := parseWindow(text); err == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
}
