package protocol

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func TestUnknownOperationIsAnswered(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	for _, op := range []Operation{0, 6, 17, 18, 127, -1} {
		c.send(op, fields{"what": []any{1, fields{"a": nil}}, "requestId": "id 7"})
		got, answer := c.hear()
		if got != opUnknownOperationError || answer["requestId"] != "id 7" {
			t.Errorf("operation %d: answered by %d: %v", op, got, answer)
		}
		want(t, answer, statusUnknownOperation)
	}
	want(t, c.ask(opConnect, fields{}), statusUnexpectedOperation)
	c.must(opListStreams, fields{}) // it goes on
}

func TestClientsBeginAsTheProtocolSays(t *testing.T) {
	s, _ := serve(t, Options{Version: "v1"})
	for name, test := range map[string]struct {
		version byte
		op      Operation
		q       fields
		want    status
		speaks  string
	}{
		"1.1.0":              {1, opConnect, fields{"protocolVersion": "1.1.0"}, statusSuccess, "1.1.0"},
		"1.0.0":              {1, opConnect, fields{"protocolVersion": "1.0.0"}, statusSuccess, "1.0.0"},
		"empty token":        {1, opConnect, fields{"protocolVersion": "1.1.0", "authToken": ""}, statusSuccess, "1.1.0"},
		"null token":         {1, opConnect, fields{"protocolVersion": "1.1.0", "authToken": nil}, statusSuccess, "1.1.0"},
		"newer with 1.1.0":   {1, opConnect, fields{"protocolVersion": "2.3.0", "otherSupportedProtocolVersions": []string{"2.0.0", "1.1.0", "1.0.0"}}, statusSuccess, "1.1.0"},
		"newer alone":        {1, opConnect, fields{"protocolVersion": "2.3.0"}, statusUnsupportedProtocolVersion, ""},
		"no version":         {1, opConnect, fields{}, statusInvalidProtocolVersion, ""},
		"nonsense":           {1, opConnect, fields{"protocolVersion": "latest"}, statusInvalidProtocolVersion, ""},
		"a number":           {1, opConnect, fields{"protocolVersion": 1}, statusInvalidRequest, ""},
		"connect version 2":  {2, opConnect, fields{"protocolVersion": "1.1.0"}, statusUnsupportedConnectVersion, ""},
		"another operation":  {1, opListStreams, fields{}, statusUnexpectedOperation, ""},
		"a frame of 1 GiB":   {1, opConnect, fields{"authToken": strings.Repeat("x", maxConnectFrame)}, statusRequestPayloadTooLarge, ""},
		"a long, good token": {1, opConnect, fields{"protocolVersion": "1.1.0", "authToken": strings.Repeat("x", 8<<10)}, statusSuccess, "1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			c.put([]byte{test.version})
			test.q["requestId"] = " "
			c.send(test.op, test.q)
			answer := c.welcome()
			want(t, answer, test.want)
			if test.speaks != "" && (answer["protocolVersion"] != test.speaks || answer["serverVersion"] != "v1") {
				t.Errorf("answered %v", answer)
			}
			if test.want == statusSuccess {
				c.must(opListStreams, fields{})
				return
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("the connection goes on")
			}
		})
	}
}

func TestMessageOverTheLimitIsAnswered(t *testing.T) {
	s, _ := serve(t, Options{MaxMessage: 1000})
	c := connected(t, s)
	c.create("a")
	c.must(opAppendMessage, fields{"name": "a", "payload": make([]byte, 1000)})
	want(t, c.ask(opAppendMessage, fields{"name": "a", "payload": make([]byte, 1001)}), statusRequestPayloadTooLarge)
	// Frames that are not even read, with the id before and behind what is long: a
	// decoder's map has no order.
	for _, payload := range [][]byte{
		append([]byte("\xa3\x69requestId\x62id\x64name\x61a\x67payload\x5a\x00\x03\x00\x00"), make([]byte, 3<<16)...),
		append(append([]byte("\xbf\x67payload\x5a\x00\x03\x00\x00"), make([]byte, 3<<16)...), "\x69requestId\x62id\xff"...),
	} {
		c.put(frameOf(opAppendMessage, payload))
		op, answer := c.hear()
		if op != opAppendMessageResponse || answer["requestId"] != "id" {
			t.Errorf("operation %d, %v", op, answer)
		}
		want(t, answer, statusRequestPayloadTooLarge)
	}
	if answer := c.must(opAppendMessage, fields{"name": "a", "payload": []byte("x")}); answer["sequenceNumber"] != uint64(1) {
		t.Errorf("%v: what was refused has a number", answer)
	}
}

