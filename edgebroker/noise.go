package edgebroker

import (
	"log/slog"
	"sync"

	"github.com/fascia-edge/fascia/clock"
)

// noisePause is how long a warning that clients can cause is not repeated.
const noisePause = 5 * clock.Second

// noise lets through one warning of a kind in a while and counts the rest: a
// hostile client must not fill the log.
type noise struct {
	mu    sync.Mutex
	kinds map[string]*muted
}

type muted struct {
	until clock.Time
	count int
}

func (n *noise) warn(log *slog.Logger, text string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kinds == nil {
		n.kinds = make(map[string]*muted)
	}
	m := n.kinds[text]
	if m == nil {
		m = &muted{}
		n.kinds[text] = m
	}
	at := clock.Now()
	if at < m.until {
		m.count++
		return
	}
	if m.count > 0 {
		args = append(args, "more_since_last", m.count)
	}
	log.Warn(text, args...)
	m.until, m.count = at+noisePause, 0
}
