// Package http exports streams to an HTTP endpoint: each batch is the body of a POST.
//
// Its messages follow one another in one epoch, which the headers name, so that an
// endpoint can leave out what it has already:
//
//	Fascia-Stream:   drive          the stream, with %XX for what is no letter or digit
//	Fascia-Epoch:    3
//	Fascia-First:    1000           sequence of the first message
//	Fascia-Last:     1499           and of the last one
//	Idempotency-Key: "VIN/drive/3-1000-1499"
//
// Any 2xx acknowledges all of it. 429 and 503 throttle, for as long as Retry-After
// says; 408 and what else begins with 5 is tried again; 413 has the batch sent in
// halves; anything else refuses.
package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// Headers of a request beside those of the configuration.
const (
	HeaderStream = "Fascia-Stream"
	HeaderEpoch  = "Fascia-Epoch"
	HeaderFirst  = "Fascia-First"
	HeaderLast   = "Fascia-Last"
	HeaderKey    = "Idempotency-Key"
)

// ours are the headers that a configuration may not have.
var ours = map[string]bool{
	HeaderStream: true, HeaderEpoch: true, HeaderFirst: true, HeaderLast: true, HeaderKey: true,
	"Content-Type": true, "Content-Length": true, "Content-Encoding": true, "Host": true, "Connection": true, "Transfer-Encoding": true,
}

// maxAnswer is how much of an answer is read, and maxQuote how much of it is told.
const (
	maxAnswer = 64 << 10
	maxQuote  = 200
)

// Target posts messages. Its methods are for one goroutine at a time.
type Target struct {
	config Config
	url    *url.URL
	header http.Header
	key    string // beginning of the idempotency key
	packer *pack.Packer
	client *http.Client
	body   []byte

	most  int // messages of a request, after one was too large
	quick int // messages of a request, after one took too long; it grows again
}

// anyNumber is more messages than a batch has.
const anyNumber = 1 << 30

// New makes a target. vars are the values of vin, thing and stream. It does not go
// over the network.
func New(c Config, vars map[string]string) (*Target, error) {
	packer, err := pack.New(c.Config)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	u, err := url.Parse(fill(c.URL, vars, url.PathEscape))
	if err != nil {
		return nil, fmt.Errorf("http: url: %w", err)
	}
	stream := url.PathEscape(vars["stream"])
	t := &Target{config: c, url: u, packer: packer, header: http.Header{}, most: anyNumber, quick: anyNumber}
	for name, value := range c.Headers {
		t.header.Set(name, fill(value, vars, url.PathEscape))
	}
	t.header.Set("Content-Type", c.ContentType)
	if c.Compress != pack.None {
		t.header.Set("Content-Encoding", c.Compress)
	}
	t.header.Set(HeaderStream, stream)
	t.key = fill(c.Source, vars, url.PathEscape) + "/" + stream + "/"
	t.client = &http.Client{
		Transport:     t.transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t, nil
}

func fill(template string, vars map[string]string, escape func(string) string) string {
	for name, value := range vars {
		template = strings.ReplaceAll(template, "${"+name+"}", escape(value))
	}
	return template
}

// Send posts a batch, in several requests where it has gaps or more than one epoch,
// or is too large for the endpoint, or for the link to carry it in time.
func (t *Target) Send(ctx context.Context, batch []log.Message) (sent export.Sent, err error) {
	for sent.Done < len(batch) {
		run := batch[sent.Done:]
		run = run[:min(pack.Run(run), t.most, t.quick)]
		begun := time.Now()
		bytes, err := t.post(ctx, run)
		sent.Bytes += bytes
		switch {
		case err == nil:
			sent.Done += len(run)
			if took := time.Since(begun); took < time.Duration(t.config.Timeout)/8 && t.quick < anyNumber {
				t.quick *= 2
			}
		case errors.Is(err, errTooLarge) && len(run) > 1:
			t.most = len(run) / 2
		default:
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
				t.quick = max(1, len(run)/2)
			}
			return sent, t.explain(err, &run[0])
		}
	}
	return sent, nil
}

// explain adds where, and what becomes of a message that is too large by itself.
func (t *Target) explain(err error, m *log.Message) error {
	if errors.Is(err, errTooLarge) {
		err = fmt.Errorf("%w: %w: it has %d bytes", err, export.ErrUnfit, len(m.Payload))
	}
	return fmt.Errorf("http: %s: %w", t.url.Host, err)
}

// post sends messages in one request, and returns how many bytes went out.
func (t *Target) post(ctx context.Context, run []log.Message) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.config.Timeout))
	defer cancel()
	t.body = t.packer.Append(t.body[:0], run)
	body := &counted{in: bytes.NewReader(t.body), done: make(chan struct{})}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), body)
	if err != nil {
		return 0, err
	}
	r.ContentLength = int64(len(t.body))
	r.Header = t.header.Clone()
	first, last := &run[0], &run[len(run)-1]
	epoch := strconv.FormatUint(uint64(first.Epoch), 10)
	from, to := strconv.FormatUint(first.Seq, 10), strconv.FormatUint(last.Seq, 10)
	r.Header.Set(HeaderEpoch, epoch)
	r.Header.Set(HeaderFirst, from)
	r.Header.Set(HeaderLast, to)
	r.Header.Set(HeaderKey, `"`+t.key+epoch+"-"+from+"-"+to+`"`)
	answer, err := t.client.Do(r)
	if err != nil {
		<-body.done // the body is used again
		return body.sent(), withoutURL(err)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	_ = answer.Body.Close() // what was read tells
	<-body.done
	if answer.StatusCode/100 == 2 {
		return body.sent(), nil // it is acknowledged, whatever becomes of the answer's text
	}
	return body.sent(), judge(answer, text, err)
}

// Close lets go of connections.
func (t *Target) Close(context.Context) error {
	t.client.CloseIdleConnections()
	return nil
}