func TestFrameThatIsNoneEndsTheConnection(t *testing.T) {
	s, _ := serve(t, Options{})
	for _, length := range []uint32{0, 0xffffffff, 0x80000000, maxLength + 1} {
		c := connected(t, s)
		c.put(append(binary.BigEndian.AppendUint32(nil, length), byte(opListStreams)))
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("length %#x: %d bytes came", length, n)
		}
	}
}

func TestUnreadablePayloadIsAnswered(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	for name, payload := range map[string]string{
		"payload is text":    "\xa3\x69requestId\x62id\x64name\x61a\x67payload\x61x",
		"torn":               "\xa3\x69requestId\x62id\x64name\x61",
		"key twice":          "\xa3\x69requestId\x62id\x64name\x61a\x64name\x61b",
		"bytes behind it":    "\xa1\x69requestId\x62id\x00",
		"not UTF-8":          "\xa2\x69requestId\x62id\x64name\x61\xff",
		"a number as a name": "\xa2\x69requestId\x62id\x64name\x05",
	} {
		c.put(frameOf(opAppendMessage, []byte(payload)))
		op, answer := c.hear()
		if op != opAppendMessageResponse || answer["requestId"] != "id" {
			t.Errorf("%s: operation %d, %v", name, op, answer)
		}
		want(t, answer, statusInvalidRequest)
	}
	for name, payload := range map[string]string{"empty": "", "a list": "\x80", "no request id": "\xa0"} {
		c.put(frameOf(opListStreams, []byte(payload)))
		_, answer := c.hear()
		if _, has := answer["requestId"]; has {
			t.Errorf("%s: %v", name, answer)
		}
		want(t, answer, statusInvalidRequest)
	}
}

func TestRequestsAreCheckedInTheOriginalsWords(t *testing.T) {
	s, _ := serve(t, Options{})
	c := connected(t, s)
	c.create("there")
	kinesis := fields{"identifier": "", "batchSize": 900}
	for want, q := range map[string]struct {
		op Operation
		q  fields
	}{
		`name is required. payload is required.`:        {opAppendMessage, fields{}},
		`definition is required.`:                       {opCreateMessageStream, fields{}},
		`name is required. strategyOnFull is required.`: {opCreateMessageStream, fields{"definition": fields{}}},
		`name: must match regular expression "^[\\w ,.\\-_]*$". maxSize: must be at least 1024. timeToLiveMillis: must be at least 60000. exportDefinition.kinesis[0].identifier is required. exportDefinition.kinesis[0].kinesisStreamName is required. exportDefinition.kinesis[0].batchSize: must be at most 500.`: {
			opCreateMessageStream, fields{"definition": fields{"name": "a/b", "maxSize": 3, "timeToLiveMillis": 4, "strategyOnFull": 0,
				"exportDefinition": fields{"kinesis": []any{kinesis}}}}},
		`name: must have at most 255 characters.`:                                                            {opDeleteMessageStream, fields{"name": strings.Repeat("x", 256)}},
		`streamSegmentSize: must be at most 2147483647. strategyOnFull: must be at most 1.`:                  {opUpdateMessageStream, fields{"definition": fields{"name": "a", "strategyOnFull": 2, "streamSegmentSize": 1e19}}},
		`readMessagesOptions.minMessageCount: must be at least 1.`:                                           {opReadMessages, fields{"streamName": "there", "readMessagesOptions": fields{"minMessageCount": 0}}},
		`minMessageCount must be less than or equal to maxMessageCount.`:                                     {opReadMessages, fields{"streamName": "there", "readMessagesOptions": fields{"minMessageCount": 3, "maxMessageCount": 2}}},
		`exportDefinition.kinesis[1].identifier: "k" is another export's too.`:                               {opCreateMessageStream, twice("kinesis", fields{"identifier": "k", "kinesisStreamName": "c"})},
		`exportDefinition: "x": exports to AWS IoT SiteWise are not supported`:                               {opCreateMessageStream, exporting("IotSitewise", fields{"identifier": "x"})},
		`exportDefinition.s3TaskExecutor[0].sizeThresholdForMultipartUploadBytes: must be at least 5242880.`: {opCreateMessageStream, exporting("s3TaskExecutor", fields{"identifier": "x", "sizeThresholdForMultipartUploadBytes": 1})},
	} {
		answer := c.ask(q.op, q.q)
		if answer["status"] != uint64(statusInvalidRequest) || answer["errorMessage"] != want {
			t.Errorf("operation %d: status %v:\n%v\nwant\n%s", q.op, answer["status"], answer["errorMessage"], want)
		}
	}
}

