package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/streammgr/npmtest"
)

// s3rver is the stand-in for S3, a program of its own that runs until all tests are
// over. It knows no ListParts and no AbortMultipartUpload.
var s3rver struct {
	running *exec.Cmd
	url     string
	dir     string
}

func stopPeer() {
	if s3rver.running != nil {
		_ = s3rver.running.Process.Kill()
		_ = s3rver.running.Wait()
		_ = os.RemoveAll(s3rver.dir)
	}
}

// bucket is a bucket of the test's own, and a proxy before it that can fail.
type bucket struct {
	name   string
	url    string // of the proxy
	client *s3.Client

	mu       sync.Mutex
	fault    func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool // true if it has answered
	requests []string                                                                // method and what of an upload
}

func newBucket(t testing.TB) *bucket {
	t.Helper()
	startPeer(t)
	b := &bucket{name: strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))}
	b.name = b.name[:min(len(b.name), 63)]
	b.client = s3.New(s3.Options{
		BaseEndpoint: &s3rver.url, Region: testRegion, UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("S3RVER", "S3RVER", ""),
	})
	t.Cleanup(func() { (&store{client: b.client}).close() })
	eventually(t, "listening", func() error {
		_, err := b.client.ListBuckets(t.Context(), &s3.ListBucketsInput{})
		return err
	})
	if _, err := b.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b.name}); err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(s3rver.url)
	if err != nil {
		t.Fatal(err)
	}
	over := &http.Transport{}
	forward := &httputil.ReverseProxy{Transport: over, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // which is signed
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		fault := b.fault
		b.requests = append(b.requests, what(r))
		b.mu.Unlock()
		if fault == nil || !fault(w, r, forward) {
			forward.ServeHTTP(w, r)
		}
	}))
	b.url = proxy.URL
	t.Cleanup(func() {
		proxy.Close()
		over.CloseIdleConnections()
	})
	return b
}

const testRegion = "eu-central-1"

func startPeer(t testing.TB) {
	t.Helper()
	if s3rver.running != nil {
		return
	}
	folder := npmtest.Folder(t)
	dir, err := os.MkdirTemp("", "s3rver")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command(filepath.Join(folder, "node_modules", ".bin", "s3rver"), "-d", dir, "-a", "127.0.0.1", "-p", strconv.Itoa(port), "-s", "--no-vhost-buckets", "--allow-mismatched-signatures")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s3rver.running, s3rver.url, s3rver.dir = cmd, fmt.Sprintf("http://127.0.0.1:%d", port), dir
}

// what is a request in short.
func what(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Has("uploads"):
		return "begin"
	case q.Has("partNumber"):
		return "part " + q.Get("partNumber")
	case q.Has("uploadId") && r.Method == http.MethodPost:
		return "complete"
	case q.Has("uploadId"):
		return "abort"
	}
	return strings.ToLower(r.Method)
}

// fail sets what requests hear.
func (b *bucket) fail(fault func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

// asked is what was asked since, and forgets it.
func (b *bucket) asked() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := strings.Join(b.requests, ", ")
	b.requests = nil
	return all
}

// refuse answers as S3 does.
func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>because of the test</Message></Error>`, code)
	return true
}

// lose does what is asked, and cuts the connection in place of an answer.
func lose(r *http.Request, forward http.Handler) bool {
	forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// keys are those of all objects, in order.
func (b *bucket) keys(t testing.TB) (keys []string) {
	t.Helper()
	out, err := b.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b.name})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

// object is the content of an object.
func (b *bucket) object(t testing.TB, key string) (*s3.GetObjectOutput, []byte) {
	t.Helper()
	out, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	content, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return out, content
}

// messages are those of all objects, which are read as they come in a list.
func (b *bucket) messages(t testing.TB, c pack.Config) (all []log.Message) {
	t.Helper()
	for _, key := range b.keys(t) {
		_, content := b.object(t, key)
		in, err := pack.NewReader(c, bytes.NewReader(content))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		for {
			m, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			all = append(all, m)
		}
		in.Close()
	}
	return all
}

// want checks that the objects hold exactly the stream's messages from..to-1, each
// once and in order.
func (b *bucket) want(t testing.TB, c pack.Config, from, to uint64) {
	t.Helper()
	got := b.messages(t, c)
	if uint64(len(got)) != to-from {
		t.Errorf("%d messages in %d objects, want %d", len(got), len(b.keys(t)), to-from)
	}
	for i, m := range got {
		if want := from + uint64(i); c.Format == pack.Frames && m.Seq != want || !bytes.Equal(m.Payload, payloadOf(want)) {
			t.Fatalf("at %d is message %d, %.40q", want, m.Seq, m.Payload)
		}
	}
}

// payloadOf is the payload of a message, of about a kilobyte and hard to compress.
func payloadOf(seq uint64) []byte {
	b := fmt.Appendf(nil, "%d:", seq)
	for x := seq*0x9e3779b97f4a7c15 + 1; len(b) < 600+int(seq%800); x = x*6364136223846793005 + 1442695040888963407 {
		b = strconv.AppendUint(b, x>>11, 36)
	}
	return b
}

// settings export to the bucket through the proxy, in parts of 64 kB, which s3rver
// takes and S3 would not.
func (b *bucket) settings() Config {
	return Config{
		Bucket: b.name, Key: "${vin}/${stream}/${first}-${epoch}", ContentType: "application/octet-stream",
		Config: pack.Config{Format: pack.Frames, Compress: pack.None},
		Service: Service{Region: testRegion, Endpoint: b.url, PathStyle: true,
			Credentials: awscreds.Config{AccessKey: "S3RVER", SecretKey: "S3RVER"}},
		Size: 200_000, PartSize: 64_000,
	}
}

// open opens an engine that syncs quickly.
func open(t testing.TB, dir string) *log.Engine {
	t.Helper()
	e, err := log.Open(context.Background(), log.Options{Dir: dir, SyncInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-e.Ready()
	if err := e.Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func stream(t testing.TB, e *log.Engine, d log.Definition) *log.Stream {
	t.Helper()
	if err := e.Create(t.Context(), d); err != nil && !errors.Is(err, log.ErrExists) {
		t.Fatal(err)
	}
	s, _ := e.Stream(d.Name)
	return s
}

// add appends messages from..to-1 and waits until they are synced.
func add(t testing.TB, s *log.Stream, from, to uint64) {
	t.Helper()
	var payloads [][]byte
	for seq := from; seq < to; seq++ {
		payloads = append(payloads, payloadOf(seq))
	}
	for part := range slices.Chunk(payloads, 1000) {
		if _, err := s.Append(t.Context(), part...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WaitSynced(t.Context(), to-1); err != nil {
		t.Fatal(err)
	}
}

// read reads messages from..to-1.
func read(t testing.TB, s *log.Stream, from, to uint64) (batch []log.Message) {
	t.Helper()
	_, err := s.Read(t.Context(), from, int(to-from), 1<<30, func(m log.Message) bool {
		batch = append(batch, m)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return batch
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

// shelf is a keeper in a folder.
type shelf struct{ dir string }

func (s shelf) path(key string) string { return filepath.Join(s.dir, url.PathEscape(key)) }

func (s shelf) Get(key string) []byte {
	b, err := os.ReadFile(s.path(key))
	if err != nil {
		return nil
	}
	return b
}

func (s shelf) Put(key string, value []byte) error {
	if err := os.WriteFile(s.path(key)+"~", value, 0o600); err != nil {
		return err
	}
	return os.Rename(s.path(key)+"~", s.path(key))
}
