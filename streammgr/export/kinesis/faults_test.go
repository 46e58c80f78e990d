package kinesis

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/fxamacker/cbor/v2"
)

// gate stands before Kinesis: it does what the network and the service do, and holds
// each call against the service's limits.
type gate struct {
	t *testing.T
	// take puts records into what is behind the gate, and is nil for a place that
	// keeps them in memory.
	take func(ctx context.Context, records []types.PutRecordsRequestEntry) error
	// fault says what befalls a call; nil for nothing.
	fault func(g *gate, records []types.PutRecordsRequestEntry) fate

	url string

	mu     sync.Mutex // guards what follows, and holds calls one after the other
	rand   *rand.Rand
	calls  int
	signed []string // Authorization of each call
	fates  map[string]int
	kept   []types.PutRecordsRequestEntry
}

// fate is what befalls a call.
type fate struct {
	name   string
	status int          // answered with it and code, and nothing is taken
	code   string       // of the whole call, or of the records in refuse
	cut    bool         // the connection is cut
	lost   bool         // after the records were taken
	refuse map[int]bool // records that are not taken
}

func newGate(t *testing.T, far *peer) *gate {
	g := &gate{t: t, rand: rand.New(rand.NewPCG(1, 2)), fates: map[string]int{}}
	if far != nil {
		g.take = func(ctx context.Context, records []types.PutRecordsRequestEntry) error {
			out, err := far.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: far.stream, Records: records})
			if err == nil && *out.FailedRecordCount != 0 {
				t.Errorf("the stand-in refused %d records", *out.FailedRecordCount)
			}
			return err
		}
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// storm is bad weather: of each three calls one goes through unharmed.
func storm(g *gate, records []types.PutRecordsRequestEntry) fate {
	some := func() map[int]bool {
		refuse := map[int]bool{}
		for i := range records {
			if g.rand.IntN(3) == 0 {
				refuse[i] = true
			}
		}
		return refuse
	}
	switch g.rand.IntN(10) {
	case 0:
		return fate{name: "throttled", status: 400, code: "ProvisionedThroughputExceededException"}
	case 1:
		return fate{name: "unavailable", status: 503}
	case 2:
		return fate{name: "cut", cut: true}
	case 3:
		return fate{name: "answer lost", cut: true, lost: true}
	case 4:
		return fate{name: "some throttled", code: "ProvisionedThroughputExceededException", refuse: some()}
	case 5:
		return fate{name: "some failed", code: "InternalFailure", refuse: some()}
	case 6:
		return fate{name: "bad gateway", status: 502}
	}
	return fate{name: "fine"}
}

// call is PutRecords as it arrives, in either form: Data is base64 in JSON.
type call struct {
	StreamName string
	Records    []struct {
		Data            []byte
		PartitionKey    string
		ExplicitHashKey *string
	}
}

type result struct {
	ErrorCode      *string `json:",omitempty" cbor:",omitempty"`
	ErrorMessage   *string `json:",omitempty" cbor:",omitempty"`
	SequenceNumber *string `json:",omitempty" cbor:",omitempty"`
	ShardID        *string `json:"ShardId,omitempty" cbor:"ShardId,omitempty"`
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut by the client
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	g.signed = append(g.signed, r.Header.Get("Authorization"))
	if target := r.Header.Get("X-Amz-Target"); target != "Kinesis_20131202.PutRecords" {
		g.t.Errorf("target %q", target)
	}
	unmarshal, marshal := json.Unmarshal, json.Marshal
	if r.Header.Get("Content-Type") == cborType {
		unmarshal, marshal = cbor.Unmarshal, cbor.Marshal
	}
	var in call
	if err := unmarshal(body, &in); err != nil {
		g.t.Errorf("%v in %q", err, body)
	}
	records := g.check(&in)
	var f fate
	if g.fault != nil {
		f = g.fault(g, records)
	}
	g.fates[f.name]++
	answer := func(status int, value any) {
		text, err := marshal(value)
		if err != nil {
			g.t.Error(err)
		}
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.WriteHeader(status)
		_, _ = w.Write(text)
	}
	cut := func() {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			conn.Close()
		}
	}
	switch {
	case f.cut && !f.lost:
		cut()
		return
	case f.status >= 500:
		http.Error(w, "no server is well", f.status)
		return
	case f.status != 0:
		answer(f.status, map[string]string{"__type": f.code, "message": "as the test wants it"})
		return
	}
	var taken []types.PutRecordsRequestEntry
	results := make([]result, len(records))
	for i := range records {
		if f.refuse[i] {
			results[i] = result{ErrorCode: &f.code, ErrorMessage: aws.String("as the test wants it")}
			continue
		}
		results[i] = result{SequenceNumber: aws.String("1"), ShardID: aws.String("shardId-000000000000")}
		taken = append(taken, records[i])
	}
	if g.take == nil {
		g.kept = append(g.kept, taken...)
	} else if len(taken) > 0 {
		if err := g.take(r.Context(), taken); err != nil {
			g.t.Errorf("behind the gate: %v", err)
		}
	}
	if f.cut {
		cut()
		return
	}
	answer(http.StatusOK, map[string]any{"FailedRecordCount": len(f.refuse), "Records": results})
}

// check holds a call against the limits, and against what keeps the order of keys.
func (g *gate) check(in *call) []types.PutRecordsRequestEntry {
	if len(in.Records) == 0 || len(in.Records) > 500 {
		g.t.Errorf("a call of %d records", len(in.Records))
	}
	size := 0
	keys := map[string]bool{}
	var records []types.PutRecordsRequestEntry
	for i := range in.Records {
		r := &in.Records[i]
		if n := len(r.Data) + len(r.PartitionKey); n > 1<<20 {
			g.t.Errorf("a record of %d bytes", n)
		} else {
			size += n
		}
		if r.PartitionKey == "" || len([]rune(r.PartitionKey)) > 256 {
			g.t.Errorf("partition key %q", r.PartitionKey)
		}
		key := r.PartitionKey
		if r.ExplicitHashKey != nil {
			key = *r.ExplicitHashKey
		}
		if keys[key] {
			g.t.Errorf("two records of key %q in a call", key)
		}
		keys[key] = true
		records = append(records, types.PutRecordsRequestEntry{Data: r.Data, PartitionKey: &r.PartitionKey, ExplicitHashKey: r.ExplicitHashKey})
	}
	if size > 10<<20 {
		g.t.Errorf("a call of %d bytes", size)
	}
	return records
}
