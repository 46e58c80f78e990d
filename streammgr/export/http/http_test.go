package http_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/http"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

func TestMain(m *testing.M) {
	if endpointOfAProcess() {
		return
	}
	goleak.VerifyTestMain(m)
}

// messages are those from a sequence up to another.
func messages(epoch uint32, from, to uint64) (batch []log.Message) {
	for i := from; i < to; i++ {
		batch = append(batch, log.Message{Seq: i, Epoch: epoch, Time: time.UnixMilli(1), Payload: fmt.Appendf(nil, "message %d", i)})
	}
	return batch
}

// endpoint is a far side that keeps what it acknowledged.
type endpoint struct {
	*httptest.Server
	mu       sync.Mutex
	config   pack.Config
	got      []log.Message
	requests []nethttp.Header
	answer   func(w nethttp.ResponseWriter, try, messages int) bool // true if it has answered
}

func listen(t testing.TB, c pack.Config) *endpoint {
	e := &endpoint{config: c}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	in, err := pack.NewReader(e.config, bytes.NewReader(body))
	if err != nil {
		nethttp.Error(w, err.Error(), nethttp.StatusBadRequest)
		return
	}
	defer in.Close()
	var batch []log.Message
	for {
		m, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			nethttp.Error(w, err.Error(), nethttp.StatusBadRequest)
			return
		}
		batch = append(batch, m)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests = append(e.requests, r.Header)
	if e.answer != nil && e.answer(w, len(e.requests)-1, len(batch)) {
		return
	}
	e.got = append(e.got, batch...)
}

func (e *endpoint) texts() (texts []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.got {
		texts = append(texts, string(m.Payload))
	}
	return texts
}

func (e *endpoint) settings() http.Config {
	return http.Config{URL: e.URL + "/in/${stream}", Config: e.config, Source: "${vin}", ContentType: "application/x-ndjson", Timeout: config.Duration(20 * time.Second)}
}

