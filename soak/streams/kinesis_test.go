package streams

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/fascia-edge/fascia/bench/brokers"
	far "github.com/fascia-edge/fascia/streammgr/export/kinesis"
	"github.com/fascia-edge/fascia/streammgr/npmtest"
)

const (
	region = "eu-central-1"
	shards = 4
)

// kinesisLocal is npm's kinesis-local with one stream.
type kinesisLocal struct {
	t      *testing.T
	url    string
	client *kinesis.Client
	stream *string
}

// startKinesis runs until the test ends.
func startKinesis(t *testing.T) *kinesisLocal {
	t.Helper()
	folder := npmtest.Folder(t)
	ports, err := brokers.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command("node", "main.js")
	program.Dir = filepath.Join(folder, "node_modules", "kinesis-local") // it reads its certificate there
	program.Env = append(os.Environ(), "KINESIS_MOCK_PLAIN_PORT="+strconv.Itoa(ports[0]),
		"KINESIS_MOCK_TLS_PORT="+strconv.Itoa(ports[1]), "LOG_LEVEL=ERROR")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	k := &kinesisLocal{t: t, url: fmt.Sprint("http://127.0.0.1:", ports[0]), stream: aws.String("drive")}
	k.client = kinesis.New(kinesis.Options{BaseEndpoint: &k.url, Region: region, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")})
	t.Cleanup(func() {
		if c, ok := k.client.Options().HTTPClient.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
		_ = program.Process.Kill()
		_ = program.Wait() // it was killed
	})
	eventually(t, func() error {
		_, err := k.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: k.stream, ShardCount: aws.Int32(shards)})
		return err
	})
	eventually(t, func() error {
		out, err := k.client.DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: k.stream})
		if err == nil && out.StreamDescription.StreamStatus != types.StreamStatusActive {
			err = errors.New("the stream is not active")
		}
		return err
	})
	return k
}

// messages are those of all records, shard by shard, as they came.
func (k *kinesisLocal) messages() (all [][]far.Message) {
	k.t.Helper()
	list, err := k.client.ListShards(k.t.Context(), &kinesis.ListShardsInput{StreamName: k.stream})
	k.must(err)
	for _, shard := range list.Shards {
		var messages []far.Message
		at, err := k.client.GetShardIterator(k.t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: k.stream, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		k.must(err)
		for next := at.ShardIterator; next != nil; {
			out, err := k.client.GetRecords(k.t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			k.must(err)
			for _, r := range out.Records {
				unpacked, err := far.Unpack(r.Data)
				k.must(err)
				messages = append(messages, unpacked...)
			}
			next = out.NextShardIterator
			if len(out.Records) == 0 && out.MillisBehindLatest != nil && *out.MillisBehindLatest == 0 {
				break
			}
		}
		all = append(all, messages)
	}
	return all
}

func (k *kinesisLocal) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}
