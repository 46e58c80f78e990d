package kinesis

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/fascia-edge/fascia/streammgr/export"
)

// wantAll holds what arrived against what was sent: every message, its payload, and
// in order a key once second arrivals are dropped.
func wantAll(t *testing.T, shards [][]Message, from, to uint64) (twice int) {
	t.Helper()
	arrived := map[uint64]bool{}
	where := map[string]int{}
	for shard, messages := range shards {
		highest := map[string]uint64{}
		for _, m := range messages {
			if at, ok := where[m.Key]; ok && at != shard {
				t.Fatalf("key %q is in shards %d and %d", m.Key, at, shard)
			}
			where[m.Key] = shard
			if !bytes.Equal(m.Payload, payloadOf(m.Seq)) || m.Epoch != 3 {
				t.Fatalf("message %d-%d has %q", m.Epoch, m.Seq, m.Payload)
			}
			if arrived[m.Seq] {
				twice++
				continue
			}
			arrived[m.Seq] = true
			if last, ok := highest[m.Key]; ok && m.Seq < last {
				t.Fatalf("key %q: %d arrived after %d", m.Key, m.Seq, last)
			}
			highest[m.Key] = m.Seq
		}
	}
	for seq := from; seq < to; seq++ {
		if !arrived[seq] {
			t.Fatalf("message %d is missing", seq)
		}
	}
	if len(arrived) != int(to-from) {
		t.Fatalf("%d messages arrived, want %d", len(arrived), to-from)
	}
	return twice
}

func TestMessagesArriveOnceAndInOrderOfTheirKey(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			far := p.peer(t)
			c := far.config()
			c.PartitionKey = "${stream}-${field:/ecu/name}"
			target := newTarget(t, c)
			sent, err := target.Send(t.Context(), batchOf(5, 2005))
			if err != nil || sent.Done != 2000 {
				t.Fatalf("sent %+v, %v", sent, err)
			}
			if twice := wantAll(t, far.messages(t), 5, 2005); twice != 0 {
				t.Errorf("%d messages arrived twice", twice)
			}
			t.Logf("%+v", target.Stats())
		})
	}
}

// deliver sends messages until all are delivered, so many at once, as an exporter
// does: what isn't done comes again first.
func deliver(t *testing.T, target *Target, from, to, atOnce uint64) {
	t.Helper()
	for from < to {
		sent, err := target.Send(t.Context(), batchOf(from, min(from+atOnce, to)))
		from += uint64(sent.Done)
		if errors.Is(err, export.ErrRefused) || errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestTenThousandMessagesArriveThroughFaults(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			far := p.peer(t)
			g := newGate(t, far)
			g.fault = storm
			c := far.config()
			c.Endpoint = g.url
			c.PartitionKey = "${vin}-${n:40}"
			target := newTarget(t, c)
			target.pace.least = 8 << 20 // this weather throttles at any rate
			deliver(t, target, 0, 10_000, 1000)
			twice := wantAll(t, far.messages(t), 0, 10_000)
			t.Logf("%d messages arrived twice; %v; %+v", twice, g.fates, target.Stats())
			for _, name := range []string{"fine", "throttled", "unavailable", "cut", "answer lost", "some throttled", "some failed"} {
				if g.fates[name] == 0 {
					t.Errorf("no call was %s", name)
				}
			}
		})
	}
}

// arrived are the messages in the gate's memory, as one shard.
func arrived(t *testing.T, g *gate) [][]Message {
	t.Helper()
	var messages []Message
	for _, r := range g.kept {
		unpacked, err := Unpack(r.Data)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, unpacked...)
	}
	return [][]Message{messages}
}

func gated(t *testing.T, fault func(*gate, []types.PutRecordsRequestEntry) fate) (*gate, Config) {
	g := newGate(t, nil)
	g.fault = fault
	c := testConfig(g.url)
	c.PartitionKey = "${field:/ecu/name}"
	return g, c
}

