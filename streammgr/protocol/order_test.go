package protocol

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// parkedReads are how many reads wait.
func parkedReads(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c := range s.conns {
		c.mu.Lock()
		n += len(c.held)
		c.mu.Unlock()
	}
	return n
}

func until(t *testing.T, what string, held func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); !held(); runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("it never came to pass that %s", what)
		}
	}
}

func untilParked(t *testing.T, s *Server, n int) {
	t.Helper()
	until(t, "the reads wait", func() bool { return parkedReads(s) == n })
}

func untilStatus(t *testing.T, s *Server, held func(Status) bool) {
	t.Helper()
	until(t, "the status is as wanted", func() bool { return held(s.Status()) })
}

func TestWaitingReadHoldsUpNobody(t *testing.T) {
	s, _ := serve(t, Options{})
	c, other := connected(t, s), connected(t, s)
	c.create("a")
	c.send(opReadMessages, fields{"requestId": "wait", "streamName": "a", "readMessagesOptions": fields{
		"minMessageCount": 2, "maxMessageCount": 10, "readTimeoutMillis": 60000}})
	untilParked(t, s, 1)
	c.must(opAppendMessage, fields{"name": "a", "payload": []byte("1")})
	other.must(opAppendMessage, fields{"name": "a", "payload": []byte("2")})
	op, answer := c.hear()
	if op != opReadMessagesResponse || answer["requestId"] != "wait" || len(answer["messages"].([]any)) != 2 {
		t.Errorf("operation %d, %v", op, answer)
	}
}

func TestOneRequestIDForAllIsAnsweredInOrder(t *testing.T) {
	s, _ := serve(t, Options{})
	c, other := connected(t, s), connected(t, s)
	c.create("a")
	const id = " " // as an SDK sends it with every request
	c.send(opReadMessages, fields{"requestId": id, "streamName": "a", "readMessagesOptions": fields{"readTimeoutMillis": 60000}})
	untilParked(t, s, 1)
	c.send(opListStreams, fields{"requestId": id})
	for range 100 {
		c.send(opAppendMessage, fields{"requestId": id, "name": "a", "payload": []byte("c")})
	}
	c.send(opDescribeMessageStream, fields{"requestId": id, "name": "a"})
	other.must(opAppendMessage, fields{"name": "a", "payload": []byte("o")})
	for _, wanted := range []Operation{opReadMessagesResponse, opListStreamsResponse} {
		if op, answer := c.hear(); op != wanted {
			t.Fatalf("operation %d, want %d: %v", op, wanted, answer)
		}
	}
	for i := range 100 {
		if op, answer := c.hear(); op != opAppendMessageResponse || answer["sequenceNumber"] != uint64(i+1) {
			t.Fatalf("operation %d: %v, want sequence number %d", op, answer, i+1)
		}
	}
	_, answer := c.hear()
	status := answer["messageStreamInfo"].(map[any]any)["storageStatus"].(map[any]any)
	if status["newestSequenceNumber"] != uint64(100) {
		t.Errorf("a description after 101 messages says %v", status)
	}
}

func TestEmptyStreamCountsToNothing(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	c.create("a")
	answer := c.must(opDescribeMessageStream, fields{"name": "a"})
	status := answer["messageStreamInfo"].(map[any]any)["storageStatus"].(map[any]any)
	if status["oldestSequenceNumber"] != uint64(0) || status["newestSequenceNumber"] != int64(-1) {
		t.Errorf("%v: want 0 and -1", status)
	}
}

func TestReadBelowTheOldestBeginsThere(t *testing.T) {
	s, b := serve(t, Options{})
	c := connected(t, s)
	c.create("a")
	for range 10 {
		c.must(opAppendMessage, fields{"name": "a", "payload": []byte("x")})
	}
	l, _ := b.Stream("a")
	if err := l.Purge(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	answer := c.must(opReadMessages, fields{"streamName": "a"})
	if m := answer["messages"].([]any)[0].(map[any]any); m["sequenceNumber"] != uint64(7) {
		t.Errorf("%v: want number 7", m)
	}
}

func TestStopAnswersWhatCame(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	c.create("a")
	c.send(opReadMessages, fields{"requestId": "wait", "streamName": "a", "readMessagesOptions": fields{"desiredStartSequenceNumber": 100, "readTimeoutMillis": 600000}})
	untilParked(t, s, 1)
	const sent = 50
	for range sent {
		c.send(opAppendMessage, fields{"requestId": "a", "name": "a", "payload": []byte("x")})
	}
	c.send(opListStreams, fields{"requestId": "wait"}) // it waits for the read
	untilStatus(t, s, func(st Status) bool { return st.Requests == 3+sent })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	appended, waited := 0, 0
	for range sent + 2 {
		switch op, answer := c.hear(); op {
		case opAppendMessageResponse:
			want(t, answer, statusSuccess)
			appended++
		case opReadMessagesResponse:
			want(t, answer, statusServerTimeout)
			waited++
		}
	}
	if appended != sent || waited != 1 {
		t.Errorf("%d appends and %d reads were answered: want %d and 1", appended, waited, sent)
	}
}

func TestClientThatGoesAwayLeavesNothing(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	c.create("a")
	for _, id := range []string{"1", "2", "3"} {
		c.send(opReadMessages, fields{"requestId": id, "streamName": "a", "readMessagesOptions": fields{"readTimeoutMillis": 600000}})
	}
	untilParked(t, s, 3)
	c.Close()
	untilStatus(t, s, func(st Status) bool { return st.Connections == 0 })
}

func TestUpdateChangesWhatMayBeChanged(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	define := func(d fields) fields {
		d["name"], d["strategyOnFull"] = "a", 0
		return fields{"definition": d}
	}
	kinesis := func(start int) fields {
		return fields{"kinesis": []any{fields{"identifier": "k", "kinesisStreamName": "s", "startSequenceNumber": start}}}
	}
	c.must(opCreateMessageStream, define(fields{"exportDefinition": kinesis(5)}))
	c.must(opAppendMessage, fields{"name": "a", "payload": make([]byte, 100_000)})
	want(t, c.ask(opUpdateMessageStream, define(fields{"persistence": 1})), statusUpdateNotAllowed)
	want(t, c.ask(opUpdateMessageStream, define(fields{"exportDefinition": kinesis(6)})), statusUpdateNotAllowed)
	want(t, c.ask(opUpdateMessageStream, define(fields{"maxSize": 50_000})), statusUpdateFailed)
	want(t, c.ask(opUpdateMessageStream, define(fields{"maxSize": 1 << 30, "exportDefinition": kinesis(5)})), statusSuccess)
}

func TestFullStreamRefusesAndSaysSo(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	c.must(opCreateMessageStream, fields{"definition": fields{"name": "a", "strategyOnFull": 0, "maxSize": 100_000, "persistence": 1}})
	var answer fields
	for range 20 {
		if answer = c.ask(opAppendMessage, fields{"name": "a", "payload": make([]byte, 10_000)}); answer["status"] != uint64(0) {
			break
		}
	}
	want(t, answer, statusUnknownFailure)
	t.Log(answer["errorMessage"])
}