func target(t testing.TB, c http.Config) *http.Target {
	t.Helper()
	h, err := http.New(c, map[string]string{"vin": "V1", "thing": "T1", "stream": "my drive"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestBatchesArePosted(t *testing.T) {
	for _, format := range []string{pack.Lines, pack.Frames} {
		for _, compress := range []string{pack.None, pack.Gzip, pack.Zstd} {
			e := listen(t, pack.Config{Format: format, Compress: compress})
			c := e.settings()
			c.Headers = map[string]string{"Authorization": "Bearer secret", "X-Thing": "${thing}"}
			h := target(t, c)
			batch := messages(7, 100, 150)
			sent, err := h.Send(t.Context(), batch)
			if err != nil || sent.Done != 50 || sent.Bytes <= 0 || compress == pack.None && sent.Bytes < 50*11 {
				t.Fatalf("%+v, %v", sent, err)
			}
			if got := e.texts(); len(got) != 50 || got[0] != "message 100" || got[49] != "message 149" {
				t.Errorf("got %v", got)
			}
			want := map[string]string{
				"Fascia-Stream": "my%20drive", "Fascia-Epoch": "7", "Fascia-First": "100", "Fascia-Last": "149",
				"Idempotency-Key": `"V1/my%20drive/7-100-149"`, "Content-Type": "application/x-ndjson",
				"Content-Encoding": map[string]string{pack.None: "", pack.Gzip: "gzip", pack.Zstd: "zstd"}[compress],
				"Authorization":    "Bearer secret", "X-Thing": "T1",
			}
			for name, value := range want {
				if got := e.requests[0].Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
		}
	}
}

// What a request says of its sequences holds for all of it.
func TestARequestHasNoGapAndOneEpoch(t *testing.T) {
	e := listen(t, pack.Config{Format: pack.Frames, Compress: pack.None})
	h := target(t, e.settings())
	sent, err := h.Send(t.Context(), slices.Concat(messages(1, 0, 5), messages(1, 7, 9), messages(2, 9, 10)))
	if err != nil || sent.Done != 8 {
		t.Fatalf("%+v, %v", sent, err)
	}
	var ranges []string
	for _, r := range e.requests {
		ranges = append(ranges, r.Get("Fascia-Epoch")+":"+r.Get("Fascia-First")+"-"+r.Get("Fascia-Last"))
	}
	if got := strings.Join(ranges, " "); got != "1:0-4 1:7-8 2:9-9" {
		t.Errorf("got %s", got)
	}
}

func TestAnswersAreJudged(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		header map[string]string
		is     error
		says   string
		wait   time.Duration
	}{
		{"throttled", 429, map[string]string{"Retry-After": "7"}, export.ErrThrottled, "429 Too Many Requests: no", 7 * time.Second},
		{"busy until a date, whatever the vehicle's clock says", 503, map[string]string{"Date": "Thu, 01 Jan 2099 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2099 00:01:00 GMT"}, export.ErrThrottled, "503", time.Minute},
		{"a date that is over", 503, map[string]string{"Date": "Thu, 01 Jan 2099 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2009 00:00:00 GMT"}, export.ErrThrottled, "503", 0},
		{"nonsense in Retry-After", 429, map[string]string{"Retry-After": "-1"}, export.ErrThrottled, "429", 0},
		{"ill", 500, nil, nil, "500 Internal Server Error: no", 0},
		{"slow", 408, nil, nil, "408", 0},
		{"denied", 403, nil, export.ErrRefused, "403 Forbidden: no", 0},
		{"not there", 404, nil, export.ErrRefused, "404", 0},
		{"elsewhere", 302, map[string]string{"Location": "http://example.com/"}, export.ErrRefused, "redirects", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := listen(t, pack.Config{Format: pack.Lines, Compress: pack.None})
			e.answer = func(w nethttp.ResponseWriter, _, _ int) bool {
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				fmt.Fprint(w, "no\n\x00")
				return true
			}
			sent, err := target(t, e.settings()).Send(t.Context(), messages(1, 0, 5))
			if err == nil || sent.Done != 0 || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "127.0.0.1:") {
				t.Fatalf("%+v, %v", sent, err)
			}
			for _, kind := range []error{export.ErrThrottled, export.ErrRefused, export.ErrUnfit} {
				if got, want := errors.Is(err, kind), errors.Is(test.is, kind); got != want {
					t.Errorf("%v: is it %v? %t, want %t", err, kind, got, want)
				}
			}
			if got := export.WaitOf(err); got != test.wait {
				t.Errorf("wait %v, want %v", got, test.wait)
			}
		})
	}
}

func TestABatchThatIsTooLargeGoesInParts(t *testing.T) {
	e := listen(t, pack.Config{Format: pack.Lines, Compress: pack.None})
	e.answer = func(w nethttp.ResponseWriter, _, messages int) bool {
		if messages > 3 {
			w.WriteHeader(nethttp.StatusRequestEntityTooLarge)
		}
		return messages > 3
	}
	h := target(t, e.settings())
	for i := range uint64(3) {
		sent, err := h.Send(t.Context(), messages(1, i*20, i*20+20))
		if err != nil || sent.Done != 20 {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
	got := e.texts()
	for i, text := range got {
		if text != fmt.Sprintf("message %d", i) {
			t.Fatalf("got %v", got)
		}
	}
	if n := len(e.requests); len(got) != 60 || n > 3*10+4 {
		t.Errorf("%d messages in %d requests: want it to remember", len(got), n)
	}
}

func TestAMessageThatIsTooLargeIsToldApart(t *testing.T) {
	e := listen(t, pack.Config{Format: pack.Lines, Compress: pack.None})
	e.answer = func(w nethttp.ResponseWriter, _, _ int) bool {
		w.WriteHeader(nethttp.StatusRequestEntityTooLarge)
		return true
	}
	sent, err := target(t, e.settings()).Send(t.Context(), messages(1, 0, 4))
	if !errors.Is(err, export.ErrUnfit) || sent.Done != 0 || !strings.Contains(err.Error(), "it has 9 bytes") {
		t.Errorf("%+v, %v", sent, err)
	}
}

// A link that can't carry a batch in time gets smaller ones.
func TestASlowLinkGetsSmallerRequests(t *testing.T) {
	e := listen(t, pack.Config{Format: pack.Lines, Compress: pack.None})
	over := make(chan struct{})
	defer close(over)
	e.answer = func(_ nethttp.ResponseWriter, _, messages int) bool {
		if messages > 4 {
			<-over
		}
		return messages > 4
	}
	c := e.settings()
	c.Timeout = config.Duration(200 * time.Millisecond)
	h := target(t, c)
	batch := messages(1, 0, 8)
	sent, err := h.Send(t.Context(), batch)
	if !errors.Is(err, context.DeadlineExceeded) || sent.Done != 0 {
		t.Fatalf("%+v, %v", sent, err)
	}
	over <- struct{}{}
	if sent, err := h.Send(t.Context(), batch); err != nil || sent.Done != 8 {
		t.Fatalf("%+v, %v", sent, err)
	}
}

func TestNobodyThereIsAnErrorWithoutSecrets(t *testing.T) {
	e := listen(t, pack.Config{Format: pack.Lines, Compress: pack.None})
	c := e.settings()
	c.URL = e.URL + "/in?token=secret"
	e.Close()
	_, err := target(t, c).Send(t.Context(), messages(1, 0, 4))
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	if errors.Is(err, export.ErrRefused) {
		t.Error("a connection that is refused is no refusal for good")
	}
}

func TestConfigIsCheckedWithPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"url: ftp://a/b":       "url: want an address",
		"url: http://a/b":      "url: a: want https, or plaintext: true",
		"url: https://u:p@a/b": "url: want no user and password",
		"url: https://a/b\nheaders: {Fascia-First: x}":       "headers.Fascia-First: this header is",
		"url: https://a/b\nheaders: {\"a b\": x}":            "can't be a header",
		"url: https://a/b\ntls: {cert: a.pem}":               "tls: want cert and key together",
		"url: https://a/b\nheaders: {A: \"${what}\"}":        "${what}",
		"url: https://a/b\ntimeout: 1ms":                     "timeout: want",
		"format: lines":                                      "url: missing",
		"url: https://a/b\nheaders: {content-length: \"1\"}": "this header is",
	} {
		var c http.Config
		if _, err := config.Decode("f.yaml", []byte(text), &c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"url: https://a/b", "url: http://127.0.0.1:9/b", "url: http://localhost/b", "url: http://[::1]/b", "url: http://a/b\nplaintext: true"} {
		var c http.Config
		if _, err := config.Decode("f.yaml", []byte(text), &c); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