// refuseKey throttles the records of one key while it is on.
func refuseKey(key string, on *bool) func(*gate, []types.PutRecordsRequestEntry) fate {
	return func(_ *gate, records []types.PutRecordsRequestEntry) fate {
		f := fate{name: "fine", code: "ProvisionedThroughputExceededException", refuse: map[int]bool{}}
		for i, r := range records {
			if *on && *r.PartitionKey == key {
				f.refuse[i] = true
			}
		}
		return f
	}
}

func TestWhatWasTakenOutOfTurnIsNotSentAgain(t *testing.T) {
	stuck := true
	g, c := gated(t, refuseKey("ecu2", &stuck))
	target := newTarget(t, c)
	sent, err := target.Send(t.Context(), batchOf(0, 70))
	if sent.Done != 2 || !errors.Is(err, export.ErrThrottled) {
		t.Fatalf("got %+v, %v; want 2 messages done and ErrThrottled", sent, err)
	}
	if s := target.Stats(); s.Throttled == 0 || s.Failed != s.Throttled || s.Records != 6 {
		t.Errorf("got %+v", s)
	}
	stuck = false
	deliver(t, target, 2, 100, 60)
	if twice := wantAll(t, arrived(t, g), 0, 100); twice != 0 {
		t.Errorf("%d messages arrived twice", twice)
	}
	if len(target.ahead) != 0 {
		t.Errorf("%d messages are remembered for nothing", len(target.ahead))
	}
}

func TestAStreamThatIsExportedAnewGoesWhole(t *testing.T) {
	stuck := true
	g, c := gated(t, refuseKey("ecu2", &stuck))
	target := newTarget(t, c)
	if sent, _ := target.Send(t.Context(), batchOf(20, 40)); sent.Done != 3 {
		t.Fatalf("got %+v, want 3 messages done", sent)
	}
	stuck = false
	g.kept = nil
	deliver(t, target, 0, 40, 40)
	wantAll(t, arrived(t, g), 0, 40)
}

func TestAStreamThatIsNotThereIsSaidAndWaitedFor(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			far := p.peer(t)
			c := far.config()
			c.Stream += "-later"
			target := newTarget(t, c)
			sent, err := target.Send(t.Context(), batchOf(0, 10))
			if sent.Done != 0 || !errors.Is(err, export.ErrRefused) || !strings.Contains(err.Error(), c.Stream+`" in eu-central-1: does not exist`) {
				t.Fatalf("got %+v, %v", sent, err)
			}
			far.stream = &c.Stream
			far.create(t)
			deliver(t, target, 0, 10, 10)
			wantAll(t, far.messages(t), 0, 10)
		})
	}
}

func TestAMessageThatNoRecordHoldsIsUnfitWhenItIsItsTurn(t *testing.T) {
	g, c := gated(t, nil)
	target := newTarget(t, c)
	batch := batchOf(0, 10)
	batch[4].Payload = make([]byte, 1<<20)
	sent, err := target.Send(t.Context(), batch)
	if sent.Done != 4 || !errors.Is(err, export.ErrUnfit) || !strings.Contains(err.Error(), "message 4 of 1048576 bytes") {
		t.Fatalf("got %+v, %v", sent, err)
	}
	if sent, err = target.Send(t.Context(), batch[5:]); sent.Done != 5 || err != nil {
		t.Fatalf("got %+v, %v", sent, err)
	}
	if got := arrived(t, g)[0]; len(got) != 9 {
		t.Errorf("%d messages arrived, want 9", len(got))
	}
	batch[4].Payload = make([]byte, 1<<20-200) // with its key and the format around it
	if sent, err = target.Send(t.Context(), batch[4:5]); sent.Done != 1 || err != nil {
		t.Errorf("got %+v, %v", sent, err)
	}
}

