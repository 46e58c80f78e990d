package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// Headers of a batch (nats-architecture-and-design, ADR-50).
const (
	headerBatch    = "Nats-Batch-Id"
	headerSequence = "Nats-Batch-Sequence"
	headerCommit   = "Nats-Batch-Commit"
)

// maxAtomic is how many messages a batch may have at the server.
const maxAtomic = 1000

// publishAtomic publishes batches, one after the other, each of which JetStream stores
// whole or not at all.
func (t *Target) publishAtomic(ctx context.Context, batch []log.Message) (done int, err error) {
	for done < len(batch) {
		n := min(maxAtomic, len(batch)-done)
		err := t.publishBatch(ctx, batch[done:done+n])
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == codeBatchTwice {
			// After a lost answer or a crash: of these, JetStream takes what it does not have.
			some, err := t.publish(ctx, batch[done:done+n])
			if done += some; err != nil {
				return done, err
			}
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

func (t *Target) publishBatch(ctx context.Context, batch []log.Message) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	id := nuid.Next()
	for i := range batch {
		m := t.message(&batch[i])
		m.Header[headerBatch], m.Header[headerSequence] = []string{id}, []string{strconv.Itoa(i + 1)}
		switch i {
		case len(batch) - 1:
			m.Header[headerCommit] = []string{"1"}
			return t.ask(ctx, m)
		case 0:
			if err := t.ask(ctx, m); err != nil {
				return err
			}
		default:
			if err := t.conn.PublishMsg(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask publishes a message whose answer says how the batch is: nothing, while it goes
// on.
func (t *Target) ask(ctx context.Context, m *nats.Msg) error {
	answer, err := t.conn.RequestMsgWithContext(ctx, m)
	if err != nil || len(answer.Data) == 0 {
		return err
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return fmt.Errorf("want an acknowledgement of JetStream: %w", err)
	}
	if ack.Error != nil {
		return ack.Error
	}
	return nil
}
