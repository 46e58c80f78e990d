package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/streammgr/log"
)

const (
	// underWay is how many appends wait for their acknowledgement, of both subjects.
	underWay = 256
	// streamSize is more than a row appends.
	streamSize = 64 << 30
)

// appendBlocks appends messages of 16 kB one by one, first to bare JetStream and then
// to our log, both in this process.
func appendBlocks(ctx context.Context, o options, _ brokers.Broker, dir string) (values, error) {
	payload := noise(16 << 10)
	count := int(o.bytes) / len(payload)
	took, err := bareAppends(ctx, dir+"/bare", payload, count)
	if err != nil {
		return nil, err
	}
	v := values{bare + "rate": float64(count*len(payload)) / took.Seconds()}
	if took, err = logAppends(ctx, dir+"/log", [][]byte{payload}, count); err != nil {
		return v, err
	}
	v["rate"] = float64(count*len(payload)) / took.Seconds()
	return v, nil
}

// appendSmall appends messages of 64 bytes in batches.
func appendSmall(ctx context.Context, o options, _ brokers.Broker, dir string) (values, error) {
	const size, many = 64, 1000
	batch := slices.Repeat([][]byte{noise(size)}, many)
	batches := int(o.bytes)/4/(size*many) + 1
	took, err := logAppends(ctx, dir, batch, batches)
	if err != nil {
		return nil, err
	}
	return values{"rate": float64(batches*many) / took.Seconds()}, nil
}

// logAppends is how long our log takes for so many appends of a batch.
func logAppends(ctx context.Context, dir string, batch [][]byte, count int) (took time.Duration, err error) {
	e, err := log.Open(ctx, log.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.Close(ctx)) }()
	if err := e.Create(ctx, log.Definition{Name: "stream", MaxSize: streamSize}); err != nil {
		return 0, err
	}
	s, _ := e.Stream("stream")
	var waiting sync.WaitGroup
	room := make(chan struct{}, underWay)
	failed := make(chan error, 1)
	begun := time.Now()
	for range count {
		room <- struct{}{}
		waiting.Add(1)
		done := func(_ uint64, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
			<-room
			waiting.Done()
		}
		for {
			err := s.AppendAsync(batch, done)
			if err == nil {
				break
			}
			if !errors.Is(err, log.ErrBusy) {
				return 0, err
			}
			time.Sleep(100 * time.Microsecond) // there is room in bytes when something was written
		}
	}
	waiting.Wait()
	took = time.Since(begun)
	select {
	case err := <-failed:
		return 0, err
	default:
		return took, nil
	}
}

// bareAppends is the same with JetStream alone, which syncs as often.
func bareAppends(ctx context.Context, dir string, payload []byte, count int) (time.Duration, error) {
	s, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true,
		SyncInterval: log.DefaultSyncInterval, JetStreamMaxStore: streamSize})
	if err != nil {
		return 0, err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	failed := make(chan error, 1)
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(underWay),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) {
			select {
			case failed <- err:
			default:
			}
		}))
	if err != nil {
		return 0, err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "bare", Subjects: []string{"bare"}}); err != nil {
		return 0, err
	}
	begun := time.Now()
	for range count {
		if _, err := js.PublishAsync("bare", payload, jetstream.WithStallWait(idle)); err != nil {
			return 0, err
		}
	}
	<-js.PublishAsyncComplete()
	took := time.Since(begun)
	select {
	case err := <-failed:
		return 0, err
	default:
		return took, nil
	}
}
