package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/fascia-edge/fascia/streammgr"
	streamlog "github.com/fascia-edge/fascia/streammgr/log"
)

// StreamMessage is a message of a stream, as the control socket answers it.
type StreamMessage struct {
	Seq     uint64    `json:"seq"`
	Epoch   uint32    `json:"epoch"`
	TS      time.Time `json:"ts"` // when it was appended, by the vehicle's clock
	Payload []byte    `json:"payload"`
}

// StreamPage is a part of a stream.
type StreamPage struct {
	Messages []StreamMessage `json:"messages"`
	Next     uint64          `json:"next"`  // where to go on
	First    uint64          `json:"first"` // of the stream now
	End      uint64          `json:"end"`   // sequence that its next message gets
}

// Appended is what an append on the control socket answers.
type Appended struct {
	First    uint64 `json:"first"` // sequence of the first message
	Messages int    `json:"messages"`
}

// A page of a stream ends with whichever comes first.
const (
	pageMessages = 10_000
	pageBytes    = 4 << 20 // of payloads
	// mostWait is how long a page waits for its first message.
	mostWait = 5 * time.Second
	// appendBytes is how much of an append is stored in one go.
	appendBytes = 96 << 10
)

// handleStreams adds what the control socket does with streams:
//
//	GET  /v1/streams                                    the state of all
//	GET  /v1/streams/{name}                             one
//	POST /v1/streams/{name}/append                      messages, each behind its length in 4 bytes, big-endian
//	GET  /v1/streams/{name}/messages?from=SEQ|since=TIME|last=N[&limit=N][&wait=true]   a page; wait for its first message
//	POST /v1/streams/{name}/purge?before=SEQ|all=true   removes messages, exported or not
//	POST /v1/streams/{name}/delete                      removes a stream that is not configured
//	POST /v1/streams/{name}/exporters/{exporter}/{what} pause, resume or retry
//
// A stream or exporter that is not there is answered with 404, one that is still being
// opened with 503.
func (g *Gateway) handleStreams(mux *http.ServeMux) {
	handle := func(pattern string, do func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			err := errNoStreams
			if g.streams != nil && g.streamsOpen.Load() {
				err = do(w, r)
			}
			if err != nil {
				refuseStream(w, err)
			}
		})
	}
	handle("GET /v1/streams", func(w http.ResponseWriter, _ *http.Request) error {
		writeJSON(w, g.streams.Status())
		return nil
	})
	handle("GET /v1/streams/{name}", g.describeStream)
	handle("POST /v1/streams/{name}/append", g.appendStream)
	handle("GET /v1/streams/{name}/messages", g.readStream)
	handle("POST /v1/streams/{name}/purge", g.purgeStream)
	handle("POST /v1/streams/{name}/delete", func(w http.ResponseWriter, r *http.Request) error {
		if err := g.streams.Delete(r.Context(), r.PathValue("name")); err != nil {
			return err
		}
		g.log.Info("stream deleted by the operator", "stream", r.PathValue("name"))
		writeJSON(w, struct{}{})
		return nil
	})
	handle("POST /v1/streams/{name}/exporters/{exporter}/{what}", func(w http.ResponseWriter, r *http.Request) error {
		name, exporter, what := r.PathValue("name"), r.PathValue("exporter"), r.PathValue("what")
		if err := g.streams.Exporter(name, exporter, what); err != nil {
			return err
		}
		g.log.Info("exporter changed by the operator", "stream", name, "exporter", exporter, "what", what)
		writeJSON(w, struct{}{})
		return nil
	})
}

var errNoStreams = errors.New("this gateway has no streams: its configuration has no section streams")

// badRequest is a mistake of who asks.
type badRequest struct{ text string }

func (e badRequest) Error() string { return e.text }

func refuseStream(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	switch {
	case errors.As(err, &badRequest{}):
		status = http.StatusBadRequest
	case errors.Is(err, errNoStreams), errors.Is(err, streammgr.ErrNoStream), errors.Is(err, streammgr.ErrNoExporter):
		status = http.StatusNotFound
	case errors.Is(err, streammgr.ErrNotReady):
		status = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), status)
}

func (g *Gateway) describeStream(w http.ResponseWriter, r *http.Request) error {
	st, err := g.streams.Describe(r.PathValue("name"))
	if err == nil {
		writeJSON(w, st)
	}
	return err
}

