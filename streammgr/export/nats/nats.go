// Package nats exports streams to a subject of a NATS server or cluster, each message
// as one there.
//
// With JetStream a message is done when a stream there has stored it. Nats-Msg-Id names
// it, so that JetStream drops one that comes twice within the stream's duplicate window.
// Many are on their way at once: if JetStream refuses one and takes the next, the one
// that was refused comes later, unless they go in atomic batches.
package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// Headers of a message, beside Nats-Msg-Id.
const (
	HeaderEpoch    = "Fascia-Epoch"
	HeaderSequence = "Fascia-Sequence"
	HeaderTime     = "Fascia-Time" // when it was appended, in milliseconds since 1970
)

const (
	dialTimeout = 20 * time.Second
	ackTimeout  = 30 * time.Second
	// window is how many messages are on their way at most.
	window = 512
)

// Target publishes messages. Its methods are for one goroutine at a time.
type Target struct {
	config  Config
	subject string
	id      string // before epoch and sequence
	options []nats.Option
	conn    *nats.Conn // nil before the first Send
	js      jetstream.JetStream
}

// New makes a target; vars are the values of vin, thing and stream. It does not go over
// the network.
func New(c Config, vars map[string]string) (*Target, error) {
	t := &Target{config: c, subject: fill(c.Subject, vars, word), id: fill(c.Source, vars, plain) + "/" + plain(vars["stream"]) + "/"}
	if t.subject == "" {
		return nil, errors.New("nats: want a subject")
	}
	t.options = []nats.Option{
		nats.Name("fascia export"), nats.Timeout(dialTimeout), nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // what can't be sent now is sent by the exporter, later
	}
	add := func(given bool, option func() nats.Option) {
		if given {
			t.options = append(t.options, option())
		}
	}
	add(c.Credentials != "", func() nats.Option { return nats.UserCredentials(c.Credentials) })
	add(c.User != "", func() nats.Option { return nats.UserInfo(c.User, c.Password) })
	add(c.Token != "", func() nats.Option { return nats.Token(c.Token) })
	add(c.TLS.CA != "", func() nats.Option { return nats.RootCAs(c.TLS.CA) })
	add(c.TLS.Cert != "", func() nats.Option { return nats.ClientCert(c.TLS.Cert, c.TLS.Key) })
	return t, nil
}

// fill puts values into a template.
func fill(template string, vars map[string]string, clean func(string) string) string {
	var pairs []string
	for name, value := range vars {
		pairs = append(pairs, "${"+name+"}", clean(value))
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// word makes a value a word of a subject.
func word(value string) string {
	if value == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(".*>", r) {
			return '_'
		}
		return r
	}, value)
}

// plain makes a value one that a header can have.
func plain(value string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, value)
}

// Send publishes a batch, and returns when all of it is acknowledged, or what the first
// one that isn't hears.
func (t *Target) Send(ctx context.Context, batch []log.Message) (export.Sent, error) {
	if err := t.connect(); err != nil {
		return export.Sent{}, t.explain(err)
	}
	before := t.conn.Stats().OutBytes
	publish := t.publish
	switch {
	case t.config.Acknowledge == Core:
		publish = t.publishCore
	case t.config.Atomic:
		publish = t.publishAtomic
	}
	done, err := publish(ctx, batch)
	sent := export.Sent{Done: done, Bytes: int64(t.conn.Stats().OutBytes - before)}
	if err != nil && ctx.Err() != nil {
		return sent, ctx.Err()
	}
	if err != nil {
		return sent, t.explain(err)
	}
	return sent, nil
}

// connect makes the connection; it comes back by itself when it was lost.
func (t *Target) connect() error {
	if t.conn != nil && !t.conn.IsClosed() {
		return nil
	}
	conn, err := nats.Connect(t.config.URL, t.options...)
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window+1), jetstream.WithPublishAsyncTimeout(ackTimeout))
	if err != nil {
		conn.Close()
		return err
	}
	t.conn, t.js = conn, js
	return nil
}

