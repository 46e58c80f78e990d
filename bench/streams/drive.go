package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fascia-edge/fascia/bench/brokers"
	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/record/block"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/export/kinesis"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// driveToKinesis sends a recorded drive block by block, each when its ten seconds are
// over, and counts what goes over the network.
func driveToKinesis(ctx context.Context, o options, _ brokers.Broker, _ string) (v values, err error) {
	batch, frames, err := recordDrive(o.drive)
	if err != nil {
		return nil, err
	}
	far, err := newEndpoint()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, far.close()) }()
	close(far.open)
	target, err := kinesis.New(ctx, kinesis.Config{
		Stream: "drive", Region: "eu-central-1", Endpoint: "http://" + far.Address,
		PartitionKey: "${vin}", Format: kinesis.FormatKPL, Compress: kinesis.CompressNone, RecordSize: 1 << 20,
		Encoding: kinesis.EncodingCBOR, Credentials: awscreds.Config{AccessKey: "id", SecretKey: "secret"},
	}, kinesis.Env{Stream: "drive", Vehicle: awscreds.Vehicle{VIN: "KMHGN4JE0FU000001"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close(ctx)) }()
	for i := range batch {
		if sent, err := target.Send(ctx, batch[i:i+1]); sent.Done != 1 || err != nil {
			return nil, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return values{"bytes": float64(far.wire.Load()) / float64(frames)}, nil
}

// recordDrive is a drive as a recording with its defaults puts it into a stream.
func recordDrive(name string) (batch []log.Message, frames int, err error) {
	in, err := canlog.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer in.Close()
	b := block.NewBuilder(block.Microsecond)
	flush := func() {
		if payload, _ := b.Append(nil); payload != nil {
			batch = append(batch, log.Message{Seq: uint64(len(batch)), Epoch: 1, Payload: payload})
		}
	}
	begun := int64(0)
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
	return batch, frames, in.Err()
}