// appendStream appends what is in the body as it comes.
func (g *Gateway) appendStream(w http.ResponseWriter, r *http.Request) error {
	l, err := g.streams.Open(r.PathValue("name"))
	if err != nil {
		return err
	}
	body := bufio.NewReaderSize(r.Body, appendBytes)
	var done Appended
	var batch [][]byte
	bytes := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		first, err := l.Append(r.Context(), batch...)
		if err != nil {
			return fmt.Errorf("%d messages were appended, and not the rest: %w", done.Messages, err)
		}
		if done.Messages == 0 {
			done.First = first
		}
		done.Messages += len(batch)
		batch, bytes = batch[:0], 0
		return nil
	}
	for {
		message, err := readMessage(body, int(g.Config().Streams.MaxMessage))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if bytes+len(message) > appendBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch, bytes = append(batch, message), bytes+len(message)+16
	}
	if err := flush(); err != nil {
		return err
	}
	writeJSON(w, done)
	return nil
}

// readMessage reads one message behind its length; io.EOF where there is none.
func readMessage(from io.Reader, longest int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, badRequest{"want the length of a message in 4 bytes"}
	}
	length := binary.BigEndian.Uint32(head[:])
	if uint64(length) > uint64(longest) {
		return nil, badRequest{fmt.Sprintf("message of %d bytes: want at most %d (streams.max_message)", length, longest)}
	}
	message := make([]byte, length)
	if _, err := io.ReadFull(from, message); err != nil {
		return nil, badRequest{fmt.Sprintf("want a message of %d bytes: %v", length, err)}
	}
	return message, nil
}

// readStream answers a page of a stream.
func (g *Gateway) readStream(w http.ResponseWriter, r *http.Request) error {
	l, err := g.streams.Open(r.PathValue("name"))
	if err != nil {
		return err
	}
	from, err := pageFrom(l, r)
	if err != nil {
		return err
	}
	limit, err := number(r, "limit", pageMessages)
	if err != nil {
		return err
	}
	if r.FormValue("wait") == "true" {
		ctx, cancel := context.WithTimeout(r.Context(), mostWait)
		err := l.Wait(ctx, from)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	page := StreamPage{Messages: []StreamMessage{}}
	page.Next, err = l.Read(r.Context(), from, int(min(limit, pageMessages)), pageBytes, func(m streamlog.Message) bool {
		page.Messages = append(page.Messages, StreamMessage{m.Seq, m.Epoch, m.Time.UTC(), m.Payload})
		return true
	})
	if err != nil {
		return err
	}
	i := l.Info()
	page.First, page.End = i.First, i.Next
	writeJSON(w, page)
	return nil
}

// pageFrom is the first sequence that is asked for: 0 for the oldest.
func pageFrom(l *streamlog.Stream, r *http.Request) (uint64, error) {
	if text := r.FormValue("since"); text != "" {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return 0, badRequest{fmt.Sprintf("since=%.40q: want a time such as 2026-01-31T12:00:00Z", text)}
		}
		return l.SeqAt(r.Context(), at)
	}
	if r.FormValue("last") != "" {
		last, err := number(r, "last", 0)
		i := l.Info()
		return i.Next - min(last, i.Next-i.First), err
	}
	return number(r, "from", 0)
}

// number reads a form value.
func number(r *http.Request, key string, otherwise uint64) (uint64, error) {
	text := r.FormValue(key)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, badRequest{fmt.Sprintf("%s=%.20q: want a number", key, text)}
	}
	return n, nil
}

// purgeStream removes the oldest messages.
func (g *Gateway) purgeStream(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	l, err := g.streams.Open(name)
	if err != nil {
		return err
	}
	all := r.FormValue("all") == "true"
	if all == (r.FormValue("before") != "") {
		return badRequest{"want before=SEQ or all=true"}
	}
	before, err := number(r, "before", l.Info().Next)
	if err != nil {
		return err
	}
	first := l.Info().First
	if err := l.Purge(r.Context(), before); err != nil {
		return err
	}
	purged := Purged{int(l.Info().First - first)}
	g.log.Info("stream purged by the operator", "stream", name, "messages", purged.Messages)
	writeJSON(w, purged)
	return nil
}
