package health

import (
	"log/slog"
	"time"
)

// eventLog writes at most logsASecond lines a second and counts the rest.
type eventLog struct {
	log    *slog.Logger
	begin  int64 // of the second
	lines  int
	unsaid int
}

// add writes a line by say, one of the logger's own methods.
func (l *eventLog) add(boot int64, say func(string, ...any), text string, args ...any) {
	l.flush(boot)
	if l.lines == logsASecond {
		l.unsaid++
		return
	}
	l.lines++
	say(text, args...)
}

// flush tells how many lines were left out once their second is over.
func (l *eventLog) flush(boot int64) {
	if boot-l.begin < int64(time.Second) {
		return
	}
	if l.unsaid > 0 {
		l.log.Warn("more messages and signals changed their state: `fascia status` and health/# have them", "changes", l.unsaid)
	}
	l.begin, l.lines, l.unsaid = boot, 0, 0
}
