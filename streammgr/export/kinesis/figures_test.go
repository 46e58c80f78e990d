package kinesis

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// fast takes all records that it is sent, without looking at them.
type fast struct {
	url   string
	bytes atomic.Int64 // that came over the network
}

func newFast(t testing.TB) *fast {
	f := &fast{}
	server := httptest.NewUnstartedServer(f)
	server.Listener = &counted{server.Listener, &f.bytes}
	server.Start()
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

type counted struct {
	net.Listener
	bytes *atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countedConn{c, l.bytes}, err
}

type countedConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.bytes.Add(int64(n))
	return n, err
}

func (f *fast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// {"StreamName": "vehicle", "Records": [n: the head of an array stands here.
	head := make([]byte, len("\xa2jStreamNamegvehiclegRecords\x82\x00\x00"))
	if _, err := io.ReadFull(r.Body, head); err != nil {
		return
	}
	n := int(head[len(head)-3] & 31)
	if n == 24 {
		n = int(head[len(head)-2])
	}
	buf := make([]byte, 256<<10)
	for {
		if _, err := r.Body.Read(buf); err != nil {
			break
		}
	}
	text, err := cbor.Marshal(map[string]any{"FailedRecordCount": 0, "Records": make([]result, n)})
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", cborType)
	_, _ = w.Write(text)
}

// blocks are a recorded drive as a recording of ten seconds a block feeds a stream.
func blocks(tb testing.TB) (batch []log.Message, frames int) {
	tb.Helper()
	const drive = "../../../../shared/data/can/genesis-drive.candump"
	in, err := canlog.Open(drive)
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	b := block.NewBuilder(block.Microsecond)
	begun := int64(0)
	flush := func() {
		if payload, _ := b.Append(nil); payload != nil {
			batch = append(batch, log.Message{Seq: uint64(len(batch)), Epoch: 1, Payload: payload})
		}
	}
	for in.Scan() {
		r := in.Record()
		if b.Frames() > 0 && (b.Full() || r.Stamp-begun >= int64(10*time.Second)) {
			flush()
		}
		if b.Frames() == 0 {
			begun = r.Stamp
		}
		b.Add(r.Bus, r.Stamp, &r.Frame)
		frames++
	}
	flush()
	if err := in.Err(); err != nil {
		tb.Fatal(err)
	}
	return batch, frames
}

func TestADriveTakesFewBytesAFrameToKinesis(t *testing.T) {
	batch, frames := blocks(t)
	f := newFast(t)
	target := newTarget(t, testConfig(f.url))
	for i := range batch { // each when its ten seconds are over
		if sent, err := target.Send(t.Context(), batch[i:i+1]); sent.Done != 1 || err != nil {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
	a := float64(f.bytes.Load()) / float64(frames)
	t.Logf("%d frames in %d blocks: %d bytes, %.2f a frame, with the heads of HTTP", frames, len(batch), f.bytes.Load(), a)
	if a > 2.8 {
		t.Errorf("got %.2f bytes a frame, want at most 2.8", a)
	}
}

// BenchmarkSend is the whole way of 4 MiB a batch to an endpoint in this process; its
// MB a second of CPU time count what the endpoint takes too.
func BenchmarkSend(b *testing.B) {
	for _, test := range []struct {
		name     string
		size     int
		compress string
	}{{"16kB", 16 << 10, CompressNone}, {"4kB", 4 << 10, CompressNone}, {"64B", 64, CompressNone}, {"16kB-zstd", 16 << 10, CompressZstd}} {
		b.Run(test.name, func(b *testing.B) {
			f := newFast(b)
			c := testConfig(f.url)
			c.PartitionKey, c.Compress = "${vin}-${n:16}", test.compress
			target := newTarget(b, c)
			batch := make([]log.Message, BatchBytes/test.size)
			for i := range batch {
				batch[i] = log.Message{Seq: uint64(i), Epoch: 1, Payload: make([]byte, test.size)}
			}
			b.SetBytes(BatchBytes)
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				if sent, err := target.Send(b.Context(), batch); sent.Done != len(batch) || err != nil {
					b.Fatalf("%+v, %v", sent, err)
				}
				target.expected = id{}
			}
			b.ReportMetric(float64(b.N)*BatchBytes/1e6/(cpuTime(b)-began).Seconds(), "MB/cpu-s")
		})
	}
}

// BenchmarkBuild is what a call costs before HTTP and the signature.
func BenchmarkBuild(b *testing.B) {
	target := newTarget(b, testConfig("http://127.0.0.1:1"))
	target.pace.call = maxCall
	keys, err := parseKey("${vin}-${n:16}", target.env)
	if err != nil {
		b.Fatal(err)
	}
	target.keys = keys
	batch := make([]log.Message, BatchBytes>>14)
	for i := range batch {
		batch[i] = log.Message{Seq: uint64(i), Epoch: 1, Payload: make([]byte, 16<<10)}
	}
	b.SetBytes(BatchBytes)
	b.ReportAllocs()
	for b.Loop() {
		s := target.plan(batch)
		call, _ := s.gather(time.Time{})
		in := target.input()
		for _, l := range call {
			in.Records = append(in.Records, l.next.entry)
		}
		encodePut(in)
		s.finish()
	}
}

func cpuTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