func exporting(kind string, exports ...any) fields {
	return fields{"definition": fields{"name": "n", "strategyOnFull": 1, "exportDefinition": fields{kind: exports}}}
}

func twice(kind string, export fields) fields { return exporting(kind, export, export) }

func TestUnsupportedExportsAreKeptIfWanted(t *testing.T) {
	s, _ := serve(t, Options{Unsupported: Accept})
	c := connected(t, s)
	c.must(opCreateMessageStream, exporting("iotAnalytics", fields{"identifier": "x", "iotChannel": "c"}))
	answer := c.must(opDescribeMessageStream, fields{"name": "n"})
	if text := fmt.Sprint(answer); !strings.Contains(text, "iotChannel:c") || !strings.Contains(text, "IoT Analytics are not supported") {
		t.Error(text)
	}
}

func TestStreamDeletedWhileItIsReadIsTold(t *testing.T) {
	s, _ := serve(t, Options{})
	reader, other := connected(t, s), connected(t, s)
	other.create("a")
	reader.send(opReadMessages, fields{"requestId": "r", "streamName": "a", "readMessagesOptions": fields{"readTimeoutMillis": 60000}})
	untilParked(t, s, 1)
	other.must(opDeleteMessageStream, fields{"name": "a"})
	_, answer := reader.hear()
	want(t, answer, statusResourceNotFound)
	want(t, other.ask(opAppendMessage, fields{"name": "a", "payload": []byte("x")}), statusResourceNotFound)
}

