package kinesis

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/streammgr/npmtest"
)

const (
	testRegion = "eu-central-1"
	testVIN    = "KMHGN4JE0FU000001"
)

// peer is a stand-in for Kinesis, a program of its own, with a stream of the test's.
type peer struct {
	url      string
	encoding string
	client   *kinesis.Client // straight to it
	stream   *string
}

// program is how a stand-in starts. It runs until all tests are over.
type program struct {
	name     string
	encoding string // that it can read
	command  func(folder, port, other string) *exec.Cmd

	running *exec.Cmd
	url     string
}

var programs = []*program{
	{name: "kinesis-local", encoding: EncodingCBOR, command: func(folder, port, other string) *exec.Cmd {
		cmd := exec.Command("node", "main.js")
		cmd.Dir = filepath.Join(folder, "kinesis-local") // it reads its certificate there
		cmd.Env = append(os.Environ(), "KINESIS_MOCK_PLAIN_PORT="+port, "KINESIS_MOCK_TLS_PORT="+other, "LOG_LEVEL=ERROR", "SHARD_LIMIT=1000")
		return cmd
	}},
	{name: "kinesalite", encoding: EncodingJSON, command: func(folder, port, _ string) *exec.Cmd { // it garbles the data of CBOR
		return exec.Command(filepath.Join(folder, ".bin", "kinesalite"), "--port", port, "--createStreamMs", "1", "--shardLimit", "1000")
	}},
}

// stopPrograms ends those that were started.
func stopPrograms() {
	for _, p := range programs {
		if p.running != nil {
			_ = p.running.Process.Kill()
			_ = p.running.Wait()
		}
	}
}

// peer starts the program if it isn't running, and makes a stream there.
func (p *program) peer(t testing.TB) *peer {
	t.Helper()
	folder := filepath.Join(npmtest.Folder(t), "node_modules")
	if p.running == nil {
		port := freePort(t)
		p.running = p.command(folder, port, freePort(t))
		if err := p.running.Start(); err != nil {
			p.running = nil
			t.Fatal(err)
		}
		p.url = "http://127.0.0.1:" + port
	}
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	far := &peer{url: p.url, encoding: p.encoding, stream: &name}
	far.client = kinesis.New(kinesis.Options{
		BaseEndpoint: &far.url, Region: testRegion, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer: aws.NopRetryer{},
	})
	t.Cleanup(func() { closeIdle(far.client) })
	eventually(t, "listening", func() error {
		_, err := far.client.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		return err
	})
	far.create(t)
	return far
}

// create makes the stream.
func (p *peer) create(t testing.TB) {
	t.Helper()
	if _, err := p.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: p.stream, ShardCount: aws.Int32(shards)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stream", func() error {
		out, err := p.client.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: p.stream})
		if err == nil && out.StreamDescription.StreamStatus != types.StreamStatusActive {
			return fmt.Errorf("status %s", out.StreamDescription.StreamStatus)
		}
		return err
	})
}

// eventually waits for another process, of which there is no event to wait for.
func eventually(t testing.TB, what string, done func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for err := done(); err != nil; err = done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const shards = 4

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func closeIdle(c *kinesis.Client) {
	if h, ok := c.Options().HTTPClient.(interface{ CloseIdleConnections() }); ok {
		h.CloseIdleConnections()
	}
}

// records are all records of a shard after another.
func (p *peer) records(t testing.TB) [][]types.Record {
	t.Helper()
	list, err := p.client.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: p.stream})
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]types.Record, len(list.Shards))
	for i, shard := range list.Shards {
		at, err := p.client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: p.stream, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			t.Fatal(err)
		}
		for next := at.ShardIterator; next != nil; {
			out, err := p.client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				t.Fatal(err)
			}
			all[i] = append(all[i], out.Records...)
			if next = out.NextShardIterator; len(out.Records) == 0 && out.MillisBehindLatest != nil && *out.MillisBehindLatest == 0 {
				break
			}
		}
	}
	return all
}

// messages are those of all records, shard by shard.
func (p *peer) messages(t testing.TB) [][]Message {
	t.Helper()
	var all [][]Message
	for _, shard := range p.records(t) {
		var messages []Message
		for _, r := range shard {
			unpacked, err := Unpack(r.Data)
			if err != nil {
				t.Fatalf("record of key %q: %v", *r.PartitionKey, err)
			}
			messages = append(messages, unpacked...)
		}
		all = append(all, messages)
	}
	return all
}

// config has the defaults, and exports to the peer.
func (p *peer) config() Config {
	c := testConfig(p.url)
	c.Stream, c.Encoding = *p.stream, p.encoding
	return c
}

func testConfig(url string) Config {
	return Config{
		Stream: "vehicle", Region: testRegion, Endpoint: url, PartitionKey: "${vin}", Format: FormatKPL, Compress: CompressNone,
		RecordSize: 1 << 20, Encoding: EncodingCBOR, Credentials: awscreds.Config{AccessKey: "id", SecretKey: "secret"},
	}
}

func newTarget(t testing.TB, c Config) *Target {
	t.Helper()
	target, err := New(context.Background(), c, Env{Stream: "drive", Vehicle: awscreds.Vehicle{VIN: testVIN, Thing: "car-1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := target.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return target
}

// batchOf makes messages of those sequences, each with its own text.
func batchOf(from, to uint64) []log.Message {
	var batch []log.Message
	for seq := from; seq < to; seq++ {
		batch = append(batch, log.Message{Seq: seq, Epoch: 3, Time: time.UnixMilli(1), Payload: payloadOf(seq)})
	}
	return batch
}

func payloadOf(seq uint64) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"ecu":{"name":"ecu%d"},"text":"%s"}`, seq, seq%7, strings.Repeat("x", int(seq%30)))
}
