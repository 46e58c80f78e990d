package export

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/config"
)

// Schedule is when batches may be sent. While the vehicle does not know the time of
// day nothing is sent.
type Schedule struct {
	// Times of the day from which and until which, such as 22:00-06:00, which ends on the next day; 24:00 is the end of the day.
	Windows []string `yaml:"windows" required:"true"`
	// Days on which the windows begin: mon, tue, wed, thu, fri, sat, sun; without it every day.
	Days []string `yaml:"days" enum:"mon,tue,wed,thu,fri,sat,sun"`
	// Whose time of day: utc, or local as the machine is set.
	Zone string `yaml:"zone" default:"utc" enum:"utc,local"`
}

// Validate checks the windows.
func (s *Schedule) Validate(r *config.Reporter) {
	if len(s.Windows) == 0 {
		r.At("windows").Errorf("want at least one, such as 22:00-06:00")
	}
	for i, text := range s.Windows {
		if _, err := parseWindow(text); err != nil {
			r.At("windows", i).Errorf("%v", err)
		}
	}
}

// hours is a schedule ready for use. The zero value has no hours.
type hours struct {
	windows []window
	days    [7]bool // by time.Weekday
	zone    *time.Location
}

// window is a part of the day in minutes; one whose end is not after its beginning
// ends on the next day.
type window struct{ from, to int }

const day = 24 * 60 // minutes

func (s *Schedule) compile() (*hours, error) {
	h := &hours{zone: time.UTC}
	if s.Zone == "local" {
		h.zone = time.Local
	}
	for _, text := range s.Windows {
		w, err := parseWindow(text)
		if err != nil {
			return nil, fmt.Errorf("schedule: %w", err)
		}
		h.windows = append(h.windows, w)
	}
	for d := time.Sunday; d <= time.Saturday; d++ {
		short := strings.ToLower(d.String()[:3])
		h.days[d] = len(s.Days) == 0 || slices.Contains(s.Days, short)
	}
	return h, nil
}

func parseWindow(text string) (w window, err error) {
	from, to, ok := strings.Cut(text, "-")
	w.from, err = parseMinute(from)
	if err == nil {
		w.to, err = parseMinute(to)
	}
	if !ok || err != nil || w.from == w.to || w.from == day {
		return w, fmt.Errorf("%q: want two different times of the day, such as 22:00-06:00", text)
	}
	return w, nil
}

// parseMinute reads hh:mm as minutes of the day.
func parseMinute(text string) (int, error) {
	if text == "24:00" {
		return day, nil
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err
}

// open reports whether now is in one of the windows. On the day on which clocks are
// changed a window is as the clocks on the wall have it.
func (h *hours) open(now time.Time) bool {
	now = now.In(h.zone)
	minute, today := now.Hour()*60+now.Minute(), now.Weekday()
	yesterday := (today + 6) % 7
	for _, w := range h.windows {
		overnight := w.to <= w.from
		switch {
		case h.days[today] && minute >= w.from && (overnight || minute < w.to):
			return true
		case h.days[yesterday] && overnight && minute < w.to:
			return true
		}
	}
	return false
}