func TestReadBeyondTheEnd(t *testing.T) {
	s, _ := serve(t, Options{MaxAnswer: 2000})
	c := connected(t, s)
	c.create("a")
	read := func(options fields) fields {
		return c.ask(opReadMessages, fields{"streamName": "a", "readMessagesOptions": options})
	}
	want(t, read(fields{}), statusNotEnoughMessages)
	for range 20 {
		c.must(opAppendMessage, fields{"name": "a", "payload": make([]byte, 200)})
	}
	want(t, read(fields{"desiredStartSequenceNumber": 20}), statusNotEnoughMessages)
	want(t, read(fields{"desiredStartSequenceNumber": 1e18}), statusNotEnoughMessages)
	want(t, read(fields{"desiredStartSequenceNumber": 19, "minMessageCount": 2, "readTimeoutMillis": 20}), statusNotEnoughMessages)
	want(t, read(fields{"minMessageCount": 15}), statusResponsePayloadTooLarge)
	answer := read(fields{"maxMessageCount": 15})
	want(t, answer, statusSuccess)
	if n := len(answer["messages"].([]any)); n < 2 || n > 10 {
		t.Errorf("%d messages of 200 bytes in 2,000", n)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s, _ := serve(t, Options{MaxConnections: 2})
	connected(t, s)
	connected(t, s)
	c := dial(t, s)
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	if n := s.Status().Refused; n != 1 {
		t.Errorf("%d connections were refused: want 1", n)
	}
}

func TestHalfAFrameKeepsNobody(t *testing.T) {
	s, _ := serve(t, Options{}, func(s *Server) { s.frameWithin, s.connectWithin = 50*time.Millisecond, time.Second })
	idle := connected(t, s)
	unknown, known := dial(t, s), connected(t, s)
	unknown.put([]byte{1, 0, 0})
	known.put([]byte{0, 0, 1})
	for _, c := range []*client{unknown, known} {
		if _, err := io.ReadAll(c); err != nil { // it ends
			t.Error(err)
		}
	}
	idle.must(opListStreams, fields{}) // who says nothing may stay
}

func TestClientThatTakesNoAnswerIsCutOff(t *testing.T) {
	s, _ := serve(t, Options{}, func(s *Server) { s.takenWithin = 50 * time.Millisecond })
	other, deaf := connected(t, s), connected(t, s)
	other.create("a")
	for range 8 {
		other.must(opAppendMessage, fields{"name": "a", "payload": make([]byte, 1<<20)})
	}
	// Answers of 3 MB each, more than the kernel keeps.
	for range 100 {
		b, err := cbor.Marshal(fields{"requestId": "r", "streamName": "a", "readMessagesOptions": fields{"maxMessageCount": 3}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = deaf.Write(frameOf(opReadMessages, b)) // it may be cut off already
	}
	untilStatus(t, s, func(st Status) bool { return st.Connections == 1 })
	other.must(opListStreams, fields{})
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for want, o := range map[string]Options{
		"want address:port":          {Listen: "8088"},
		"for loopback only":          {Listen: "0.0.0.0:8088", Plaintext: true},
		"one token at least":         {Auth: AuthToken},
		"tokens[1] is empty":         {Auth: AuthToken, Tokens: []string{"a", ""}},
		"plain text off loopback":    {Listen: ":8088", Auth: AuthToken, Tokens: []string{"a"}},
		`auth "basic"`:               {Auth: "basic"},
		`unsupported_exports "some"`: {Unsupported: "some"},
		"bounds":                     {MaxMessage: -1},
	} {
		if _, err := New(o, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}

func TestSkimFindsTheRequestID(t *testing.T) {
	for payload, want := range map[string]string{
		"\xa1\x69requestId\x61x":                                     "x",
		"\xbf\x61a\x9f\x01\xff\x69requestId\x61x\xff":                "x",
		"\xa2\x61a\x82\xa1\x01\x02\xf6\x69requestId\x61 ":            " ",
		"\xa2\x61a\xc2\x42ab\x69requestId\x61x":                      "x",
		"\xa2\x61a\x5f\x41a\x41b\xff\x69requestId\x61x":              "x",
		"\xa2\x61a\xfb12345678\x69requestId\x61x":                    "x",
		"\xa2\x61a\x5b\xff\xff\xff\xff\xff\xff\xff\xff\x69requestId": "",
		"\xa2\x61a" + strings.Repeat("\x81", 1<<16):                  "",
		"\xa1\x69requestId\x7b\xff\xff\xff\xff\xff\xff\xff\xffx":     "",
		"": "",
	} {
		if id := requestID([]byte(payload)); id != want {
			t.Errorf("%q: %q, want %q", payload, id, want)
		}
	}
	if id := requestID(append([]byte("\xa1\x61a"), bytes.Repeat([]byte{0x81}, 1<<24)...)); id != "" {
		t.Errorf("%q", id)
	}
}

func TestIntegersAreTakenAsClientsSendThem(t *testing.T) {
	for encoded, want := range map[string]Integer{
		"\x05":                                 5,
		"\x20":                                 -1,
		"\x1b\xff\xff\xff\xff\xff\xff\xff\xff": math.MaxInt64,
		"\xfa\x5a\x00\x00\x00":                 1 << 53, // as JavaScript sends it
		"\xfa\x5f\x00\x00\x00":                 math.MaxInt64,
		"\xfb\xff\xef\xff\xff\xff\xff\xff\xff": math.MinInt64,
		"\xf9\x3c\x00":                         1,
	} {
		var got Integer
		if err := decoding.Unmarshal([]byte(encoded), &got); err != nil || got != want {
			t.Errorf("%x: %d, %v: want %d", encoded, got, err, want)
		}
	}
	for _, encoded := range []string{"\xfa\x3f\x00\x00\x00", "\xf9\x7e\x00", "\x61x", "\x80", "\xf5"} {
		var got Integer
		if err := decoding.Unmarshal([]byte(encoded), &got); err == nil {
			t.Errorf("%x was taken for %d", encoded, got)
		}
	}
}
