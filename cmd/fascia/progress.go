package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/gateway"
)

// progress shows on a terminal how far long work has come; elsewhere nothing.
type progress struct {
	w        io.Writer // nil for nothing
	what     string
	from, to uint64
	begun    time.Time
	shown    time.Time
}

const (
	progressWidth = 30
	progressEvery = 100 * time.Millisecond
)

func newProgress(w io.Writer, what string) *progress {
	p := &progress{what: what}
	if gateway.IsTerminal(w) {
		p.w = w
	}
	return p
}

// begin says from where to where, once; to is 0 if nobody knows.
func (p *progress) begin(from, to uint64) {
	if p.begun.IsZero() {
		p.from, p.to, p.begun = from, to, time.Now()
	}
}

// at shows how far it has come.
func (p *progress) at(n uint64) {
	now := time.Now()
	if p.w == nil || p.begun.IsZero() || n < p.from || now.Sub(p.shown) < progressEvery && n != p.to {
		return
	}
	p.shown = now
	fmt.Fprintf(p.w, "\r\x1b[K%s", p.text(n, now))
}

func (p *progress) text(n uint64, now time.Time) string {
	done := n - p.from
	rate := float64(done) / max(now.Sub(p.begun).Seconds(), 1e-3)
	if p.to <= p.from {
		return fmt.Sprintf("%d %s, %.0f/s", done, p.what, rate)
	}
	part := min(float64(done)/float64(p.to-p.from), 1)
	full := int(part * progressWidth)
	left := time.Duration(float64(p.to-p.from-min(done, p.to-p.from)) / max(rate, 1) * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("[%s%s] %3.0f %%  %d %s, %.0f/s, %s left", strings.Repeat("#", full), strings.Repeat(" ", progressWidth-full), 100*part, done, p.what, rate, left)
}

// end clears the line.
func (p *progress) end() {
	if p.w != nil && !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
