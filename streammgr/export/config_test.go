package export_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
)

func TestConfigIsCheckedWithPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"priority: 1":                      "name: missing",
		"name: a b":                        `name: "a b": want up to 64 letters`,
		"name: a\npriority: 0":             "priority: want an integer from 1 to 10",
		"name: a\npriority: 11":            "priority: want an integer from 1 to 10",
		"name: a\nbatch_size: 0":           "batch_size: want an integer",
		"name: a\nbatch_bytes: 1":          "batch_bytes: want a size",
		"name: a\nrate: 1":                 "rate: want a size",
		"name: a\nschedule: {windows: []}": "schedule.windows: want at least one",
		"name: a\nschedule: {windows: [\"8:00-9:00\", \"x\"]}":       `schedule.windows[1]: "x": want two different times`,
		"name: a\nschedule: {windows: [\"8:00-9:00\"], days: [day]}": "schedule.days[0]: want mon",
		"name: a\nschedule: {windows: [\"8:00-9:00\"], zone: cet}":   "schedule.zone: want utc or local",
		"name: a\nbackoff: {min: 10m, max: 1m}":                      "backoff.min: 10m0s is more than max, 1m0s",
	} {
		var c export.Config
		if _, err := config.Decode("f.yaml", []byte(text), &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	var c export.Config
	text := "name: a\nrate: 1MB\nschedule: {windows: [\"22:00-06:00\"], days: [sat, sun], zone: local}"
	if _, err := config.Decode("f.yaml", []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.BatchInterval != config.Duration(time.Second) || c.Rate != 1_000_000 || c.Schedule.Zone != "local" || c.BackOff.Max != config.Duration(time.Minute) {
		t.Errorf("got %+v", c)
	}
}
