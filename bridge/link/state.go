package link

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Status is how a link stands.
type Status string

// What a link may be.
const (
	Up         Status = "up"
	Connecting Status = "connecting"
	Down       Status = "down" // until the next try, or for good when it does not run
)

// State is a link at one moment.
type State struct {
	Status    Status
	Since     time.Time     // when it came up, or when it was lost: tries in between don't count
	Endpoint  string        // in use, or tried last
	Version   byte          // of MQTT, 5 or 4 for 3.1.1; 0 when not up
	RTT       time.Duration // smoothed round-trip time; 0 when not up
	Attempts  int           // tries since it was up
	LastError string        // why the last try failed, or the last connection ended
	NextTry   time.Time     // when down
	Dropped   uint64        // messages of the far side at QoS 0 that found no room
	// Bytes of TCP payload since the start, TLS, WebSocket and proxy included.
	BytesIn, BytesOut uint64
}

// State is how the link stands now.
func (l *Link) State() State {
	l.mu.Lock()
	s, one := l.state, l.current
	l.mu.Unlock()
	s.BytesIn, s.BytesOut = l.dialer.in.Load(), l.dialer.out.Load()
	if one != nil {
		s.RTT = one.pulse.rtt()
		s.Dropped += one.inbox.lost()
	}
	return s
}

func (l *Link) set(change func(*State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.state.Status
	change(&l.state)
	if (l.state.Status == Up) != (before == Up) {
		l.state.Since = time.Now()
	}
}

// begin notes a try.
func (l *Link) begin(e endpoint, cancel context.CancelCauseFunc) {
	l.set(func(s *State) {
		s.Status, s.Endpoint, s.NextTry = Connecting, e.url, time.Time{}
		s.Attempts++
		l.cancel, l.tried = cancel, time.Now()
		select {
		case <-l.woken: // this is what was asked for
		default:
		}
	})
}

// begun notes that the connection stands.
func (l *Link) begun(one *connection) {
	l.set(func(s *State) {
		s.Status, s.Version = Up, one.session.Version
		s.Attempts, s.LastError = 0, ""
		l.current, l.cancel = one, nil
	})
	l.log.Info("link is up", "endpoint", one.session.Endpoint, "mqtt", versionName(one.session.Version), "session_present", one.session.Present)
}

// ended notes that a try failed or a connection ended. A log of days without a
// network has each reason once.
func (l *Link) ended(ctx context.Context, e endpoint, stood time.Duration, err error) {
	level := slog.LevelWarn
	l.set(func(s *State) {
		if ctx.Err() != nil || s.Attempts > 1 && s.LastError == err.Error() {
			level = slog.LevelDebug
		}
		s.Status, s.Version, s.LastError = Connecting, 0, err.Error()
		if l.current != nil {
			s.Dropped += l.current.inbox.lost()
		}
		l.current, l.cancel = nil, nil
	})
	l.log.Log(ctx, level, "link is down", "endpoint", e.url, "error", err, "stood", stood.Round(time.Millisecond).String())
}

func versionName(version byte) string {
	if version == 5 {
		return "5"
	}
	return "3.1.1"
}

// String describes the answer, for people.
func (a accepted) String() string {
	if a.Version == 0 {
		return ""
	}
	text := "MQTT " + versionName(a.Version)
	if a.Present {
		text += ", session present"
	}
	if a.Version == 5 {
		text += fmt.Sprintf(", receive maximum %d, %d topic aliases, QoS to %d", a.ReceiveMaximum, a.TopicAliasMaximum, a.MaximumQoS)
	}
	if a.MaximumPacket > 0 {
		text += fmt.Sprintf(", packets to %d bytes", a.MaximumPacket)
	}
	if a.keepAlive > 0 {
		text += fmt.Sprintf(", keep-alive %d s", a.keepAlive)
	}
	return text
}
