package http_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/http"
	"github.com/fascia-edge/fascia/streammgr/export/pack"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// beEndpoint has this process listen, tell its address and take what it is given.
const beEndpoint = "FASCIA_EXPORT_ENDPOINT"

func endpointOfAProcess() bool {
	if os.Getenv(beEndpoint) == "" {
		return false
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
		os.Exit(0)
	}()
	panic(nethttp.Serve(l, nethttp.HandlerFunc(func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})))
}

// endpointProcess is the far side in a process of its own, so that its time is not
// counted.
func endpointProcess(b *testing.B) string {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), beEndpoint+"=1")
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = c.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// until tells when so many messages have gone.
type until struct {
	export.Target
	left int
	over chan struct{}
}

func (u *until) Send(ctx context.Context, batch []log.Message) (export.Sent, error) {
	sent, err := u.Target.Send(ctx, batch)
	if u.left -= sent.Done; u.left == 0 {
		close(u.over)
	}
	return sent, err
}

func cpu(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkExport reads 16 kB messages off a stream on disk and posts them: CPU time
// is of this process with the stream's engine, without the endpoint.
func BenchmarkExport(b *testing.B) {
	const size, count = 16 << 10, 8192 // 128 MiB
	for _, kind := range []pack.Config{{Format: pack.Lines, Compress: pack.None}, {Format: pack.Frames, Compress: pack.None}} {
		b.Run(kind.Format, func(b *testing.B) {
			e, err := log.Open(b.Context(), log.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close(b.Context())
			if err := e.Create(b.Context(), log.Definition{Name: "drive", MaxSize: 1 << 30}); err != nil {
				b.Fatal(err)
			}
			s, _ := e.Stream("drive")
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(i*7) | 0x80
			}
			batch := make([][]byte, 64)
			for i := range batch {
				batch[i] = payload
			}
			for range count / len(batch) {
				if _, err := s.Append(b.Context(), batch...); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.WaitSynced(b.Context(), count-1); err != nil {
				b.Fatal(err)
			}
			address := endpointProcess(b)
			b.SetBytes(size * count)
			begun, n := cpu(b), 0
			for b.Loop() {
				n++
				c := http.Config{URL: "http://" + address, Config: kind, Timeout: config.Duration(time.Minute)}
				h, err := http.New(c, nil)
				if err != nil {
					b.Fatal(err)
				}
				all := &until{Target: h, left: count, over: make(chan struct{})}
				r, err := export.New(export.Options{Config: export.Config{Name: fmt.Sprint("e", n)}, Stream: s, Target: all})
				if err != nil {
					b.Fatal(err)
				}
				r.Start()
				<-all.over
				if err := r.Stop(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*size*count/1e6/(cpu(b)-begun).Seconds(), "MB/s/core")
		})
	}
}