// message is a message as it goes out.
func (t *Target) message(m *log.Message) *nats.Msg {
	epoch, seq := strconv.FormatUint(uint64(m.Epoch), 10), strconv.FormatUint(m.Seq, 10)
	return &nats.Msg{Subject: t.subject, Data: m.Payload, Header: nats.Header{
		jetstream.MsgIDHeader: {t.id + epoch + "-" + seq},
		HeaderEpoch:           {epoch},
		HeaderSequence:        {seq},
		HeaderTime:            {strconv.FormatInt(m.Time.UnixMilli(), 10)},
	}}
}

// publish has JetStream acknowledge each message.
func (t *Target) publish(ctx context.Context, batch []log.Message) (done int, err error) {
	var under []jetstream.PubAckFuture // way, from done on
	settle := func() {
		e := settled(ctx, under[0])
		under = under[1:]
		if err == nil && e == nil {
			done++
		} else if err == nil {
			err = e
		}
	}
	for i := range batch {
		if len(under) == window {
			settle()
		}
		if err != nil {
			break
		}
		f, e := t.js.PublishMsgAsync(t.message(&batch[i]))
		if e != nil {
			for len(under) > 0 {
				settle()
			}
			if err == nil {
				err = e
			}
			break
		}
		under = append(under, f)
	}
	for len(under) > 0 { // or those of the next try would overtake them
		settle()
	}
	return done, err
}

// settled waits for an acknowledgement.
func settled(ctx context.Context, f jetstream.PubAckFuture) error {
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publishCore has the server acknowledge all of them.
func (t *Target) publishCore(ctx context.Context, batch []log.Message) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	for i := range batch {
		if err := t.conn.PublishMsg(t.message(&batch[i])); err != nil {
			if flush := t.conn.FlushWithContext(ctx); flush != nil {
				return 0, flush
			}
			return i, err
		}
	}
	if err := t.conn.FlushWithContext(ctx); err != nil {
		return 0, err
	}
	return len(batch), nil
}

// explain adds where, and what an error calls for.
func (t *Target) explain(err error) error {
	var api *jetstream.APIError
	kind := error(nil)
	text := err.Error()
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		kind = export.ErrUnfit
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		text = "no JetStream stream there has this subject"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrPermissionViolation):
		kind = export.ErrRefused
	case errors.As(err, &api):
		kind = kindOf(api)
	}
	where := fmt.Sprintf("nats: subject %q", t.subject)
	if kind != nil {
		return fmt.Errorf("%s: %w: %s", where, kind, text)
	}
	return fmt.Errorf("%s: %s", where, text)
}

// Error codes of JetStream's API (nats-server, server/errors.json).
const (
	codeTooLarge    = 10054 // message size exceeds maximum allowed
	codeStoreFailed = 10077 // the stream is full, or its limits are reached
	codeNoResources = 10023
	codeNoStorage   = 10047
	codeBatchBroken = 10176 // given up by the server: it took too long
	codeBatchTwice  = 10201 // it has a message that is there already
	codeBatchesMany = 10210 // too many are under way
)

// kindOf says what an error of JetStream calls for; nil for trying again soon.
func kindOf(e *jetstream.APIError) error {
	switch {
	case e.ErrorCode == codeTooLarge:
		return export.ErrUnfit
	case e.ErrorCode == codeStoreFailed, e.ErrorCode == codeNoResources, e.ErrorCode == codeNoStorage, e.Code == 429:
		return export.ErrThrottled
	case e.ErrorCode == codeBatchBroken, e.ErrorCode == codeBatchesMany, e.Code >= 500:
		return nil
	}
	return export.ErrRefused
}

// Close lets go of the connection.
func (t *Target) Close(context.Context) error {
	if t.conn != nil {
		t.conn.Close()
	}
	return nil
}
