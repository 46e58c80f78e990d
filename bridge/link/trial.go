package link

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// TestSuffix is behind the client id of a Test: with the link's own the far side
// would end the link's connection.
const TestSuffix = "-test"

// TestResult is what became of a Test.
type TestResult struct {
	Endpoints []EndpointTest
}

// OK reports whether all endpoints took a connection.
func (r TestResult) OK() bool {
	for _, e := range r.Endpoints {
		if e.Err != nil {
			return false
		}
	}
	return len(r.Endpoints) > 0
}

// EndpointTest is one endpoint's part of it.
type EndpointTest struct {
	URL   string
	Steps []Step        // in their order; the last one is that which failed
	Took  time.Duration // all of them
	Err   error         // nil if a CONNACK came that says yes
}

// Test connects to each endpoint, says goodbye, and tells how that went step by step.
// It leaves no session behind, and takes none from a link that is up: its client id
// has TestSuffix behind it, which the far side must allow. It blocks for at most the
// time-out of each step.
func Test(ctx context.Context, c Config, o Options) (TestResult, error) {
	o.Log, o.Handler, o.Will = slog.New(slog.DiscardHandler), deaf{}, nil
	l, err := New(c, o)
	if err != nil {
		return TestResult{}, err
	}
	h := l.hello
	h.clientID += TestSuffix
	h.clean, h.sessionExpiry = true, 0
	var r TestResult
	for _, e := range l.endpoints {
		r.Endpoints = append(r.Endpoints, l.test(ctx, e, h))
	}
	return r, nil
}

func (l *Link) test(ctx context.Context, e endpoint, h hello) EndpointTest {
	t := EndpointTest{URL: e.url}
	began := time.Now()
	for {
		one, err := l.connect(ctx, e, l.dialectFor(e), h, func(s Step) { t.Steps = append(t.Steps, s) })
		t.Err = err
		if err != nil && ctx.Err() == nil && l.otherVersion(e, err) {
			continue
		}
		if err == nil {
			over, cancel := context.WithCancel(ctx)
			cancel()
			_ = one.run(over, l.delivered) // it says goodbye; that it answered is what was asked
			<-one.delivered
		}
		t.Took = time.Since(began)
		return t
	}
}

// String is the result for people, a line a step.
func (t EndpointTest) String() string {
	text := t.URL + "\n"
	for _, s := range t.Steps {
		what := s.Detail
		if s.Err != nil {
			what = s.Err.Error()
		}
		text += fmt.Sprintf("  %-10s %9s  %s\n", s.Name, s.Took.Round(10*time.Microsecond), what)
	}
	return text
}

// deaf is a Handler for a connection that nothing is sent by.
type deaf struct{}

func (deaf) Connected(Conn, Session)                 {}
func (deaf) Acknowledged(uint16, byte, string)       {}
func (deaf) Received(_ message.Message, done func()) { done() }
func (deaf) Lost(error)                              {}
