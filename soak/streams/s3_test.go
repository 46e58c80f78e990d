package streams

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/streammgr/npmtest"
)

const bucketName = "drive"

// s3rver is npm's s3rver with one bucket.
type s3rver struct {
	t      *testing.T
	url    string
	client *s3.Client
}

// startS3 runs until the test ends.
func startS3(t *testing.T) *s3rver {
	t.Helper()
	folder := npmtest.Folder(t)
	ports, err := brokers.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command(filepath.Join(folder, "node_modules", ".bin", "s3rver"), "-d", t.TempDir(), "-a", "127.0.0.1",
		"-p", strconv.Itoa(ports[0]), "-s", "--no-vhost-buckets", "--allow-mismatched-signatures")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	b := &s3rver{t: t, url: fmt.Sprint("http://127.0.0.1:", ports[0])}
	b.client = s3.New(s3.Options{BaseEndpoint: &b.url, Region: region, UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("S3RVER", "S3RVER", "")})
	t.Cleanup(func() {
		if c, ok := b.client.Options().HTTPClient.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
		_ = program.Process.Kill()
		_ = program.Wait() // it was killed
	})
	eventually(t, func() error {
		_, err := b.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)})
		return err
	})
	return b
}

// messages are those of all objects, each a line, in the order of the objects' first
// ones. An object is named FIRST-EPOCH and has messages that follow one another.
func (b *s3rver) messages() (all []Arrival) {
	b.t.Helper()
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.t.Context())
		b.must(err)
		for _, o := range page.Contents {
			var first uint64
			var epoch uint32
			_, err := fmt.Sscanf(*o.Key, "%d-%d", &first, &epoch)
			b.must(err)
			got, err := b.client.GetObject(b.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: o.Key})
			b.must(err)
			text, err := io.ReadAll(got.Body)
			b.must(errors.Join(err, got.Body.Close()))
			for line := range strings.Lines(string(text)) {
				all = append(all, Arrival{bucketName, epoch, first, strings.TrimSuffix(line, "\n")})
				first++
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Arrival) int { return cmp.Compare(a.Seq, b.Seq) })
	return all
}

func (b *s3rver) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}
