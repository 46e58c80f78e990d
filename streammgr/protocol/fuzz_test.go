package protocol

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// FuzzConnection sends bytes to a server in place of a client's. Whatever they are,
// it answers or hangs up, and serves the next client.
func FuzzConnection(f *testing.F) {
	frame := func(op Operation, q fields) []byte {
		b, err := cbor.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		return frameOf(op, b)
	}
	hello := append([]byte{1}, frame(opConnect, fields{"requestId": "c", "protocolVersion": "1.1.0"})...)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(hello)
	for op, q := range map[Operation]fields{
		opCreateMessageStream: exporting("kinesis", fields{"identifier": "k", "kinesisStreamName": "s", "startSequenceNumber": 1e19}),
		opAppendMessage:       {"requestId": " ", "name": "a", "payload": []byte("x")},
		opReadMessages:        {"requestId": "r", "streamName": "a", "readMessagesOptions": fields{"readTimeoutMillis": 1}},
		opListStreams:         {"requestId": "l"},
		99:                    {"requestId": "u"},
	} {
		f.Add(append(bytes.Clone(hello), frame(op, q)...))
	}
	s, _ := serve(f, Options{MaxMessage: 4096})
	f.Fuzz(func(t *testing.T, sent []byte) {
		c := dial(t, s)
		_, _ = c.Write(sent) // the server may have hung up already
		c.Close()
		connected(t, s).must(opListStreams, fields{})
	})
}

// FuzzDefinition decodes definitions. One that passes the checks is one that a
// stream can be made of, and comes back from its own encoding.
func FuzzDefinition(f *testing.F) {
	for _, d := range []fields{
		{"name": "a", "strategyOnFull": 0},
		{"name": "a", "strategyOnFull": float32(1), "maxSize": float32(1 << 63), "timeToLiveMillis": 60000.0},
		{"name": "", "strategyOnFull": nil, "exportDefinition": fields{"http": []any{fields{"identifier": "x", "uri": "u"}}, "s3TaskExecutor": nil}},
	} {
		b, err := cbor.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d, again Definition
		if decoding.Unmarshal(b, &d) != nil {
			return
		}
		var found findings
		found.definition(&d)
		if found.err() != nil {
			return
		}
		d.complete()
		if l := d.Stream(); l.MaxSize < minMaxSize || l.Age < 0 || l.SegmentSize < minSegment {
			t.Fatalf("%+v", l)
		}
		encoded, err := encoding.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := decoding.Unmarshal(encoded, &again); err != nil {
			t.Fatalf("%v: %x", err, encoded)
		}
	})
}

// FuzzSkim looks for request ids. One that is found is the one that a decoder finds.
func FuzzSkim(f *testing.F) {
	f.Add([]byte("\xa1\x69requestId\x61x"))
	f.Add([]byte("\xbf\x61a\x9f\x01\xff\x69requestId\x61x\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id := skim(bufio.NewReader(bytes.NewReader(b)))
		var q struct {
			RequestID string `json:"requestId"`
		}
		if decoding.Unmarshal(b, &q) == nil && q.RequestID != id && len(q.RequestID) <= skimmed {
			t.Fatalf("%q: want %q", id, q.RequestID)
		}
	})
}