func TestErrorsTellWhatToDo(t *testing.T) {
	for _, test := range []struct {
		f    fate
		kind error
		want string
	}{
		{fate{status: 400, code: "ProvisionedThroughputExceededException"}, export.ErrThrottled, "as the test wants it"},
		{fate{status: 400, code: "KMSThrottlingException"}, export.ErrThrottled, "KMS"},
		{fate{status: 400, code: "AccessDeniedException"}, export.ErrRefused, `kinesis: stream "vehicle" in eu-central-1: AccessDeniedException: as the test wants it`},
		{fate{status: 400, code: "ExpiredTokenException"}, export.ErrRefused, "ExpiredToken"},
		{fate{status: 400, code: "ns#ValidationException"}, export.ErrRefused, ": ValidationException"},
		{fate{status: 413, code: ""}, export.ErrRefused, "413"},
		{fate{status: 503}, nil, "503"},
		{fate{cut: true}, nil, "EOF"},
		{fate{code: "InternalFailure", refuse: map[int]bool{0: true}}, nil, "InternalFailure"},
	} {
		for _, encoding := range []string{EncodingCBOR, EncodingJSON} {
			t.Run(encoding+" "+test.want, func(t *testing.T) {
				t.Parallel()
				_, c := gated(t, func(*gate, []types.PutRecordsRequestEntry) fate { return test.f })
				c.Encoding = encoding
				sent, err := newTarget(t, c).Send(t.Context(), batchOf(0, 1))
				if err == nil || sent.Done != 0 || sent.Bytes == 0 {
					t.Fatalf("got %+v, %v", sent, err)
				}
				for _, kind := range []error{export.ErrThrottled, export.ErrRefused, export.ErrUnfit} {
					if errors.Is(err, kind) != errors.Is(test.kind, kind) {
						t.Errorf("got %v, want %v", err, test.kind)
					}
				}
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
			})
		}
	}
}

func TestNothingListensIsNoRefusal(t *testing.T) {
	c := testConfig("http://127.0.0.1:" + freePort(t))
	_, err := newTarget(t, c).Send(t.Context(), batchOf(0, 1))
	if err == nil || errors.Is(err, export.ErrRefused) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, c := gated(t, func(*gate, []types.PutRecordsRequestEntry) fate {
		cancel()
		return fate{status: 503}
	})
	if sent, err := newTarget(t, c).Send(ctx, batchOf(0, 1)); sent.Done != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v", sent, err)
	}
}

func TestRawRecordsAreThePayloads(t *testing.T) {
	for _, test := range []struct {
		name, key string
		numbered  bool
		compress  string
	}{
		{"random", RandomKey, false, CompressNone},
		{"numbered", "${vin}-${n:3}", true, CompressZstd},
		{"gzip", "${vin}", true, CompressGzip},
	} {
		t.Run(test.name, func(t *testing.T) {
			far := programs[0].peer(t)
			c := far.config()
			c.Format, c.PartitionKey, c.NumberedKeys, c.Compress = FormatRaw, test.key, test.numbered, test.compress
			target := newTarget(t, c)
			deliver(t, target, 0, 40, 40)
			var shards [][]Message
			for _, shard := range far.records(t) {
				var messages []Message
				for _, r := range shard {
					epoch, seq, ok := ParseNumber(*r.PartitionKey)
					payload, err := plain(r.Data)
					if !ok || err != nil {
						t.Fatalf("key %q, %v", *r.PartitionKey, err)
					}
					key, _, _ := strings.Cut(*r.PartitionKey, "#")
					messages = append(messages, Message{Key: key, Epoch: epoch, Seq: seq, Payload: payload})
				}
				shards = append(shards, messages)
			}
			wantAll(t, shards, 0, 40)
		})
	}
}

func TestAggregatedRecordsOfEveryKind(t *testing.T) {
	for _, key := range []string{RandomKey, "${vin}-${n:3}"} {
		for _, compress := range []string{CompressNone, CompressGzip, CompressZstd} {
			for _, numbered := range []bool{false, true} {
				g, c := gated(t, nil)
				c.PartitionKey, c.Compress, c.NumberedKeys = key, compress, numbered
				deliver(t, newTarget(t, c), 100, 10_100, 10_000)
				shards := arrived(t, g)
				for i := range shards[0] {
					shards[0][i].Key, _, _ = strings.Cut(shards[0][i].Key, "#")
				}
				if twice := wantAll(t, shards, 100, 10_100); twice != 0 {
					t.Errorf("%d messages arrived twice", twice)
				}
			}
		}
	}
}
