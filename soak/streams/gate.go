package streams

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Gate stands before Kinesis or S3 and does what the service and the network do: it
// throttles calls, refuses some of the records of Kinesis, fails, and cuts connections
// before a call was taken, or before its answer is heard. Between Cut and Mend nothing
// gets through. Safe for concurrent use.
type Gate struct {
	// Address is where the service seems to listen, host:port.
	Address string

	upstream string // base URL
	client   *http.Client
	server   *http.Server
	serving  sync.WaitGroup
	down     atomic.Bool

	mu    sync.Mutex // guards what follows
	rand  *rand.Rand
	fates map[string]int
}

// NewGate leads to the base URL of a stand-in for the service.
func NewGate(upstream string) (*Gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &Gate{
		Address: l.Addr().String(), upstream: upstream, client: &http.Client{Transport: &http.Transport{}},
		rand: rand.New(rand.NewPCG(6, 0)), fates: map[string]int{},
	}
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	g.serving.Go(func() { _ = g.server.Serve(l) }) // it ends by Close
	return g, nil
}

// Close ends it, and all connections.
func (g *Gate) Close() error {
	err := g.server.Close()
	g.serving.Wait()
	g.client.CloseIdleConnections()
	return err
}

// Cut has every call's connection ended, until Mend.
func (g *Gate) Cut() { g.down.Store(true) }

// Mend lets calls through again.
func (g *Gate) Mend() { g.down.Store(false) }

// Fates are how many calls met with what.
func (g *Gate) Fates() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.fates)
}

// Fates of a call.
const (
	fine          = "fine"
	down          = "link down"
	cutBefore     = "cut"
	cutAfter      = "answer lost"
	throttledAll  = "throttled"
	throttledSome = "some throttled"
	unavailable   = "unavailable"
)

// fate draws what becomes of a call. Most get through unharmed: each that is throttled
// has the exporter go more slowly for seconds. S3 throttles by being unavailable.
func (g *Gate) fate(ofKinesis bool) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	fate := fine
	if g.down.Load() {
		fate = down
	} else if at := g.rand.IntN(40); at < 5 {
		fate = []string{cutBefore, cutAfter, throttledAll, throttledSome, unavailable}[at]
		if !ofKinesis && (fate == throttledAll || fate == throttledSome) {
			fate = unavailable
		}
	}
	g.fates[fate]++
	return fate
}

// odd draws which records of a call are refused; the first one always is.
func (g *Gate) odd(records int) []bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	refused := make([]bool, records)
	for i := range refused {
		refused[i] = i == 0 || g.rand.IntN(3) == 0
	}
	return refused
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway has gone
	}
	ofKinesis := r.Header.Get("X-Amz-Target") != ""
	switch fate := g.fate(ofKinesis); fate {
	case down, cutBefore:
		hangUp(w)
	case cutAfter:
		g.forward(r, body)
		hangUp(w)
	case throttledAll:
		g.reply(w, r, http.StatusBadRequest, map[string]string{"__type": throttling, "message": "rate exceeded"})
	case unavailable:
		http.Error(w, "no server is well", http.StatusServiceUnavailable)
	case throttledSome:
		g.refuseSome(w, r, body)
	default:
		g.hand(w, r, body)
	}
}

// throttling is the error code of Kinesis for a shard that takes no more.
const throttling = "ProvisionedThroughputExceededException"

// put is a call of PutRecords in CBOR.
type put struct {
	StreamName string
	Records    []map[string]any
}

// taken is its answer.
type taken struct {
	FailedRecordCount int
	Records           []map[string]any
}

// refuseSome hands on the other records of a call.
func (g *Gate) refuseSome(w http.ResponseWriter, r *http.Request, body []byte) {
	var call put
	if err := cbor.Unmarshal(body, &call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	refused := g.odd(len(call.Records))
	rest := put{StreamName: call.StreamName}
	for i, record := range call.Records {
		if !refused[i] {
			rest.Records = append(rest.Records, record)
		}
	}
	var answer taken
	if len(rest.Records) > 0 {
		text, err := cbor.Marshal(rest)
		if err != nil {
			panic(err) // it was CBOR before
		}
		status, _, said := g.forward(r, text)
		if status != http.StatusOK || cbor.Unmarshal(said, &answer) != nil || len(answer.Records) != len(rest.Records) {
			hangUp(w)
			return
		}
	}
	results := make([]map[string]any, len(refused))
	next := 0
	for i := range results {
		if refused[i] {
			answer.FailedRecordCount++
			results[i] = map[string]any{"ErrorCode": throttling, "ErrorMessage": "rate exceeded"}
			continue
		}
		results[i] = answer.Records[next]
		next++
	}
	answer.Records = results
	g.reply(w, r, http.StatusOK, answer)
}

// hand passes a call on, and its answer back.
func (g *Gate) hand(w http.ResponseWriter, r *http.Request, body []byte) {
	status, header, text := g.forward(r, body)
	if status == 0 {
		hangUp(w)
		return
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	_, _ = w.Write(text) // who has gone asks again
}

// forward gives the answer from behind the gate; status is 0 if there is none.
func (g *Gate) forward(r *http.Request, body []byte) (status int, header http.Header, text []byte) {
	to, err := http.NewRequestWithContext(r.Context(), r.Method, g.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil
	}
	to.Header, to.Host = r.Header.Clone(), r.Host // which are signed
	answer, err := g.client.Do(to)
	if err != nil {
		return 0, nil, nil
	}
	defer answer.Body.Close()
	if text, err = io.ReadAll(answer.Body); err != nil {
		return 0, nil, nil
	}
	return answer.StatusCode, answer.Header, text
}

// reply answers in the form of the call.
func (g *Gate) reply(w http.ResponseWriter, r *http.Request, status int, value any) {
	marshal, kind := cbor.Marshal, r.Header.Get("Content-Type")
	if kind != "application/x-amz-cbor-1.1" {
		marshal = json.Marshal
	}
	text, err := marshal(value)
	if err != nil {
		panic(err) // maps of texts and numbers can be encoded
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(text) // who has gone asks again
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}
