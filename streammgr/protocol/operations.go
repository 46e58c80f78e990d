package protocol

import (
	"context"
	"errors"
	"fmt"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// execute executes a request. Its payload is good until execute returns.
func (c *conn) execute(op Operation, payload []byte) {
	if op == opAppendMessage {
		c.append(payload)
		return
	}
	// What was sent before counts: a read finds it, a deleted stream had it.
	c.appends.Wait()
	switch op {
	case opCreateMessageStream, opUpdateMessageStream:
		c.define(op, payload)
	case opDeleteMessageStream, opDescribeMessageStream, opListStreams:
		c.manage(op, payload)
	case opReadMessages:
		c.read(payload)
	case opConnect:
		c.reply(opConnectResponse, outcome{requestID(payload), statusUnexpectedOperation, "the client is connected already"})
	default:
		c.reply(opUnknownOperationError, outcome{requestID(payload), statusUnknownOperation, fmt.Sprintf("operation %d is not known", op)})
	}
}

// receive decodes a payload, checks it, and waits for its turn. If it reports false
// the request has been answered.
func (c *conn) receive(op Operation, payload []byte, q any, check func(f *findings) (id string)) bool {
	if err := decode(payload, q); err != nil {
		c.reply(answers[op], outcomeOf(requestID(payload), err))
		return false
	}
	var f findings
	id := check(&f)
	if id == "" {
		f = append(findings{"requestId is required."}, f...)
	}
	c.turn(id)
	if err := f.err(); err != nil {
		c.reply(answers[op], outcomeOf(id, err))
		return false
	}
	return true
}

// append hands a message to its stream, and goes on to the next request before it is
// stored: that is how many go to the disk at once.
func (c *conn) append(payload []byte) {
	var q appendRequest
	ok := c.receive(opAppendMessage, payload, &q, func(f *findings) string {
		f.name("name", q.Name)
		if len(q.Payload) == 0 {
			f.add("payload", " is required.")
		}
		return q.RequestID
	})
	if !ok {
		return
	}
	a := &answer{op: opAppendMessageResponse, ready: make(chan struct{})}
	c.appends.Add(1)
	done := func(first uint64, err error) {
		if err != nil {
			a.body = outcomeOf(q.RequestID, err)
		} else {
			a.body = appendAnswer{outcome{RequestID: q.RequestID}, Integer(first)}
		}
		close(a.ready)
		c.appends.Done()
	}
	if err := c.store(q.Name, q.Payload, done); err != nil {
		done(0, err)
	}
	c.answers <- a
}

// store appends a message, and waits for room if there is none. If it returns an
// error done is not called.
func (c *conn) store(name string, payload []byte, done func(uint64, error)) error {
	if len(payload) > c.server.options.MaxMessage {
		return fmt.Errorf("%w: %d bytes, want at most %d", log.ErrTooLarge, len(payload), c.server.options.MaxMessage)
	}
	s, err := c.stream(name)
	if err != nil {
		return err
	}
	err = s.AppendAsync([][]byte{payload}, done)
	if errors.Is(err, log.ErrBusy) {
		first, err := s.Append(c.server.ctx, payload)
		done(first, err)
		return nil
	}
	return err
}

func (c *conn) stream(name string) (*log.Stream, error) {
	s, ok := c.server.streams.Stream(name)
	if !ok {
		return nil, fmt.Errorf("stream %q: %w", name, log.ErrNotFound)
	}
	return s, nil
}

// define creates or updates a stream.
func (c *conn) define(op Operation, payload []byte) {
	var q definitionRequest
	ok := c.receive(op, payload, &q, func(f *findings) string {
		if q.Definition == nil {
			f.add("definition", " is required.")
			return q.RequestID
		}
		f.definition(q.Definition)
		return q.RequestID
	})
	if !ok {
		return
	}
	s := c.server
	s.defining.Lock()
	defer s.defining.Unlock()
	err := s.supported(q.Definition)
	if err == nil && op == opCreateMessageStream {
		q.Definition.complete()
		err = s.streams.Create(s.ctx, *q.Definition)
	} else if err == nil {
		err = s.update(s.ctx, q.Definition)
	}
	c.reply(answers[op], outcomeOf(q.RequestID, err))
}

// supported refuses exports that would never begin, unless that is wanted.
func (s *Server) supported(d *Definition) error {
	if s.options.Unsupported == Accept {
		return nil
	}
	for identifier, service := range d.unsupported() {
		return invalid(fmt.Sprintf("exportDefinition: %q: exports to %s are not supported", identifier, service))
	}
	return nil
}

// update changes a stream as far as a stream may be changed.
func (s *Server) update(ctx context.Context, d *Definition) error {
	was, _, err := s.streams.Describe(d.Name)
	if err != nil {
		return err
	}
	d.complete()
	was.complete()
	if *d.Persistence != *was.Persistence {
		return &failure{statusUpdateNotAllowed, "persistence: can't be updated. Delete the stream and create it again."}
	}
	starts := map[string]int64{}
	was.exports(func(_ string, e *Export) { starts[e.Identifier] = e.StartSequenceNumber.Or(0) })
	d.exports(func(path string, e *Export) {
		if start, there := starts[e.Identifier]; there && start != e.StartSequenceNumber.Or(0) {
			err = &failure{statusUpdateNotAllowed, fmt.Sprintf("exportDefinition.%s.startSequenceNumber: can't be updated.", path)}
		}
	})
	if err != nil {
		return err
	}
	if l, ok := s.streams.Stream(d.Name); ok && int64(*d.MaxSize) < l.Info().Bytes {
		return &failure{statusUpdateFailed, fmt.Sprintf("maxSize: must be at least %d, the size of the stream.", l.Info().Bytes)}
	}
	return s.streams.Update(ctx, *d)
}

// manage deletes or describes a stream, or lists all.
func (c *conn) manage(op Operation, payload []byte) {
	var q nameRequest
	ok := c.receive(op, payload, &q, func(f *findings) string {
		if op != opListStreams {
			f.name("name", q.Name)
		}
		return q.RequestID
	})
	if !ok {
		return
	}
	s := c.server
	switch op {
	case opListStreams:
		c.reply(opListStreamsResponse, listAnswer{outcome{RequestID: q.RequestID}, append([]string{}, s.streams.Names()...)})
	case opDeleteMessageStream:
		s.defining.Lock()
		err := s.streams.Delete(s.ctx, q.Name)
		s.defining.Unlock()
		c.reply(answers[op], outcomeOf(q.RequestID, err))
	case opDescribeMessageStream:
		info, err := c.describe(q.Name)
		if err != nil {
			c.reply(answers[op], outcomeOf(q.RequestID, err))
			return
		}
		c.reply(answers[op], describeAnswer{outcome{RequestID: q.RequestID}, info})
	}
}

func (c *conn) describe(name string) (streamInfo, error) {
	l, err := c.stream(name)
	if err != nil {
		return streamInfo{}, err
	}
	d, statuses, err := c.server.streams.Describe(name)
	if err != nil {
		return streamInfo{}, err
	}
	d.complete()
	for identifier, service := range d.unsupported() {
		statuses = append(statuses, ExportStatus{ExportConfigIdentifier: identifier, LastExportedSequenceNumber: -1,
			ErrorMessage: fmt.Sprintf("exports to %s are not supported: nothing is exported", service)})
	}
	i := l.Info()
	return streamInfo{d, storageStatus{
		OldestSequenceNumber: Integer(i.First),
		NewestSequenceNumber: Integer(i.Next) - 1,
		TotalBytes:           Integer(i.Bytes),
	}, statuses}, nil
}
