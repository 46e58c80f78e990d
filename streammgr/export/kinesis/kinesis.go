// Package kinesis exports streams to Amazon Kinesis Data Streams.
//
// Messages of one partition key arrive in their order. PutRecords promises no order
// and may take some records of a call and refuse others, so a call has at most one
// record of a partition key, and the next of that key goes when Kinesis has taken the
// one before it. What is refused goes again; the other keys don't wait for it.
//
// A message may arrive twice where an answer was lost or the gateway was killed. It
// carries its epoch and sequence, by which a reader drops the second: see Unpack.
package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
)

// What suits as a batch, where the configuration says nothing: enough for a call that
// keeps several shards busy.
const (
	BatchSize  = 50_000
	BatchBytes = 4 << 20
)

// Limits of PutRecords (its API reference): a larger record than 1 MiB wants the
// Kinesis stream to be set up for it (UpdateMaxRecordSize).
const (
	maxRecords = 500      // of a call
	maxCall    = 10 << 20 // bytes of data and partition keys
)

// Env is what a target is told of where it runs.
type Env struct {
	Stream string // the vehicle's stream
	awscreds.Vehicle
}

// Target puts messages into a Kinesis stream. Send and Close are for one goroutine at
// a time, Stats for any.
type Target struct {
	config  Config
	env     Env
	keys    *keyTemplate
	client  *kinesis.Client
	creds   aws.CredentialsProvider
	name    string // of the Kinesis stream and its region, for errors
	records recorder
	pace    pace
	// ahead has the messages that Kinesis took while an earlier one of another key
	// waits: they are not to be sent again. Others before expected mean that the
	// stream is exported anew.
	ahead    map[id]struct{}
	expected id

	stats struct{ calls, records, bytes, failed, throttled atomic.Uint64 }
}

// id names a message.
type id struct {
	epoch uint32
	seq   uint64
}

func (a id) before(b id) bool { return a.epoch < b.epoch || a.epoch == b.epoch && a.seq < b.seq }

// Stats are counters since the target was made.
type Stats struct {
	Calls     uint64 // of PutRecords
	Records   uint64 // that Kinesis took
	Bytes     uint64 // of those, with their partition keys
	Failed    uint64 // records that had to go again
	Throttled uint64 // of those, for more than the shards take
}

// New makes a target. It does not go over the network: that there is no such Kinesis
// stream is what Send says.
func New(ctx context.Context, c Config, env Env) (*Target, error) {
	keys, err := parseKey(c.PartitionKey, env)
	if err != nil {
		return nil, fmt.Errorf("kinesis: partition_key: %w", err)
	}
	packer, err := newCompressor(c.Compress)
	if err != nil {
		return nil, fmt.Errorf("kinesis: compress: %w", err)
	}
	settings, err := awscreds.Load(ctx, &c.Credentials, c.region(), env.Vehicle)
	if err != nil {
		return nil, fmt.Errorf("kinesis: %w", err)
	}
	if settings.Region == "" {
		return nil, errors.New("kinesis: no region: want region in the configuration, or AWS_REGION")
	}
	client := kinesis.NewFromConfig(settings, func(o *kinesis.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
		if c.Encoding != EncodingJSON {
			o.Protocol = &wire{ClientProtocol: o.Protocol}
		}
	})
	return &Target{
		config: c, env: env, keys: keys, client: client, creds: settings.Credentials,
		name:    fmt.Sprintf("stream %q in %s", c.Stream, settings.Region),
		records: recorder{format: c.Format, numbered: c.NumberedKeys && (c.Format == FormatKPL || !keys.random), limit: int(c.RecordSize), packer: packer},
		pace:    pace{call: firstCall, least: leastRate},
		ahead:   map[id]struct{}{},
	}, nil
}

// Stats is how it went so far.
func (t *Target) Stats() Stats {
	s := &t.stats
	return Stats{
		Calls: s.calls.Load(), Records: s.records.Load(), Bytes: s.bytes.Load(),
		Failed: s.failed.Load(), Throttled: s.throttled.Load(),
	}
}

// Close lets go of connections.
func (t *Target) Close(context.Context) error {
	if c, ok := t.client.Options().HTTPClient.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	return nil
}

// input is a call without its records.
func (t *Target) input() *kinesis.PutRecordsInput {
	if strings.HasPrefix(t.config.Stream, "arn:") {
		return &kinesis.PutRecordsInput{StreamARN: &t.config.Stream}
	}
	return &kinesis.PutRecordsInput{StreamName: &t.config.Stream}
}

// callTime is how long a call of so many bytes may take: a link of 16 kB/s is slow,
// not dead.
func callTime(bytes int) time.Duration {
	return 30*time.Second + time.Duration(bytes)*time.Second/(16<<10)
}
