package spool

import (
	"time"

	"github.com/fascia-edge/fascia/clock"
)

// A far side may answer a message by closing the connection (AWS IoT Core does where
// a limit is broken). Sent again first, that message would keep the link down for
// ever, so it has to be found among those under way, and must not be taken for one
// that only was under way when a tunnel began.
const (
	// mostClosings is how often the link may close right after a message was sent
	// alone.
	mostClosings = 2
	// promptly is how soon a closing must come to be laid to a message.
	promptly = 15 * clock.Second
	// Bounds of the quiet before a suspect is sent.
	leastQuiet = clock.Second / 5
	mostQuiet  = 30 * clock.Second
)

// suspicion looks for the message after which the far side closes the link. A
// connection that ended without a single acknowledgement begins it: from then on what
// was under way is sent one message at a time, and only on a connection that has stood
// twice as long in quiet as the last one did after its first message. One that can't
// do even that is a bad link, not a bad message.
type suspicion struct {
	alone  bool       // messages are sent one at a time
	last   uint64     // order of the last suspect
	length clock.Time // of the quiet
	quiet  clock.Time // nothing is sent before; 0 when nothing was asked
	first  clock.Time // when the first message was sent on this connection, 0 for none yet
	acks   int        // acknowledgements on this connection
}

func (s *suspicion) connected(now clock.Time) {
	s.first, s.acks, s.quiet = 0, 0, 0
	if s.alone {
		s.quiet = now + s.length
	}
}

func (s *suspicion) sent(now clock.Time) {
	if s.first == 0 {
		s.first = now
	}
}

// lost tells the end of a connection; the guilty flight comes back when it is found.
func (s *suspicion) lost(w *window, now clock.Time) (guilty *flight) {
	switch {
	case s.alone && s.first == 0:
		s.alone = false // it did not survive the quiet
		w.each(func(f *flight) { f.closings = 0 })
	case s.alone:
		w.each(func(f *flight) {
			if f.sent && !f.judged && now-f.at < promptly {
				if f.closings++; f.closings >= mostClosings {
					guilty = f
				}
				s.length = quietAfter(now - f.at)
			}
		})
	case s.acks == 0 && w.sent > 0 && now-s.first < promptly:
		s.alone, s.last = true, w.orders
		s.length = quietAfter(now - s.first)
	}
	return guilty
}

func quietAfter(took clock.Time) clock.Time { return min(max(2*took, leastQuiet), mostQuiet) }

// wait is how long nothing may be sent yet.
func (s *suspicion) wait(now clock.Time) time.Duration {
	if s.quiet > now {
		return time.Duration(s.quiet - now)
	}
	return 0
}

// cleared ends the search when no suspect is under way any more.
func (s *suspicion) cleared(w *window) {
	if !s.alone {
		return
	}
	for i := range w.flights {
		if f := &w.flights[i]; f.class != nil && f.order <= s.last {
			return
		}
	}
	s.alone = false
}
