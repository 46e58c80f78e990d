package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/bench/load"
	"github.com/fascia-edge/fascia/soak/outage"
	"github.com/fascia-edge/fascia/soak/streams"
)

// scene is a gateway and the far side of its streams.
type scene struct {
	far     *endpoint
	gateway *outage.Broker
}

// open starts both. config is given the folder and the far side's address, and follows
// what every gateway here has.
func open(ctx context.Context, fascia brokers.Broker, dir string, config func(dir, far string) string) (c *scene, err error) {
	c = &scene{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.far, err = newEndpoint(); err != nil {
		return c, err
	}
	c.gateway, err = outage.NewBroker(fascia, dir, func(port int, dir string) string {
		return fmt.Sprintf(`vehicle: {vin: KMHGN4JE0FU000001, thing: vehicle}
data_dir: %s/data
control: {socket: %s/control}
broker:
  listeners: [{name: local, address: "127.0.0.1:%d", auth: [anonymous]}]
`, dir, dir, port) + config(dir, c.far.Address)
	})
	if err != nil {
		return c, err
	}
	return c, c.gateway.Start(ctx)
}

func (c *scene) close() (err error) {
	if c.gateway != nil {
		err = c.gateway.Stop()
	}
	if c.far != nil {
		err = errors.Join(err, c.far.close())
	}
	return err
}

// fed is a stream that programs fill by a socket and one exporter empties; "" for none.
func fed(exporter string) func(dir, far string) string {
	return func(dir, far string) string {
		text := fmt.Sprintf(`streams:
  streams:
    - name: drive
      size: 64GiB
      feeds: [{socket: %s}]
`, socketIn(dir))
		if exporter != "" {
			text += "      exporters: [" + fmt.Sprintf(exporter, far) + "]\n"
		}
		return text
	}
}

func socketIn(dir string) string { return filepath.Join(dir, "feed") }

// Exporters, with the far side's address to be put in.
const (
	toKinesis = `{name: far, batch_interval: 1s, kinesis: {stream: drive, region: eu-central-1, endpoint: "http://%s", ` +
		`partition_key: "${vin}-${n:16}", credentials: {access_key: id, secret_key: secret}}}`
	toHTTP = `{name: far, batch_interval: 1s, http: {url: "http://%s/", format: frames}}`
)

// cpu is how many cores the gateway uses while something happens, and how long it
// took.
func (c *scene) cpu(happens func() error) (cores float64, took time.Duration, err error) {
	before, err := load.CPUTime(c.gateway.PID())
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	if err := happens(); err != nil {
		return 0, 0, err
	}
	took = time.Since(begun)
	after, err := load.CPUTime(c.gateway.PID())
	return (after - before).Seconds() / took.Seconds(), took, err
}

// fill puts so many bytes of messages into the stream, as fast as it takes them, and
// waits until they are stored.
func (c *scene) fill(ctx context.Context, message []byte, bytes int64) error {
	f, err := streams.Feed(ctx, socketIn(c.gateway.Dir))
	if err != nil {
		return err
	}
	for range bytes / int64(len(message)) {
		if err = f.Put(message); err != nil || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(err, f.End(), ctx.Err())
}

// wait is time that passes while something is measured.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
