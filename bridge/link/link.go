package link

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fascia-edge/fascia/edgebroker/message"
)

// wakeEvery is the least time between a try and one that Wake asks for.
const wakeEvery = time.Second

// Options are what a link needs beside its configuration.
type Options struct {
	Name string
	// Vars are the values of ${vin} and ${thing}.
	Vars    func(name string) (value string, ok bool)
	Handler Handler
	Will    *message.Message // nil for none
	Log     *slog.Logger
	// Signer is the private key where it is no file: in a TPM or a PKCS #11 token.
	Signer crypto.Signer
	// ALPN443 is offered on port 443 where the configuration says nothing: a profile's.
	ALPN443 []string

	resolver *net.Resolver // nil for the system's
}

// Link is the connection to a far broker. Run is its life; the other methods may be
// called by anybody at any time.
type Link struct {
	config    *Config
	options   Options
	endpoints []endpoint
	dialer    *dialer
	hello     hello
	back      backOff
	versions  map[string]*versions // by URL
	log       *slog.Logger
	delivered <-chan struct{} // closed when the last connection's messages were handed on

	woken chan struct{} // ends a wait

	mu        sync.Mutex // guards what follows
	state     State
	current   *connection             // nil when not up
	cancel    context.CancelCauseFunc // ends the try that goes on; nil when there is none
	tried     time.Time               // when that began
	restarted time.Time               // when Wake last ended one
}

var (
	errStopped  = errors.New("the link stops")
	errWoken    = errors.New("the network came up meanwhile")
	errFailBack = errors.New("the first address can be reached again")
)

// New makes a link of a validated configuration. It opens nothing.
func New(c Config, o Options) (*Link, error) {
	l, err := newLink(&c, o)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", o.Name, err)
	}
	return l, nil
}

func newLink(c *Config, o Options) (*Link, error) {
	d, err := newDialer(c, &o)
	if err != nil {
		return nil, err
	}
	l := &Link{
		config:   c,
		options:  o,
		dialer:   d,
		back:     backOff{config: c.BackOff},
		versions: make(map[string]*versions),
		log:      o.Log.With("link", o.Name),
		woken:    make(chan struct{}, 1),
		state:    State{Status: Down, Since: time.Now()},
	}
	handed := make(chan struct{})
	close(handed)
	l.delivered = handed
	for _, text := range append([]string{c.URL}, c.Endpoints...) {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		l.endpoints = append(l.endpoints, e)
		l.versions[e.url] = &versions{}
	}
	l.hello = hello{
		password:       c.Password,
		will:           o.Will,
		keepAlive:      uint16(time.Duration(c.KeepAlive).Seconds()),
		sessionExpiry:  uint32(time.Duration(c.SessionExpiry).Seconds()),
		receiveMaximum: uint16(c.ReceiveMaximum),
		maximumPacket:  uint32(c.MaxPacket),
	}
	if l.hello.clientID, err = fill(c.ClientID, o.Vars); err != nil {
		return nil, fmt.Errorf("client_id: %w", err)
	}
	if l.hello.clientID == "" {
		return nil, errors.New("client_id is empty: the far side keeps no session without one")
	}
	if l.hello.username, err = fill(c.Username, o.Vars); err != nil {
		return nil, fmt.Errorf("username: %w", err)
	}
	return l, nil
}

// fill puts values in the place of ${name}.
func fill(text string, vars func(string) (string, bool)) (string, error) {
	var filled strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		filled.WriteString(before)
		if !found {
			return filled.String(), nil
		}
		name, after, _ := strings.Cut(rest, "}")
		value, ok := vars(name)
		if !ok || value == "" {
			return "", fmt.Errorf("${%s} has no value", name)
		}
		filled.WriteString(value)
		text = after
	}
}

// Run keeps the link up until ctx ends; then it says DISCONNECT, so that the far side
// keeps the session and sends no will. It returns when no method of the handler runs
// any more.
func (l *Link) Run(ctx context.Context) {
	defer func() { <-l.delivered }()
	defer l.set(func(s *State) { s.Status, s.Version, s.NextTry = Down, 0, time.Time{} })
	at := 0 // the endpoint
	for ctx.Err() == nil {
		e := l.endpoints[at]
		stood, err := l.try(ctx, e)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errFailBack):
			l.log.Info("returning to the first address", "from", e.url)
			at = 0
			continue
		case errors.Is(err, errWoken), l.otherVersion(e, err):
			continue // at once, the same
		}
		at = (at + 1) % len(l.endpoints)
		if stood > 0 && stood >= time.Duration(l.config.BackOff.Stable) {
			l.back.reset()
			at = 0
		}
		var refusal *Refusal
		if errors.As(err, &refusal) && refusal.lasting() {
			l.back.longest()
		}
		if at == 0 && !l.pause(ctx) {
			return
		}
	}
}

// pause waits before the next try, until Wake or the end of ctx, which it reports by
// false.
func (l *Link) pause(ctx context.Context) bool {
	wait := l.back.pause()
	l.set(func(s *State) { s.Status, s.NextTry = Down, time.Now().Add(wait) })
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-l.woken:
	}
	l.back.reset()
	l.mu.Lock()
	rest := min(wakeEvery-time.Since(l.tried), wait)
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rest):
		return true
	}
}

// Wake says that the network came up, or that somebody wants the link now: a wait
// ends, a try that began before begins anew, a connection is asked whether it lives.
// It does not block, and is limited to what a far side can bear.
func (l *Link) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.current != nil:
		select {
		case l.current.prod <- struct{}{}:
		default: // it is asked already
		}
	case l.cancel != nil:
		// What was sent into the old network waits for TCP to send it again. But on a
		// slow network that changes often a try must come to its end, too.
		now := time.Now()
		if now.Sub(l.tried) >= wakeEvery && now.Sub(l.restarted) >= time.Duration(l.config.ConnectTimeout) {
			l.restarted = now
			l.cancel(errWoken)
		}
	default:
		select {
		case l.woken <- struct{}{}:
		default:
		}
	}
}

// try connects to e and serves the connection until it ends. stood is how long it
// stood, 0 if it never did.
func (l *Link) try(ctx context.Context, e endpoint) (stood time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.begin(e, cancel)
	d := l.dialectFor(e)
	one, err := l.connect(ctx, e, d, l.hello, nil)
	if err == nil {
		began := time.Now()
		l.begun(one)
		known := l.versions[e.url]
		known.five = known.five || one.session.Version == 5
		err = l.serve(ctx, cancel, e, one)
		stood = max(time.Since(began), 1)
	}
	l.ended(ctx, e, stood, err)
	return stood, err
}

// serve is the time in which the connection stands.
func (l *Link) serve(ctx context.Context, cancel context.CancelCauseFunc, e endpoint, one *connection) error {
	var returning sync.WaitGroup
	defer returning.Wait()
	if e != l.endpoints[0] && l.config.FailBack > 0 {
		looking, stop := context.WithCancel(ctx)
		defer stop()
		returning.Go(func() {
			if l.firstReachable(looking) {
				cancel(errFailBack)
			}
		})
	}
	before := l.delivered
	l.delivered = one.delivered
	return one.run(ctx, before)
}

// firstReachable waits until the first endpoint takes a connection, TLS and all: one
// that stands is not given up for less. It is false when ctx ends.
func (l *Link) firstReachable(ctx context.Context) bool {
	look := time.NewTicker(time.Duration(l.config.FailBack))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
		if conn, err := l.dialer.open(ctx, l.endpoints[0], nil); err == nil {
			_ = conn.Close()
			return ctx.Err() == nil
		}
	}
}
