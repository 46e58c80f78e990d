// Package budget keeps count of what a link costs in a month, and stops the classes
// that the rest of the month is to be kept from.
package budget

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
)

// Config is what a link may cost.
type Config struct {
	// Bytes of a month on the wire, both ways, TLS included, without the headers of TCP and IP.
	Month config.Size `yaml:"month" required:"true" min:"1MiB"`
	// Day of the month on which it begins, at 0:00 UTC; the last day of a month that has no such day.
	Renews int `yaml:"renews" default:"1" min:"1" max:"31"`
	// Percent of the month at which the log warns, once.
	Warn int `yaml:"warn" default:"80" min:"1" max:"100"`
	// Percent of the month, by class, from which on nothing of the class is sent until the next one, such as {bulk: 80, normal: 95}. A class that is not listed is never stopped.
	Stop map[string]int `yaml:"stop" min:"1" max:"100"`
}

// Keeper keeps small values over a restart, by key.
type Keeper interface {
	Get(key string) []byte // nil if there is none
	Put(key string, value []byte) error
}

// How often the count is written: when a thousandth of the month came since, but
// once a minute at most, and every ten minutes if anything came. That is what a
// kill or a power cut can lose, and 1,440 small writes a day at most for the flash.
const (
	writeLeast = clock.Time(time.Minute)
	writeMost  = clock.Time(10 * time.Minute)
	writePart  = 1000
)

// Month counts the bytes of a link by month. It is safe for concurrent use.
//
// A machine may not know the date when it starts. What is counted meanwhile counts
// towards the limits at once, and belongs to the month that it turns out to be. A
// clock that is set back, or another day of renewal, keeps what was counted: only a
// month that begins sets it to zero.
type Month struct {
	key    string
	keeper Keeper

	mu      sync.Mutex // guards the fields below
	config  Config
	stops   map[string]stop
	record  record
	written clock.Time // when the record was, or failed to be
	unsaved int64      // bytes since
}

// stop is where a class ends.
type stop struct {
	bytes  int64
	reason string
}

// record is the count as it is kept.
type record struct {
	Since   string `json:"since,omitempty"` // day on which the month began, "" while it was never known
	Renews  int    `json:"renews"`
	Used    int64  `json:"used"`
	Undated int64  `json:"undated,omitempty"` // came while the date was not known
	Warned  bool   `json:"warned,omitempty"`
}

// NewMonth goes on with what keeper has by that key. The error says that it can't be
// read; the month is then of use all the same, and begins at zero.
func NewMonth(c Config, keeper Keeper, key string, now clock.Time) (*Month, error) {
	m := &Month{key: key, keeper: keeper, written: now}
	m.Use(c)
	var err error
	if text := keeper.Get(key); text != nil {
		if err = m.record.read(text); err != nil {
			err = fmt.Errorf("budget: the count that was kept as %q can't be read, it begins at zero: %w", key, err)
		}
	}
	if m.record.Renews == 0 {
		m.record.Renews = c.Renews
	}
	return m, err
}

func (r *record) read(text []byte) error {
	var read record
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	if _, err := time.Parse(time.DateOnly, read.Since); err != nil && read.Since != "" {
		return fmt.Errorf("since %q: want a day", read.Since)
	}
	if read.Used < 0 || read.Undated < 0 {
		return fmt.Errorf("%d and %d bytes: want at least 0", read.Used, read.Undated)
	}
	*r = read
	return nil
}

// Use takes over other limits. What was counted stays.
func (m *Month) Use(c Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.config = c
	m.stops = make(map[string]stop, len(c.Stop))
	for class, percent := range c.Stop {
		m.stops[class] = stop{
			bytes:  part(c.Month, percent),
			reason: fmt.Sprintf("%d %% of the month's budget are used", percent),
		}
	}
}

// part is so many percent of a month, in bytes.
func part(month config.Size, percent int) int64 {
	return int64(month)/100*int64(percent) + int64(month)%100*int64(percent)/100
}

// Count adds bytes. It is to be called about once a second, with zero too: it begins
// the months and writes the count. wall is zero while the date is not known. warn is
// true once a month. The error is the keeper's; the count is written again later.
func (m *Month) Count(bytes int64, now clock.Time, wall time.Time) (warn bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	news := !wall.IsZero() && m.date(wall)
	if wall.IsZero() {
		m.record.Undated += bytes
	} else {
		m.record.Used += bytes
	}
	m.unsaved += bytes
	over := m.used() >= part(m.config.Month, m.config.Warn)
	warn = over && !m.record.Warned
	m.record.Warned = over

	since := now - m.written
	if news || warn || m.unsaved > 0 && (since >= writeMost || since >= writeLeast && m.unsaved >= int64(m.config.Month)/writePart) {
		err = m.write(now)
	}
	return warn, err
}

// date finds the month that a moment is in, and reports whether that is news.
func (m *Month) date(wall time.Time) bool {
	r := &m.record
	since, renews := began(wall, m.config.Renews).Format(time.DateOnly), m.config.Renews
	if r.Since == since && r.Renews == renews && r.Undated == 0 {
		return false
	}
	if r.Since != "" && since > r.Since && r.Renews == renews {
		r.Used = 0
	}
	r.Since, r.Renews = since, renews
	r.Used += r.Undated
	r.Undated = 0
	return true
}

// began is the day on which the month of a moment began.
func began(wall time.Time, renews int) time.Time {
	year, month, day := wall.UTC().Date()
	if day < renewal(year, month, renews).Day() {
		month-- // time.Date takes month 0 for last December
	}
	return renewal(year, month, renews)
}

// renewal is the day of a month on which a new one begins for the contract.
func renewal(year int, month time.Month, renews int) time.Time {
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return time.Date(year, month, min(renews, last), 0, 0, 0, 0, time.UTC)
}

// Stops says why nothing of a class is to be sent, "" if it may be.
func (m *Month) Stops(class string) (reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.stops[class]; ok && m.used() >= s.bytes {
		return s.reason
	}
	return ""
}

// Used is what was counted in this month, in bytes, and the day on which it began, ""
// while that is not known.
func (m *Month) Used() (bytes int64, since string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used(), m.record.Since
}

// used is what counts towards the limits. mu is held.
func (m *Month) used() int64 { return m.record.Used + m.record.Undated }

// Save writes the count, if there is anything new. It is for an orderly end.
func (m *Month) Save(now clock.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unsaved == 0 {
		return nil
	}
	return m.write(now)
}

// write puts the record into the keeper. mu is held.
func (m *Month) write(now clock.Time) error {
	m.written = now // also if it fails: the store is not asked each second
	text, err := json.Marshal(m.record)
	if err == nil {
		err = m.keeper.Put(m.key, text)
	}
	if err != nil {
		return fmt.Errorf("budget: the count of the month can't be kept: %w", err)
	}
	m.unsaved = 0
	return nil
}
